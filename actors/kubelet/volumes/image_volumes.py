"""Volumes that are images (or any other artifact that the runtime can unpack): mounted read-only, nothing in them runs.

An image is resolved once for a pod, when the first container that mounts it starts; a container that starts again finds
what is mounted. Its layers are held in the runtime under a key that is made of the pod's uid and the volume's name, so
that whoever removes the pod's folder, after a crash too, knows what to let go.

Neighbours: `starter` sees to the image and asks for the mount, `pod_files` releases; `mounting` talks to the kernel.
Source: KEP-4639.
"""

import asyncio
from pathlib import Path
from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet.places import Places
from actors.kubelet.runtime import RuntimeDriver
from actors.kubelet.volumes import mounting
from runtime.failpoint import passing

PLUGIN = "image"


def mounted_by(pod: pods.Pod, container: pods.ContainerDict) -> list[dict[str, Any]]:
    """Return the pod's volumes that are images and that a container mounts."""
    names = {mount["name"] for mount in container.get("volumeMounts") or ()}
    return [item for item in pod["spec"].get("volumes") or () if "image" in item and item["name"] in names]


def references(pod: pods.Pod) -> list[str]:
    """Return the images that are volumes of a pod."""
    sources = (volume.get("image") for volume in pod["spec"].get("volumes") or ())
    return [source["reference"] for source in sources if source and source.get("reference")]


class ImageVolumes:
    def __init__(self, driver: RuntimeDriver, places: Places):
        self._driver, self._places = driver, places

    def is_mounted(self, uid: str, name: str) -> bool:
        return mounting.is_mount(self._path(uid, name))

    async def mount(self, uid: str, name: str, image_id: str) -> None:
        """Mount an image's content. Raises RuntimeFault or OSError; what a failed attempt made is used by the next."""
        path = self._path(uid, name)
        path.mkdir(parents=True, exist_ok=True)
        layers = await self._driver.image_layers(image_id, _key(uid, name))
        passing("kubelet.image-layers-held")
        await asyncio.to_thread(mounting.mount_layers, layers, path)
        passing("kubelet.image-mounted")

    async def release(self, uid: str) -> None:
        """Unmount what a pod has, and let the layers go."""
        folder = self._path(uid, "")
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            mounting.unmount(path)
            await self._driver.release_image_layers(_key(uid, path.name))

    def _path(self, uid: str, name: str) -> Path:
        return self._places.volume(uid, PLUGIN, name)


def _key(uid: str, name: str) -> str:
    return f"kubus-volume-{uid}-{name}"
