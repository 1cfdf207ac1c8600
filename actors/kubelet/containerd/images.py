"""`kubus image import FILE` and `kubus image list`: images of a node that come from archives, not from a registry.

The nodes get `kubus.local/pause` and `kubus.local/toolbox` by themselves; this is for the user's own. A node with a
containerd of its own is found by the socket below the data directory, so the command needs no running kubelet.

Neighbours: `actors.cluster.commands.image` is the command; `importer` imports, `archive` builds.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actors.kubelet.containerd import importer, replies
from actors.kubelet.containerd.places import Places, places_of
from actors.kubelet.containerd.proto import cri_pb2 as cri
from actors.kubelet.runtime import Image, RuntimeFault

LIST_TIMEOUT_S = 10.0  # answered from containerd's memory


class ImagesError(Exception):
    """What went wrong, in a sentence for the user."""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """A line of `kubus image list`."""

    node: str
    name: str
    id: str
    size_bytes: int


def nodes_of(data_dir: Path) -> list[Places]:
    """Return the nodes of a data directory that have a containerd; ImagesError when none answers to that."""
    folder = data_dir / "nodes"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    nodes = [places for places in (places_of(data_dir, name) for name in names) if places.socket.is_socket()]
    if not nodes:
        raise ImagesError(f"no node of {data_dir} runs containerd: `kubus up` first (simulated nodes need no images)")
    return nodes


async def import_archive(data_dir: Path, archive: Path, sockets: Sequence[Path] = ()) -> list[str]:
    """Import an OCI or Docker archive into every node; returns the images' names. Raises ImagesError."""
    if not archive.is_file():
        raise ImagesError(f"{archive} is not a file")
    names: list[str] = []
    for socket in sockets or [places.socket for places in nodes_of(data_dir)]:
        try:
            names += await importer.import_archive(socket, archive.resolve())
        except RuntimeFault as error:
            raise ImagesError(str(error)) from error
    return list(dict.fromkeys(names))


async def list_images(data_dir: Path) -> list[ImageRow]:
    """Return the images of every node, by node and name. Raises ImagesError."""
    from actors.kubelet.containerd.rpc import Connection  # gRPC is slow to import, and an import does without it

    rows: list[ImageRow] = []
    for places in nodes_of(data_dir):
        connection = Connection(places.socket)
        try:
            reply = await connection.call("ListImages", cri.ListImagesRequest(), LIST_TIMEOUT_S)
        except RuntimeFault as error:
            raise ImagesError(f"node {places.node}: {error}") from error
        finally:
            await connection.close()
        rows += rows_of(places.node, [replies.image(message) for message in reply.images])
    return rows


def rows_of(node: str, images: Sequence[Image]) -> list[ImageRow]:
    """Return a row for each name of each image; one without a name is shown by its digest, or as `<none>`."""
    rows = [
        ImageRow(node, name, image.id, image.size_bytes)
        for image in images
        for name in (image.tags or image.digests or ("<none>",))
    ]
    return sorted(rows, key=lambda row: (row.node, row.name))


def build_archives(folder: Path) -> list[Path]:
    """Build the archives that every node gets, ahead of its start; what can't be built is left to the node's report."""
    built = [importer.build_pause(folder), importer.build_toolbox(folder)]
    return [path for path in built if path is not None]


def import_now(data_dir: Path, archive: Path) -> list[str]:
    """`import_archive` for a command line without a loop."""
    return asyncio.run(import_archive(data_dir, archive))


def list_now(data_dir: Path) -> list[ImageRow]:
    """`list_images` for a command line without a loop."""
    return asyncio.run(list_images(data_dir))
