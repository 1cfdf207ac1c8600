"""Images for containers: found on the node or pulled, by policy, with a backoff after failures.

Pulls of one reference are shared by all pods that want it. `ImageNotReady` says what a container waits with; a pull
that failed is repeated after 10 s, doubling to 5 minutes.

Neighbours: `starter` calls; `pull_secrets` reads credentials.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet.backoff import Backoff
from actors.kubelet.runtime import Image, ImageAuth, ImagePullFailed, RuntimeDriver, RuntimeFault
from actors.kubelet.telling import Tell
from runtime.clock import Clock

LOCAL_REGISTRY = "kubus.local/"  # no registry: images that are imported on each node, the newest is the one it has
SHOW_FAILURE_S = 2.0  # a status says ErrImagePull for a moment, then ImagePullBackOff until the next try
LOOK_AGAIN_S = 10.0  # for what no waiting mends: somebody may import the image, or mend its name
PULLS_AT_ONCE = 4  # of different images; more would only share the same network


LONGEST = 512  # characters of a reference; names have at most 255, and a digest is as long as its algorithm wants
# The grammar of image references: [DOMAIN[:PORT]/]PATH[:TAG][@DIGEST], all but domain and tag in lower case.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[-A-Za-z0-9]*[A-Za-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::\d+)?"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"(?:{_DOMAIN}/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?(?:@{_DIGEST})?", re.ASCII)


class ImageNotReady(Exception):
    """A container can't start for want of its image. `reason` is for its status; at wall time `retry_s` try again."""

    def __init__(self, reason: str, message: str, retry_s: float):
        super().__init__(message)
        self.reason, self.message, self.retry_s = reason, message, retry_s


