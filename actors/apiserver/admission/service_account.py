"""ServiceAccount: every Pod runs as an account that is there, and finds a token of it at the usual place.

A namespace's `default` account is made by a controller a moment after the namespace; a Pod that comes in between waits
for it, for a little. The token comes in a projected volume, with the cluster's CA and the name of the namespace; the
kubelet asks for it and renews it. A Pod or its account may decline.

Source: Kubernetes' ServiceAccount plugin. Neighbours: `chain`; `auth.tokens` signs what the kubelet asks for.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from actors.apiserver.admission.attributes import Admission
from actors.apiserver.admission.node import MIRROR
from actors.apiserver.machinery.prepare import generate_name

PREFIX = b"/registry/serviceaccounts/"
DEFAULT = "default"
APPEAR_WAIT_S = 1.0  # for an account that is not there yet

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
TOKEN_LIFETIME_S = 3607  # an hour and a bit: the bit tells this token from one that somebody asked for
_MODE = 0o644

Object = dict[str, Any]


async def admit(asked: Admission, pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    if MIRROR in (pod["metadata"].get("annotations") or {}):
        return
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = await _account(asked, name)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = account["imagePullSecrets"]
    if _wants_token(spec, account):
        _mount_token(asked, spec)


async def _account(asked: Admission, name: str) -> Object:
    accounts = asked.parts.cache.at(PREFIX)
    key = PREFIX + f"{asked.namespace}/{name}".encode()
    entry = accounts.entries.get(key)
    if entry is None:
        try:
            async with asyncio.timeout(APPEAR_WAIT_S):
                entry = await accounts.appears(key)
        except TimeoutError:
            why = f'error looking up service account {asked.namespace}/{name}: serviceaccount "{name}" not found'
            raise asked.forbidden(why) from None
    if b'"imagePullSecrets"' in entry.body or b'"automountServiceAccountToken"' in entry.body:
        return entry.decode()
    return {}


def _wants_token(spec: Object, account: Object) -> bool:
    own = spec.get("automountServiceAccountToken")
    return own if own is not None else account.get("automountServiceAccountToken") is not False


def _mount_token(asked: Admission, spec: Object) -> None:
    """Mount the token into every container that has nothing at its place."""
    lacking = [one for one in _containers(spec) if not _has_mount(one)]
    if not lacking:
        return
    volumes = spec.get("volumes") or []
    name = next((one["name"] for one in volumes if one["name"].startswith(VOLUME_PREFIX)), "")
    if not name:
        name = generate_name(VOLUME_PREFIX, asked.parts.random)
        spec["volumes"] = [*volumes, token_volume(name)]
    mount = {"name": name, "readOnly": True, "mountPath": TOKEN_PATH}
    for one in lacking:
        one["volumeMounts"] = [*(one.get("volumeMounts") or ()), dict(mount)]


def token_volume(name: str) -> Object:
    token = {"expirationSeconds": TOKEN_LIFETIME_S, "path": "token"}
    ca = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [{"serviceAccountToken": token}, {"configMap": ca}, {"downwardAPI": {"items": [namespace]}}]
    return {"name": name, "projected": {"sources": sources, "defaultMode": _MODE}}


def _containers(spec: Object) -> Iterator[Object]:
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def _has_mount(container: Object) -> bool:
    return any(one.get("mountPath") == TOKEN_PATH for one in container.get("volumeMounts") or ())
