"""Images and containers that nobody needs any more: which of them may go, and removing them.

An image goes when the disk is fuller than the high threshold, the longest unused first, until it is below the low one;
never one that a container (dead or alive) is made of, one that is pinned, or one that no registry has. What was used
when is only remembered from the kubelet's start on.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from actors.kubelet.images import LOCAL_REGISTRY, normalized
from actors.kubelet.observed import PodRuntime, has_exited
from actors.kubelet.runtime import Image, ImagePullFailed, RuntimeDriver, RuntimeFault
from actors.kubelet.stats.usage import Disk

MIN_AGE_S = 120.0  # Kubernetes' imageMinimumGCAge: an image may have been pulled for a pod that is about to start


@dataclass(frozen=True, slots=True)
class Limits:
    high_percent: int
    low_percent: int


def bytes_to_free(disk: Disk, limits: Limits) -> int:
    """Return how much images have to give back; 0 when the disk is not that full."""
    if not disk.capacity_bytes:
        return 0
    used = disk.capacity_bytes - disk.available_bytes
    if used * 100 < disk.capacity_bytes * limits.high_percent:
        return 0
    return max(0, used - disk.capacity_bytes * limits.low_percent // 100)


def is_removable(image: Image, in_use: Collection[str]) -> bool:
    if image.pinned or image.id in in_use:
        return False
    return not any(name.startswith(LOCAL_REGISTRY) for name in (*image.tags, *image.digests))


def dead_sandboxes(runtime: PodRuntime) -> list[str]:
    """Return the sandboxes of a living pod that were followed by another one, and hold no record of a container."""
    holding = {item.container.sandbox_id for item in runtime.containers}
    return [
        item.sandbox.id for item in runtime.sandboxes[1:] if not item.sandbox.ready and item.sandbox.id not in holding
    ]


def dead_containers(runtime: PodRuntime) -> list[str]:
    return [item.container.id for item in runtime.containers if has_exited(item)]


class ImageGarbage:
    def __init__(self, driver: RuntimeDriver, limits: Limits, volumes: Callable[[], Iterable[str]], log: Any):
        """`volumes` gives the images that are volumes of this node's pods."""
        self._driver, self._limits, self._volumes, self._log = driver, limits, volumes, log
        self._used: dict[str, float] = {}  # image id -> when it was last seen in use, or first seen at all
        self._lock = asyncio.Lock()

    async def collect(self, disk: Disk, now_s: float) -> str:
        """Free what the limits ask for. Return why that was not enough; empty when it was."""
        wanted = bytes_to_free(disk, self._limits)
        if not wanted:
            await self._look(now_s)
            return ""
        freed = await self.free(wanted, now_s)
        if freed >= wanted:
            return ""
        return f"Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only " \
            f"found {freed} bytes eligible to free."  # fmt: skip

    async def free(self, wanted_bytes: int, now_s: float, min_age_s: float = MIN_AGE_S) -> int:
        """Remove unused images, the longest unused first, until so much is free. Return how much was freed."""
        async with self._lock:
            freed = 0
            for image in await self._look(now_s):
                if freed >= wanted_bytes:
                    break
                if now_s - self._used[image.id] < min_age_s:
                    continue
                self._log.info(
                    "removing an unused image", image=image.id, tags=list(image.tags), bytes=image.size_bytes
                )
                try:
                    await self._driver.remove_image(image.id)
                except RuntimeFault as error:
                    self._log.warning("could not remove an image", image=image.id, error=str(error))
                else:
                    freed += image.size_bytes
            return freed

    async def _look(self, now_s: float) -> Sequence[Image]:
        """Note what is in use; return what may be removed, the longest unused first. Raises RuntimeFault."""
        state = await self._driver.list()
        images = await self._driver.images()
        in_use = {item.image_id for item in state.containers} | {item.image for item in state.containers}
        in_use |= _ids_of(in_use, images) | await self._ids_of_volumes()
        self._used = {image.id: now_s if image.id in in_use else self._used.get(image.id, now_s) for image in images}
        return sorted((item for item in images if is_removable(item, in_use)), key=lambda item: self._used[item.id])

    async def _ids_of_volumes(self) -> set[str]:
        found = set()
        for name in set(self._volumes()):
            try:
                image = await self._driver.image_status(normalized(name))
            except ImagePullFailed:
                continue  # not even a name
            if image is not None:
                found.add(image.id)
        return found


def _ids_of(names: Collection[str], images: Iterable[Image]) -> set[str]:
    """A container may name its image by a tag or a digest."""
    return {image.id for image in images if not set(names).isdisjoint((*image.tags, *image.digests))}
