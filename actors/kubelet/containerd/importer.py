"""The images that a node must have without any registry: pause, and the toolbox; and the import of any archive.

`ctr`, which comes with containerd, does the import into namespace k8s.io: it stores blobs, unpacks the layers and
names the image. containerd's CRI hears of the new image by an event, so it knows it a moment later.

Neighbours: `archive` builds the archives, `driver` calls `ensure`, `images` is the command line's side.
"""

import asyncio
import contextlib
import os
import platform
from collections.abc import Awaitable, Callable
from pathlib import Path

from actors.kubelet.containerd.archive import (
    TOOLBOX_IMAGE,
    ArchiveError,
    applets_of,
    build,
    pause_image,
    toolbox_image,
)
from actors.kubelet.containerd.config import PAUSE_IMAGE
from actors.kubelet.containerd.machine import find_busybox
from actors.kubelet.runtime import RuntimeRefused
from runtime import command

NAMESPACE = "k8s.io"
IMPORT_TIMEOUT_S = 300.0  # an archive of some GiB on a slow disk
KNOWN_TIMEOUT_S = 5.0  # from the import's end until the CRI has heard of it: milliseconds
KNOWN_POLL_S = 0.01


class ImportFailed(RuntimeRefused):
    """An archive could not be imported."""


def archive_path(folder: Path, image: str) -> Path:
    """Return where an image's archive is kept, as kubus.local_pause_1.tar."""
    return folder / (image.replace("/", "_").replace(":", "_") + ".tar")


def build_pause(folder: Path) -> Path:
    """Build the pause image's archive, unless it is there; raises ArchiveError."""
    machine = platform.machine()
    busybox = None
    if machine != "x86_64":
        found = find_busybox()
        busybox = found.read_bytes() if found else None
    return _keep(archive_path(folder, PAUSE_IMAGE), build(pause_image(machine, busybox)))


def build_toolbox(folder: Path) -> Path | None:
    """Build the toolbox image's archive; None when there is no static busybox."""
    busybox = find_busybox()
    if busybox is None:
        return None
    image = toolbox_image(platform.machine(), busybox.read_bytes(), applets_of(busybox))
    return _keep(archive_path(folder, TOOLBOX_IMAGE), build(image))


def _keep(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        fresh = path.with_suffix(f".{os.getpid()}.new")
        fresh.write_bytes(content)
        fresh.replace(path)
    return path


async def import_archive(socket: Path, archive: Path) -> list[str]:
    """Import an OCI or Docker archive into containerd; returns the names of its images. Raises ImportFailed."""
    words = ("--address", str(socket), "--namespace", NAMESPACE, "images", "import", str(archive))
    try:
        return imported_names(await command.run("ctr", *words, deadline_s=IMPORT_TIMEOUT_S))
    except command.CommandFailed as error:
        raise ImportFailed(f"can't import {archive}: {error}") from error


def imported_names(printed: str) -> list[str]:
    """Return the images that `ctr images import` says it unpacked, or saved as newer ones say."""
    names = []
    for line in printed.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in ("unpacking", "saved"):
            names.append(words[1])
        elif words and ":" in words[0] and "saved" in words[1:]:
            names.append(words[0])
    return names


async def ensure(socket: Path, folder: Path, present: Callable[[str], Awaitable[bool]]) -> None:
    """Import pause and toolbox where `present` says that they are not. A missing busybox leaves the toolbox out."""
    await asyncio.gather(
        _ensure(PAUSE_IMAGE, build_pause, socket, folder, present),
        _ensure(TOOLBOX_IMAGE, build_toolbox, socket, folder, present),
    )


async def _ensure(
    image: str,
    make: Callable[[Path], Path | None],
    socket: Path,
    folder: Path,
    present: Callable[[str], Awaitable[bool]],
) -> None:
    if await present(image):
        return
    kept = archive_path(folder, image)
    if kept.exists():  # `kubus up` has built it; to build it again would take 6 MB, of which malloc keeps a part
        with contextlib.suppress(ImportFailed):  # it is damaged, and built again
            await import_archive(socket, kept)
            await _known(image, present)
            return
    try:
        path = await asyncio.to_thread(make, folder)
    except ArchiveError as error:
        raise ImportFailed(str(error)) from error
    if path is not None:
        await import_archive(socket, path)
        await _known(image, present)


async def _known(image: str, present: Callable[[str], Awaitable[bool]]) -> None:
    try:
        async with asyncio.timeout(KNOWN_TIMEOUT_S):
            while not await present(image):  # noqa: ASYNC110 - containerd has no event for it
                await asyncio.sleep(KNOWN_POLL_S)
    except TimeoutError as error:
        raise ImportFailed(f"{image} was imported, but containerd's CRI does not list it") from error
