"""Image archives built from a static busybox: no registry, no Docker, the same bytes every time.

Two images. `kubus.local/pause:1` holds a pod's namespaces open: a program of some 200 bytes that waits for a signal,
reaps orphans (it is process 1 where a pod shares its process namespace) and ends at once on SIGTERM.
`kubus.local/toolbox:latest` is a busybox with a link for each of its applets.

An archive is an OCI image layout and a `docker save` archive at once, so that `ctr`, `docker` and `podman` read it.
The layer is not compressed: a compressor's output changes with its version, and a local import gains nothing by it.

Neighbours: `driver` imports the archives that a node lacks, `images` is the command line's side.
"""

import hashlib
import io
import json
import struct
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from actors.kubelet.containerd.config import PAUSE_IMAGE

TOOLBOX_IMAGE = "kubus.local/toolbox:latest"
EPOCH = "1970-01-01T00:00:00Z"  # every time in an archive, so that equal content gives equal digests
APPLETS_TIMEOUT_S = 10.0

_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}


class ArchiveError(Exception):
    """An image can't be built, and why."""


@dataclass(frozen=True, slots=True)
class File:
    """One entry of a layer: content, or a link's target, or a folder when both are None."""

    content: bytes | None = None
    link: str | None = None
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class ImageDescription:
    name: str
    machine: str  # as `uname -m` says
    files: Mapping[str, File]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def go_architecture(machine: str) -> str:
    """Return the name that images use for an architecture."""
    return _ARCHITECTURE.get(machine, machine)


def build(description: ImageDescription) -> bytes:
    """Return the archive of an image with one layer."""
    layer = tar_of(description.files)
    layer_digest = _sha256(layer)
    config = _config(description, layer_digest)
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        }
    )
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                **_descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
                "annotations": {
                    "io.containerd.image.name": description.name,
                    "org.opencontainers.image.ref.name": description.name.rpartition(":")[2],
                },
                "platform": {"architecture": go_architecture(description.machine), "os": "linux"},
            }
        ],
    }
    saved = [{"Config": _blob(config), "RepoTags": [description.name], "Layers": [_blob(layer)]}]
    files = {_blob(content): File(content, mode=0o644) for content in (layer, config, manifest)}
    files["index.json"] = File(_json(index), mode=0o644)
    files["manifest.json"] = File(_json(saved), mode=0o644)
    files["oci-layout"] = File(b'{"imageLayoutVersion":"1.0.0"}', mode=0o644)
    return tar_of(files)


def _config(description: ImageDescription, layer_digest: str) -> bytes:
    run: dict[str, object] = {"Env": list(description.env), "WorkingDir": "/"}
    if description.entrypoint:
        run["Entrypoint"] = list(description.entrypoint)
    if description.command:
        run["Cmd"] = list(description.command)
    if description.labels:
        run["Labels"] = dict(description.labels)
    return _json(
        {
            "architecture": go_architecture(description.machine),
            "os": "linux",
            "created": EPOCH,
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
            "history": [{"created": EPOCH, "created_by": "kubus"}],
        }
    )


