"""Probes of simulated containers: nothing listens there, so their rules answer, without timers."""

from actors.kubelet import pod as pods
from actors.kubelet.compute import Health
from actors.kubelet.observed import PodRuntime, is_running
from actors.kubelet.probes.probe import ContainerProbes
from actors.kubelet.simulated.rules import is_ready

READY, UNREADY = Health(), Health(ready=False)


class SimulatedProber:
    """What `prober.Prober` is to real containers."""

    def __init__(self) -> None:
        self._healths: dict[str, dict[str, Health]] = {}

    def follow(self, pod: pods.Pod, runtime: PodRuntime) -> None:
        healths = {}
        for container in pods.all_containers(pod):
            status = runtime.newest(container["name"])
            if status is not None and is_running(status) and ContainerProbes.wanted(container):
                fails = container.get("readinessProbe") and not is_ready(pods.annotations(pod))
                healths[status.container.id] = UNREADY if fails else READY
        if healths:
            self._healths[pods.uid(pod)] = healths
        else:
            self._healths.pop(pods.uid(pod), None)

    def healths(self, uid: str) -> dict[str, Health]:
        return self._healths.get(uid, {})

    def end(self, uid: str, runtime: PodRuntime) -> None:
        """Nothing is asked, so nothing stops."""

    def forget(self, uid: str) -> None:
        self._healths.pop(uid, None)

    def results(self) -> tuple[()]:
        return ()  # nothing is asked

    def durations(self) -> tuple[()]:
        return ()
