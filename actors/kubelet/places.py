"""Where a kubelet keeps things on its node: `DATA/nodes/NODE/...`, laid out as Kubernetes' own kubelet does."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    root: Path  # DATA/nodes/NODE

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    @property
    def logs(self) -> Path:
        return self.root / "logs" / "pods"

    @property
    def seccomp(self) -> Path:
        return self.root / "seccomp"

    def pod(self, uid: str) -> Path:
        return self.pods / uid

    def volume(self, uid: str, plugin: str, name: str) -> Path:
        return self.pod(uid) / "volumes" / f"kubernetes.io~{plugin}" / name

    def subpath(self, uid: str, volume: str, container: str, index: int) -> Path:
        return self.pod(uid) / "volume-subpaths" / volume / container / str(index)

    def hosts_file(self, uid: str) -> Path:
        return self.pod(uid) / "etc-hosts"

    def termination_log(self, uid: str, container: str, restart_count: int) -> Path:
        return self.pod(uid) / "containers" / container / str(restart_count)
