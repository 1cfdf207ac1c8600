"""What sandboxes and containers were made of, which containerd does not tell in its answers about them.

It is remembered from the making, and asked for where another kubelet made it: containerd keeps it for us.

Neighbour: `driver`.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf import json_format

from actors.kubelet.containerd.proto import cri_pb2 as cri
from actors.kubelet.runtime import NotInRuntime

READ_S = 10.0  # answered from containerd's memory

Call = Callable[[str, Any, float | None], Awaitable[Any]]


class MadeOf:
    def __init__(self, call: Call):
        self._call = call
        self._sandboxes: dict[str, cri.PodSandboxConfig] = {}  # by sandbox id
        self._sandbox_of: dict[str, str] = {}  # by container id

    def sandbox_made(self, sandbox_id: str, config: cri.PodSandboxConfig) -> None:
        self._sandboxes[sandbox_id] = config

    def sandbox_removed(self, sandbox_id: str) -> None:
        self._sandboxes.pop(sandbox_id, None)

    def container_made(self, container_id: str, sandbox_id: str) -> None:
        self._sandbox_of[container_id] = sandbox_id

    def container_removed(self, container_id: str) -> None:
        self._sandbox_of.pop(container_id, None)

    def containers_are(self, sandbox_of: Mapping[str, str]) -> None:
        """These are all that there are."""
        self._sandbox_of = dict(sandbox_of)

    def has_sandbox(self, pod_uid: str) -> bool:
        """Whether a sandbox of a pod is known."""
        return any(config.metadata.uid == pod_uid for config in self._sandboxes.values())

    async def config_of(self, sandbox_id: str) -> cri.PodSandboxConfig:
        """Return what a sandbox was made of. Raises RuntimeFault."""
        config = self._sandboxes.get(sandbox_id)
        if config is None:
            request = cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=True)
            reply = await self._call("PodSandboxStatus", request, READ_S)
            remembered = json.loads(reply.info["info"])["config"]
            config = json_format.ParseDict(remembered, cri.PodSandboxConfig(), ignore_unknown_fields=True)
            self._sandboxes[sandbox_id] = config
        return config

    async def sandbox_of(self, container_id: str) -> str:
        """Return a container's sandbox. Raises RuntimeFault."""
        if container_id not in self._sandbox_of:
            only = cri.ListContainersRequest(filter=cri.ContainerFilter(id=container_id))
            found = (await self._call("ListContainers", only, READ_S)).containers
            if not found:
                raise NotInRuntime(f"container {container_id} was removed")
            self._sandbox_of[container_id] = found[0].pod_sandbox_id
        return self._sandbox_of[container_id]