def _sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _blob(content: bytes) -> str:
    return "blobs/sha256/" + hashlib.sha256(content).hexdigest()


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _sha256(content), "size": len(content)}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def tar_of(files: Mapping[str, File]) -> bytes:
    """Return a tar with the files in order of their names, everything in it root's and from 1970."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(_with_parents(files)):
            entry = files.get(name, File())
            info = tarfile.TarInfo(name)
            info.mode = entry.mode
            if entry.link is not None:
                info.type, info.linkname = tarfile.SYMTYPE, entry.link
            elif entry.content is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(entry.content)
            archive.addfile(info, io.BytesIO(entry.content) if entry.content is not None else None)
    return output.getvalue()


def _with_parents(files: Iterable[str]) -> set[str]:
    names = set(files)
    for name in files:
        names |= {str(parent) for parent in Path(name).parents if str(parent) != "."}
    return names


# -- the pause program ------------------------------------------------------------------------------------------------

_ELF_BASE = 0x400000
_ELF_HEADERS = 64 + 56  # the ELF header and one program header
_SIGNALS = 1 << (2 - 1) | 1 << (15 - 1) | 1 << (17 - 1)  # SIGINT, SIGTERM, SIGCHLD

# A blocked signal reaches process 1 of a namespace through sigtimedwait although its default action is to be ignored,
# so that no handler is needed. The numbers of the calls are Linux' for x86-64. The set of signals follows the code.
_PAUSE_X86_64 = bytes.fromhex(
    "b80e000000"  # mov eax, 14            rt_sigprocmask(
    "31ff"  # xor edi, edi                   SIG_BLOCK,
    "488d354f000000"  # lea rsi, [rip+79]    &signals,
    "31d2"  # xor edx, edx                   NULL,
    "41ba08000000"  # mov r10d, 8            8)
    "0f05"  # syscall
    "b880000000"  # wait: mov eax, 128     rt_sigtimedwait(
    "488d3d39000000"  # lea rdi, [rip+57]    &signals,
    "31f6"  # xor esi, esi                   NULL,
    "31d2"  # xor edx, edx                   NULL,
    "41ba08000000"  # mov r10d, 8            8)
    "0f05"  # syscall
    "83f811"  # cmp eax, 17                SIGCHLD?
    "740d"  # je reap
    "85c0"  # test eax, eax                interrupted?
    "78df"  # js wait
    "31ff"  # xor edi, edi                 exit_group(0)
    "b8e7000000"  # mov eax, 231
    "0f05"  # syscall
    "b83d000000"  # reap: mov eax, 61      wait4(
    "4883cfff"  # or rdi, -1                 -1,
    "31f6"  # xor esi, esi                   NULL,
    "ba01000000"  # mov edx, 1               WNOHANG,
    "4531d2"  # xor r10d, r10d               NULL)
    "0f05"  # syscall
    "85c0"  # test eax, eax                one more?
    "7fe7"  # jg reap
    "ebbb"  # jmp wait
)

# Where no machine code of ours exists: the shell's `wait` is interrupted by a trap at once, and reaps.
_PAUSE_SCRIPT = "trap 'kill $!; exit 0' TERM INT; sleep 2147483647 & wait $!"


def pause_program() -> bytes:
    """Return a static ELF executable for x86-64: headers, code, the set of signals."""
    image = _PAUSE_X86_64 + struct.pack("<Q", _SIGNALS)
    size = _ELF_HEADERS + len(image)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _ELF_BASE + _ELF_HEADERS, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    program = struct.pack("<IIQQQQQQ", 1, 5, 0, _ELF_BASE, _ELF_BASE, size, size, 0x1000)
    return ident + header + program + image


def _mount_points(*names: str) -> dict[str, File]:
    """Return what every container has something mounted on. What an image lacks, each start makes in a new layer."""
    return {name: File() for name in ("dev", "proc", "sys")} | {name: File(b"", mode=0o644) for name in names}


def pause_image(machine: str, busybox: bytes | None) -> ImageDescription:
    """Describe the pause image; only machines other than x86-64 need the busybox."""
    if machine == "x86_64":
        pause = {"pause": File(pause_program()), **_mount_points("etc/resolv.conf")}
        return ImageDescription(PAUSE_IMAGE, machine, pause, entrypoint=("/pause",))
    if busybox is None:
        raise ArchiveError(f"the pause image for {machine} is made of a static busybox, and none was found")
    files = {"bin/busybox": File(busybox), "bin/sh": File(link="busybox"), "bin/sleep": File(link="busybox")}
    files |= _mount_points("etc/resolv.conf")
    return ImageDescription(PAUSE_IMAGE, machine, files, entrypoint=("/bin/sh", "-c", _PAUSE_SCRIPT), env=_PATH)


_PATH = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
_GROUP = b"root:x:0:\nnogroup:x:65534:\n"
# With Debian's static busybox, name lookups follow this order.
_NSSWITCH = b"hosts: files dns\n"


def toolbox_image(machine: str, busybox: bytes, applets: Iterable[str]) -> ImageDescription:
    """Describe the toolbox image: a busybox, a link for each applet, and the folders that programs expect."""
    files = {"bin/busybox": File(busybox)}
    for applet in applets:
        if "/" not in applet and applet not in ("", "busybox"):
            files[f"bin/{applet}"] = File(link="busybox")
    files |= {
        "etc/passwd": File(_PASSWD, mode=0o644),
        "etc/group": File(_GROUP, mode=0o644),
        "etc/nsswitch.conf": File(_NSSWITCH, mode=0o644),
        "root": File(mode=0o700),
        "tmp": File(mode=0o1777),
        "usr/bin": File(),
        "var/run": File(),
        "www": File(),
        **_mount_points("etc/hostname", "etc/hosts", "etc/resolv.conf"),
    }
    return ImageDescription(TOOLBOX_IMAGE, machine, files, command=("/bin/sh",), env=_PATH)


def applets_of(busybox: Path) -> list[str]:
    """Ask a busybox which applets it has."""
    answer = subprocess.run([busybox, "--list"], capture_output=True, text=True, timeout=APPLETS_TIMEOUT_S, check=True)
    return answer.stdout.split()
