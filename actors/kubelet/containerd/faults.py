"""What containerd's refusals mean: gRPC codes and containerd's sentences, as the kubelet's `RuntimeFault`s.

containerd answers most failures with code UNKNOWN and a chain of sentences, so for pulls the words have to be read:
"not found", "no such host" and "authorization failed" ask for different cures. A sentence that is not known here is
handed on as it is.

Neighbours: `rpc` calls `fault_of` for every failed call, `driver` calls `pull_fault_of` for pulls.
"""

import re

from actors.kubelet.runtime import (
    ImagePullFailed,
    NotInRuntime,
    RuntimeFault,
    RuntimeRefused,
    RuntimeUnreachable,
)


class ImageNotFound(ImagePullFailed):
    """The registry answered that it has no such image, or none for this machine."""


class PullUnauthorized(ImagePullFailed):
    """The registry wants other credentials; some registries say so of images that don't exist, too."""


class RegistryUnreachable(ImagePullFailed):
    """No registry answered: an unknown host, a refused or silent connection."""


class InvalidImageName(ImagePullFailed):
    """The reference can't be parsed; trying again can't help."""


OWN_DOMAIN = "kubus.local/"  # names of images that come from archives; no registry answers to it

# containerd is up but still loading: transient, as if it were away.
_NOT_YET = ("server is not initialized yet", "error reading from server: EOF", "ttrpc: server closed")

# Part of the sentence -> what it means. The first match counts, so the specific come before the general.
_PULL_WORDS: tuple[tuple[str, type[ImagePullFailed]], ...] = (
    ("failed to parse image reference", InvalidImageName),
    ("invalid reference format", InvalidImageName),
    ("failed to parse reference", InvalidImageName),
    ("insufficient_scope", PullUnauthorized),
    ("authorization failed", PullUnauthorized),
    ("failed to authorize", PullUnauthorized),
    ("unauthorized", PullUnauthorized),
    ("Unauthorized", PullUnauthorized),
    ("forbidden", PullUnauthorized),
    ("no such host", RegistryUnreachable),
    ("server misbehaving", RegistryUnreachable),
    ("Temporary failure in name resolution", RegistryUnreachable),
    ("connection refused", RegistryUnreachable),
    ("network is unreachable", RegistryUnreachable),
    ("no route to host", RegistryUnreachable),
    ("i/o timeout", RegistryUnreachable),
    ("TLS handshake", RegistryUnreachable),
    ("failed to do request", RegistryUnreachable),
    ("no match for platform", ImageNotFound),
    ("not found", ImageNotFound),
)


def fault_of(code: str, details: str) -> RuntimeFault:
    """Return the fault for a gRPC status: `code` is the status' name, as NOT_FOUND."""
    if code == "NOT_FOUND":
        return NotInRuntime(details)
    if code == "UNAVAILABLE" or any(words in details for words in _NOT_YET):
        return RuntimeUnreachable(f"containerd does not answer: {_transport_error(details)}")
    if code == "DEADLINE_EXCEEDED":
        return RuntimeUnreachable(f"containerd did not answer in time: {details}")
    if code == "UNIMPLEMENTED" and "unknown service" in details:
        return RuntimeUnreachable(f"containerd runs without its CRI plugin, its log says why: {details}")
    return RuntimeRefused(details.removeprefix("rpc error: code = Unknown desc = "))


def _transport_error(details: str) -> str:
    """Return the end of gRPC's long sentence about a failed connection, as "Connection refused"."""
    return details.rpartition("error: ")[2] or "no answer"


def pull_fault_of(reference: str, fault: RuntimeFault) -> RuntimeFault:
    """Return the fault of a failed pull in words that say whose turn it is; an absent containerd stays that."""
    if isinstance(fault, RuntimeUnreachable):
        return fault
    details = str(fault)
    kind = next((kind for words, kind in _PULL_WORDS if words in details), None)
    if kind is None and isinstance(fault, NotInRuntime):
        kind = ImageNotFound
    said = {
        ImageNotFound: f'image "{reference}" was not found in its registry',
        PullUnauthorized: f'the registry refuses to give image "{reference}" without other credentials',
        RegistryUnreachable: f'no registry could be reached for image "{reference}"',
        InvalidImageName: f'"{reference}" is not an image reference',
    }
    if reference.startswith(OWN_DOMAIN) and kind is not InvalidImageName:
        return ImageNotFound(f'image "{reference}" is not on this node: load it with `kubus image import FILE`')
    if kind is None:
        return ImagePullFailed(f'failed to pull image "{reference}": {details}')
    return kind(f"{said[kind]}: {details}")


def never_ran(reason: str, message: str) -> bool:
    """Return whether a container "ended" because whoever started it died before its process was made.

    containerd drops the start then and records a StartError. Nothing of the container ran, and nothing was wrong with
    it: it may be made anew, whatever its restart policy. A start that was dropped later may have run.
    """
    return reason == "StartError" and "failed to create containerd task" in message and "context canceled" in message


def name_holder(details: str) -> str:
    """Return the id of the sandbox that has, or is about to have, the name which a refusal is about; empty if none."""
    found = re.search(r'name "[^"]*" is reserved for "([0-9a-f]+)"', details)
    return found[1] if found else ""


def exec_timed_out(details: str) -> bool:
    """Return whether a refusal of ExecSync says that the command was killed for its timeout."""
    return "timeout" in details and "exceeded" in details
