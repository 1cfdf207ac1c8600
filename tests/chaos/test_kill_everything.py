"""kill -9 of every actor in turn, then of everything at once: nothing acknowledged is lost, nothing runs twice."""

import json
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.cluster import Cluster, CommandFailed, eventually

pytestmark = [pytest.mark.real, pytest.mark.chaos, pytest.mark.timeout(600)]

IMAGE = "kubus.local/toolbox:latest"


def deployment(name: str, replicas: int) -> str:
    container = {"name": "c", "image": IMAGE, "command": ["sleep", "1000000"]}
    return json.dumps(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": {"chaos": "yes"}},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name, "chaos": "yes"}},
                    "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
                },
            },
        }
    )


class Writer:
    """Creates and scales Deployments and makes ConfigMaps, and remembers what was acknowledged."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.acknowledged: dict[str, str] = {}
        self.replicas: dict[str, int] = {}
        self._mark = uuid.uuid4().hex[:8]  # a name that was taken by an earlier one is refused
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            name = f"chaos-{self._mark}-{number}"
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": str(number)}}
            if self._try("create", "-f", "-", stdin=json.dumps(made)):
                self.acknowledged[name] = str(number)
            target = f"chaos-{number % 3}"
            wanted = 1 + number % 3
            if target not in self.replicas:
                if self._try("apply", "-f", "-", stdin=deployment(target, wanted)):
                    self.replicas[target] = wanted
            elif self._try("scale", "deployment", target, f"--replicas={wanted}"):
                self.replicas[target] = wanted
            self._stop.wait(0.2)

    def _try(self, *words: str, **options) -> bool:
        try:
            self.cluster.kubectl("--request-timeout=5s", *words, **options)
        except CommandFailed:
            return False
        return True

    @contextmanager
    def writing(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join(30)


def converged(cluster: Cluster) -> bool:
    """Every Deployment has just the pods it wants, all ready, and no other pod is there."""
    deployments = cluster.get("deployments", "-l", "chaos=yes")["items"]
    pods = cluster.get("pods", "-l", "chaos=yes")["items"]
    wanted = sum(item["spec"]["replicas"] for item in deployments)
    ready = sum(item["status"].get("readyReplicas", 0) for item in deployments)
    return bool(deployments) and wanted == ready == len(pods)


def containers_of(cluster: Cluster) -> dict[str, str]:
    """Container id by pod, of the pods that run."""
    return {
        pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
        for pod in cluster.get("pods", "-l", "chaos=yes")["items"]
    }


def running_containers() -> set[str]:
    """Ids of all containers that have a process, by their cgroups."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            text = path.read_text()
        except OSError:
            continue
        found |= {part for line in text.splitlines() for part in line.split("/") if len(part) == 64}
    return found


def sleepers(cluster: Cluster) -> int:
    """Processes of chaos containers of this cluster."""
    found = 0
    for process in psutil.process_iter(["cmdline", "pid"]):
        if process.info["cmdline"] == ["sleep", "1000000"]:
            parents = [parent.cmdline() for parent in process.parents()]
            found += any(str(cluster.data_dir) in " ".join(words) for words in parents)
    return found


def test_each_process_agrees_with_ps(own_real_cluster: Cluster):
    for actor in own_real_cluster.status()["actors"]:
        process = psutil.Process(actor["pid"])
        title = " ".join(process.cmdline())
        assert actor["name"] in title or actor["role"] in title, (actor, title)
    pids = [actor["pid"] for actor in own_real_cluster.status()["actors"]]
    assert len(set(pids)) == len(pids)


def test_each_actor_is_killed_in_turn_under_load(own_real_cluster: Cluster):
    cluster = own_real_cluster
    writer = Writer(cluster)
    with writer.writing():
        for victim in [actor["name"] for actor in cluster.status()["actors"]]:
            before = cluster.actor(victim)
            os.kill(before["pid"], signal.SIGKILL)

            def is_back(victim=victim, before=before):
                now = cluster.actor(victim)
                return now["pid"] != before["pid"] and now["health"] == "serving"

            eventually(is_back, f"{victim} is back", 30)
            done = len(writer.acknowledged)
            eventually(lambda done=done: len(writer.acknowledged) > done + 1, f"writes go on after {victim}", 30)
    everything_is_there(cluster, writer)


def test_everything_is_killed_at_once(own_real_cluster: Cluster):
    cluster = own_real_cluster
    eventually(lambda: converged(cluster), "converged", 60)
    writer = Writer(cluster)
    with writer.writing():
        eventually(lambda: len(writer.acknowledged) > 5, "some writes")
        status = cluster.status()
        before = containers_of(cluster)
        for pid in [status["supervisor"]["pid"], *(actor["pid"] for actor in status["actors"])]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it died with its supervisor
    alive = running_containers()
    cluster.up()
    everything_is_there(cluster, writer)
    after = containers_of(cluster)
    lived_on = {pod: container for pod, container in before.items() if container in alive and pod in after}
    assert lived_on, "containers outlive everything"
    assert {pod: after[pod] for pod in lived_on} == lived_on


def everything_is_there(cluster: Cluster, writer: Writer) -> None:
    eventually(lambda: converged(cluster), "the cluster converges", 90)
    stored = {item["metadata"]["name"]: item.get("data", {}).get("n") for item in cluster.get("configmaps")["items"]}
    assert {name: stored.get(name) for name in writer.acknowledged} == writer.acknowledged
    pods = cluster.get("pods", "-l", "chaos=yes")["items"]
    eventually(lambda: sleepers(cluster) == len(pods), "no container runs twice, or for nobody")