class Images:
    def __init__(self, driver: RuntimeDriver, tell: Tell, clock: Clock):
        self._driver, self._tell, self._clock = driver, tell, clock
        self._backoff = Backoff()
        self._failures: dict[str, tuple[float, str]] = {}  # key -> wall time and message of the last failure
        self._pulling: dict[str, asyncio.Task[str]] = {}
        self._slots = asyncio.Semaphore(PULLS_AT_ONCE)

    async def ensure(self, pod: pods.Pod, container: pods.ContainerDict, auths: Sequence[ImageAuth]) -> Image:
        """Return the container's image, pulled if its policy wants that. Raises ImageNotReady or RuntimeFault."""
        reference, name = normalized(container.get("image", "")), container.get("name", "")
        policy = pull_policy(container)
        if len(reference) > LONGEST or not _REFERENCE.fullmatch(reference):
            raise self._misnamed(pod, container, "invalid reference format")
        try:
            image = await self._driver.image_status(reference)
        except ImagePullFailed as error:
            raise self._misnamed(pod, container, str(error)) from error
        if policy == "Always" and not reference.startswith(LOCAL_REGISTRY):
            image = None
        if image is not None:
            message = f'Container image "{container["image"]}" already present on machine'
            self._tell(pod, "Normal", "Pulled", message, name)
            return image
        if policy == "Never":
            message = f'Container image "{container["image"]}" is not present with pull policy of Never'
            self._tell(pod, "Warning", "ErrImageNeverPull", message, name)
            raise ImageNotReady("ErrImageNeverPull", message, self._clock.wall() + LOOK_AGAIN_S)
        await self._pull(pod, container, reference, auths)
        image = await self._driver.image_status(reference)
        if image is None:
            raise RuntimeFault(f"the runtime pulled {reference} but does not have it")
        return image

    def _misnamed(self, pod: pods.Pod, container: pods.ContainerDict, why: str) -> ImageNotReady:
        written = container.get("image", "")
        message = f'Failed to apply default image tag "{written}": couldn\'t parse image name "{written}": {why}'
        self._tell(pod, "Warning", "InspectFailed", message, container.get("name", ""))
        self._tell(pod, "Warning", "Failed", "Error: InvalidImageName", container.get("name", ""))
        return ImageNotReady("InvalidImageName", message, self._clock.wall() + LOOK_AGAIN_S)

    async def _pull(
        self, pod: pods.Pod, container: pods.ContainerDict, reference: str, auths: Sequence[ImageAuth]
    ) -> None:
        written, name = container["image"], container.get("name", "")
        key = f"{pods.uid(pod)}/{reference}"
        failed_s, why = self._failures.get(key, (0.0, ""))
        due_s = self._backoff.due_s(key, failed_s)
        if due_s > self._clock.wall():
            message = f'Back-off pulling image "{written}"'
            self._tell(pod, "Normal", "BackOff", message, name)
            raise ImageNotReady("ImagePullBackOff", f"{message}: ErrImagePull: {why}", due_s)
        self._tell(pod, "Normal", "Pulling", f'Pulling image "{written}"', name)
        begin = self._clock.monotonic()
        try:
            await self._shared_pull(reference, auths)
        except ImagePullFailed as error:
            raise self._failed(pod, key, container, str(error)) from error
        self._backoff.forget(key)
        self._failures.pop(key, None)
        took_s = self._clock.monotonic() - begin
        self._tell(pod, "Normal", "Pulled", f'Successfully pulled image "{written}" in {took_s:.3f}s', name)

    def _failed(self, pod: pods.Pod, key: str, container: pods.ContainerDict, why: str) -> ImageNotReady:
        name = container.get("name", "")
        now_s = self._clock.wall()
        self._backoff.started(key, now_s, now_s)
        self._failures[key] = (now_s, why)
        self._tell(pod, "Warning", "Failed", f'Failed to pull image "{container["image"]}": {why}', name)
        self._tell(pod, "Warning", "Failed", "Error: ErrImagePull", name)
        return ImageNotReady("ErrImagePull", why, now_s + SHOW_FAILURE_S)

    async def _shared_pull(self, reference: str, auths: Sequence[ImageAuth]) -> str:
        """Join a pull of the same reference without credentials, or begin one. A caller's end does not end the pull."""
        if auths:
            return await self._pull_with_each(reference, auths)
        task = self._pulling.get(reference)
        if task is None:
            task = self._pulling[reference] = asyncio.ensure_future(self._pull_with_each(reference, ()))
            task.add_done_callback(lambda done: self._pull_ended(reference, done))
        return await asyncio.shield(task)

    def _pull_ended(self, reference: str, task: "asyncio.Task[str]") -> None:
        self._pulling.pop(reference, None)
        if not task.cancelled():
            task.exception()  # every waiter may have gone: then nobody else takes it

    async def _pull_with_each(self, reference: str, auths: Sequence[ImageAuth]) -> str:
        """Try each credential in turn; the last failure counts."""
        async with self._slots:
            for auth in auths[:-1]:
                try:
                    return await self._driver.pull_image(reference, auth)
                except ImagePullFailed:
                    continue
            return await self._driver.pull_image(reference, auths[-1] if auths else None)

    def forget(self, uid: str) -> None:
        self._backoff.forget_all(f"{uid}/")
        for key in [key for key in self._failures if key.startswith(f"{uid}/")]:
            del self._failures[key]


def pull_policy(container: dict[str, Any]) -> str:
    """Return the policy: by default an image called latest is always pulled, another only when it is missing."""
    policy = container.get("imagePullPolicy")
    if policy:
        return str(policy)
    _, tag, digest = split_reference(container.get("image", ""))
    return "Always" if not digest and tag in ("", "latest") else "IfNotPresent"


def split_reference(reference: str) -> tuple[str, str, str]:
    """Return (name, tag, digest) of an image reference; what is not written is empty."""
    rest, _, digest = reference.partition("@")
    head, slash, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    return head + slash + name, tag, digest


def normalized(reference: str) -> str:
    """Return the reference with the tag that it means."""
    name, tag, digest = split_reference(reference)
    return reference if tag or digest else f"{name}:latest"
