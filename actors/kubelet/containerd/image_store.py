"""The images that a containerd has: looked up, pulled, listed and removed through the CRI.

Neighbours: `driver` hands these calls on; `importer` brings images that come from files, `image_layers` what is in one.
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from actors.kubelet.containerd import replies, requests
from actors.kubelet.containerd.config import PAUSE_IMAGE
from actors.kubelet.containerd.faults import pull_fault_of
from actors.kubelet.containerd.proto import cri_pb2 as cri
from actors.kubelet.runtime import Image, ImageAuth, NotInRuntime, RuntimeFault, RuntimeRefused

READ_S = 10.0  # answered from containerd's memory
REMOVE_S = 120.0  # files go
PULL_S = 3600.0  # containerd itself gives up on a pull that makes no progress

Call = Callable[[str, Any, float | None], Awaitable[Any]]


class ImageStore:
    def __init__(self, call: Call):
        self._call = call

    async def status(self, reference: str) -> Image | None:
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=reference))
        try:
            reply = await self._call("ImageStatus", request, READ_S)
        except RuntimeRefused as fault:
            raise pull_fault_of(reference, fault) from fault
        return replies.image(reply.image) if reply.HasField("image") and reply.image.id else None

    async def pull(self, reference: str, auth: ImageAuth | None) -> str:
        request = cri.PullImageRequest(image=cri.ImageSpec(image=reference))
        if auth is not None:
            request.auth.CopyFrom(requests.auth_config(auth))
        try:
            reply = await self._call("PullImage", request, PULL_S)
        except RuntimeFault as fault:
            raise pull_fault_of(reference, fault) from fault
        return str(reply.image_ref)

    async def list(self) -> Sequence[Image]:
        """The pause image counts as pinned also where containerd does not say so: a node can't do without it."""
        reply = await self._call("ListImages", cri.ListImagesRequest(), READ_S)
        for message in reply.images:
            message.pinned = message.pinned or PAUSE_IMAGE in message.repo_tags
        return [replies.image(message) for message in reply.images]

    async def remove(self, image_id: str) -> None:
        with contextlib.suppress(NotInRuntime):
            await self._call("RemoveImage", cri.RemoveImageRequest(image=cri.ImageSpec(image=image_id)), REMOVE_S)
