"""What the runtime has of one pod, as the decisions see it: immutable, newest first.

Neighbours: `observer` keeps it current; `compute` and `status` decide from it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from actors.kubelet.runtime import ContainerState, ContainerStatus, SandboxStatus


@dataclass(frozen=True, slots=True)
class PodRuntime:
    sandboxes: tuple[SandboxStatus, ...] = ()
    containers: tuple[ContainerStatus, ...] = ()

    @staticmethod
    def of(sandboxes: Iterable[SandboxStatus], containers: Iterable[ContainerStatus]) -> "PodRuntime":
        by_age = sorted(sandboxes, key=lambda item: (item.sandbox.attempt, item.sandbox.created_ns))
        instances = sorted(containers, key=lambda item: (item.container.attempt, item.container.created_ns))
        return PodRuntime(tuple(reversed(by_age)), tuple(reversed(instances)))

    @property
    def sandbox(self) -> SandboxStatus | None:
        """The newest sandbox, alive or not."""
        return self.sandboxes[0] if self.sandboxes else None

    @property
    def ready_sandbox(self) -> SandboxStatus | None:
        return next((item for item in self.sandboxes if item.sandbox.ready), None)

    def instances(self, name: str) -> Iterator[ContainerStatus]:
        return (item for item in self.containers if item.container.name == name)

    def newest(self, name: str) -> ContainerStatus | None:
        return next(self.instances(name), None)

    def running(self) -> list[ContainerStatus]:
        """Return the containers that have, or may have, a process."""
        return [item for item in self.containers if is_alive(item)]


def is_alive(status: ContainerStatus) -> bool:
    """Tell whether a container may have a process: an UNKNOWN one is taken for alive until it was stopped."""
    return status.container.state in (ContainerState.RUNNING, ContainerState.UNKNOWN)


def is_running(status: ContainerStatus | None) -> bool:
    return status is not None and status.container.state is ContainerState.RUNNING


def has_exited(status: ContainerStatus | None) -> bool:
    return status is not None and status.container.state is ContainerState.EXITED


def succeeded(status: ContainerStatus | None) -> bool:
    return status is not None and has_exited(status) and status.exit_code == 0
