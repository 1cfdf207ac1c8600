"""The layers of an image as folders of this node, for volumes that are images.

containerd 1.6 mounts no images for the CRI, so they are asked of its snapshots service: a read-only view of the image's
layers, under a key of the kubelet's, marked as a root for containerd's garbage collection, so that the layers stay as
long as the volume does, whatever becomes of the image's name.

What can go wrong: a snapshotter that answers with something else than folders (a block device, a filesystem of its own)
is refused; an image that containerd did not unpack has no view.

Neighbours: `driver` offers this to `volumes.image_volumes`, which mounts the folders.
"""

import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from actors.kubelet.containerd.proto import cri_pb2 as cri
from actors.kubelet.containerd.proto import snapshots_pb2 as snapshots
from actors.kubelet.runtime import NotInRuntime, RuntimeRefused

SNAPSHOTTER = "overlayfs"  # as `config` says; another containerd's own default, too
GC_ROOT = "containerd.io/gc.root"
DEADLINE_S = 30.0  # a view is a record and a folder

Call = Callable[[str, Any, float | None], Awaitable[Any]]


class ImageLayers:
    def __init__(self, call: Call):
        self._call = call

    async def view(self, image_id: str, key: str) -> Sequence[str]:
        """Return the folders of an image's layers, the uppermost first, kept under a key. Idempotent."""
        with contextlib.suppress(NotInRuntime):
            kept = snapshots.MountsRequest(snapshotter=SNAPSHOTTER, key=key)
            return folders_of((await self._call("Mounts", kept, DEADLINE_S)).mounts)
        request = snapshots.ViewSnapshotRequest(
            snapshotter=SNAPSHOTTER, key=key, parent=await self._chain_id(image_id), labels={GC_ROOT: "kubus"}
        )
        return folders_of((await self._call("View", request, DEADLINE_S)).mounts)

    async def release(self, key: str) -> None:
        """Let the layers go. Idempotent."""
        with contextlib.suppress(NotInRuntime):
            await self._call("Remove", snapshots.RemoveSnapshotRequest(snapshotter=SNAPSHOTTER, key=key), DEADLINE_S)

    async def _chain_id(self, image_id: str) -> str:
        """Return the name of the snapshot that the image's layers were unpacked to."""
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=image_id), verbose=True)
        reply = await self._call("ImageStatus", request, DEADLINE_S)
        if not reply.HasField("image"):
            raise NotInRuntime(f"image {image_id} was removed")
        return str(json.loads(reply.info["info"])["chainID"])


def folders_of(mounts: Sequence[snapshots.Mount]) -> list[str]:
    """Return the folders that a view consists of: one is bound, several are overlaid."""
    if len(mounts) == 1 and mounts[0].type == "bind":
        return [mounts[0].source]
    if len(mounts) == 1 and mounts[0].type == "overlay":
        for option in mounts[0].options:
            if option.startswith("lowerdir="):
                return option.removeprefix("lowerdir=").split(":")
    kinds = ", ".join(mount.type for mount in mounts) or "nothing"
    raise RuntimeRefused(f"an image can't be a volume: its snapshot is {kinds} instead of folders")
