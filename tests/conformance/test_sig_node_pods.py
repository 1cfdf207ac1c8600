"""sig-node: pods as objects that change: labels, status, generations, QoS, eviction by taints, resizing, debugging."""

import re
import time

import pytest
from websockets.sync.client import connect

from tests.cluster import eventually
from tests.conformance.access import JSON_PATCH, STRATEGIC
from tests.conformance.pods import SLEEP, Space, condition_of, container, is_ready, pod, restarts, script, status_of

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]


def sleeper(name: str = "", **fields) -> dict:
    return pod(container(SLEEP), name=name, **fields)


def names(space: Space, selector: str) -> list[str]:
    return sorted(item["metadata"]["name"] for item in space.list("pods", selector))


def test_a_pods_labels_are_updated(space: Space):
    """Pods, update"""
    name = space.start(sleeper(labels={"time": "1"}))
    assert names(space, "time=1") == [name]
    space.ready(name)
    space.modify("pods", name, lambda found: found["metadata"]["labels"].update(time="2"))
    assert (names(space, "time=1"), names(space, "time=2")) == ([], [name])
    space.remove(name)


def test_a_collection_of_pods_is_deleted(space: Space):
    """Pods, delete a collection"""
    made = [space.start(sleeper(labels={"type": "testing"})) for _ in range(3)]
    assert names(space, "type=testing") == sorted(made)
    space.delete_all("pods", "type=testing")
    eventually(lambda: not names(space, "type=testing"), "they are gone")


def test_a_pod_has_its_hosts_address(space: Space):
    """
    Pods, assigned hostip
    Pods, QOS
    """
    amounts = {"cpu": "100m", "memory": "100Mi"}
    name = space.start(pod(container(SLEEP, resources={"requests": amounts, "limits": amounts})))
    assert space.get("pods", name)["status"]["qosClass"] == "Guaranteed"
    status = space.ready(name)["status"]
    assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+|[0-9a-f:]+", status["hostIP"])
    assert status["hostIPs"][0] == {"ip": status["hostIP"]}
    assert status["qosClass"] == "Guaranteed"
    space.remove(name)


def test_a_status_is_patched(space: Space):
    """Pods, patching status"""
    name = space.start(sleeper())
    space.ready(name)
    patch = {"status": {"message": "Patched by e2e test", "reason": "E2E"}}
    answer = space.patch("pods", name, patch, sub="status")
    assert (answer["status"]["message"], answer["status"]["reason"]) == ("Patched by e2e test", "E2E")
    space.remove(name)


def test_the_life_of_a_pod(space: Space):
    """Pods, completes the lifecycle of a Pod and the PodStatus"""
    name = space.start(sleeper("lifecycle", labels={"static": "yes"}))
    assert names(space, "static=yes") == [name]
    space.ready(name)
    patch = {"metadata": {"labels": {"static": "patched"}}, "spec": {"activeDeadlineSeconds": 1000}}
    found = space.patch("pods", name, patch, kind=STRATEGIC)
    assert (found["metadata"]["labels"]["static"], found["spec"]["activeDeadlineSeconds"]) == ("patched", 1000)

    def unready(found: dict) -> None:
        for item in found["status"]["conditions"]:
            item["status"] = "False" if item["type"] == "Ready" else item["status"]

    assert condition_of(space.modify("pods", name, unready, "status"), "Ready") == "False"
    space.ready(name)  # the kubelet knows better
    space.delete_all("pods", "static=patched")
    space.gone(name)


# -- generations ------------------------------------------------------------------------------------------------------


def test_a_pods_generation_counts_its_updates(space: Space):
    """Pods Generation, updates"""
    name = space.start(sleeper("generations", tolerations=[]))
    first = space.ready(name)
    assert (first["metadata"]["generation"], first["status"]["observedGeneration"]) == (1, 1)
    changes = [
        ([{"op": "add", "path": "/metadata/annotations", "value": {"x": "y"}}], 1),
        ([{"op": "add", "path": "/spec/tolerations/-", "value": {"key": "k", "operator": "Exists"}}], 2),
        ([{"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 3000}], 3),
        ([{"op": "replace", "path": "/spec/activeDeadlineSeconds", "value": 2000}], 4),
        ([{"op": "replace", "path": "/spec/activeDeadlineSeconds", "value": 2000}], 4),
    ]
    for patch, generation in changes:
        assert space.patch("pods", name, patch, kind=JSON_PATCH)["metadata"]["generation"] == generation
    space.when(name, lambda found: found["status"]["observedGeneration"] == 4, "the kubelet has seen it")
    space.remove(name)


def test_500_updates_of_a_pod(space: Space):
    """Pods Generation, 500 updates"""
    name = space.start(sleeper("many-updates", activeDeadlineSeconds=10_000))
    for number in range(499):
        patch = {"spec": {"activeDeadlineSeconds": 9_999 - number}}
        answer = space.patch("pods", name, patch)
    assert answer["metadata"]["generation"] == 500
    space.when(name, lambda found: found["status"].get("observedGeneration") == 500, "the kubelet has seen them all")
    space.remove(name)


def test_a_set_generation_is_ignored_and_a_graceful_deletion_counts(space: Space):
    """Pods Generation, graceful delete"""
    made = pod(container("trap 'sleep 3; exit 0' TERM; sleep 1000000 & wait"), terminationGracePeriodSeconds=20)
    made["metadata"]["generation"] = 100
    name = space.start(made)
    assert space.ready(name)["metadata"]["generation"] == 1
    space.delete("pods", name)
    assert space.get("pods", name)["metadata"]["generation"] == 2
    space.when(name, lambda found: found["status"]["observedGeneration"] == 2, "the kubelet has seen the deletion", 3)
    space.gone(name)


# -- eviction by taints -----------------------------------------------------------------------------------------------

TAINT = {"key": "kubus.test/evict", "value": "now", "effect": "NoExecute"}


@pytest.fixture
def taint(space: Space):
    """A function that puts a NoExecute taint on the only node, or takes it away; in the end it is away."""
    nodes = Space(space.api, "")

    def put(is_tainted: bool) -> None:
        node = nodes.list("nodes")[0]
        others = [item for item in node["spec"].get("taints") or () if item["key"] != TAINT["key"]]
        patch = {"spec": {"taints": others + ([TAINT] if is_tainted else [])}}
        nodes.patch("nodes", node["metadata"]["name"], patch)

    yield put
    put(False)


def tolerating(seconds: int | None) -> list[dict]:
    for_a_time = {} if seconds is None else {"tolerationSeconds": seconds}
    return [{"key": TAINT["key"], "operator": "Equal", "value": "now", "effect": "NoExecute", **for_a_time}]


def test_pods_are_evicted_when_their_toleration_ends(space: Space, taint):
    """Pod Eviction, Toleration limits"""
    limits = {"evict-short": 1, "evict-long": 4, "evict-never": None}
    for name, seconds in limits.items():
        space.start(sleeper(name, tolerations=tolerating(seconds)))
    for name in limits:
        space.ready(name)
    begin = time.monotonic()
    taint(True)
    space.gone("evict-short", 10)
    assert names(space, "") == ["evict-long", "evict-never"]
    space.gone("evict-long", 15)
    assert time.monotonic() - begin >= 4
    assert is_ready(space.get("pods", "evict-never"))
    taint(False)
    space.remove("evict-never")


def test_removing_a_taint_cancels_the_eviction(space: Space, taint):
    """Taint, Pod Eviction on taint removal"""
    name = space.start(sleeper("evict-not", tolerations=tolerating(3)))
    space.ready(name)
    begin = time.monotonic()
    taint(True)
    taint(False)
    still_there = lambda: time.monotonic() - begin > 5 and space.has("pods", name)  # noqa: E731
    eventually(still_there, "it outlives its toleration", 10)
    assert is_ready(space.get("pods", name))
    space.remove(name)


# -- resizing in place ------------------------------------------------------------------------------------------------


def guaranteed(cpu: str, memory: str) -> dict:
    return {kind: {"cpu": cpu, "memory": memory} for kind in ("requests", "limits")}


# Says what the container's own cgroup holds, v1 or v2: CPU quota and memory limit.
WATCH_CGROUP = """
    while sleep 0.2; do
        cd /sys/fs/cgroup
        if [ -e memory.max ]; then echo $(cut -d' ' -f1 cpu.max) $(cat memory.max)
        else echo $(cat cpu/cpu.cfs_quota_us) $(cat memory/memory.limit_in_bytes); fi
    done"""


def resized(space: Space, name: str, wanted: dict[str, tuple[str, str]]) -> dict:
    """Wait until each container has the resources, in its status and in its cgroup, without a restart."""

    def holds(found: dict) -> bool:
        return all(status_of(found, c).get("resources") == guaranteed(*amounts) for c, amounts in wanted.items())

    found = space.when(name, holds, "the status tells of the new resources")
    for of, (cpu, memory) in wanted.items():
        quota, limit = int(cpu.removesuffix("m")) * 100, int(memory.removesuffix("Mi")) << 20
        space.read_until(name, lambda text, q=quota, m=limit: text.splitlines()[-1] == f"{q} {m}", "the cgroup", of)
        assert restarts(found, of) == 0
    return found


def resize_of(wanted: dict[str, tuple[str, str]]) -> dict:
    return {"spec": {"containers": [{"name": c, "resources": guaranteed(*a)} for c, a in wanted.items()]}}


def test_three_containers_are_resized(space: Space):
    """In-place Pod Resize, guaranteed pods with multiple containers, net increase"""
    before = {c: ("100m", "100Mi") for c in ("c1", "c2", "c3")}
    made = [container(WATCH_CGROUP, c, resources=guaranteed(*amounts)) for c, amounts in before.items()]
    name = space.start(pod(*made))
    space.ready(name)
    resized(space, name, before)
    after = {"c1": ("150m", "150Mi"), "c2": ("150m", "150Mi"), "c3": ("50m", "50Mi")}
    space.patch("pods", name, resize_of(after), sub="resize", kind=STRATEGIC)
    found = resized(space, name, after)
    assert not [item for item in found["status"]["conditions"] if item["type"].startswith("PodResize")]
    space.remove(name)


def test_a_pod_is_resized_by_replacing(space: Space):
    """In-place Pod Resize, read and replace endpoints"""
    name = space.start(pod(container(WATCH_CGROUP, resources=guaranteed("100m", "100Mi"))))
    space.ready(name)
    resources = guaranteed("200m", "200Mi")
    space.modify("pods", name, lambda found: found["spec"]["containers"][0].update(resources=resources), "resize")
    resized(space, name, {"c": ("200m", "200Mi")})
    eventually(lambda: space.get("pods", name) == space.get("pods", name, "resize"), "both endpoints say the same")
    space.remove(name)


# -- looking into a pod that runs -------------------------------------------------------------------------------------


def ephemeral(*containers: str) -> dict:
    return {"spec": {"ephemeralContainers": [container(SLEEP, name) for name in containers]}}


def running(*wanted: str):
    return lambda found: all("running" in status_of(found, name)["state"] for name in wanted)


def test_an_ephemeral_container_starts(space: Space):
    """Ephemeral Container Creation"""
    name = space.start(sleeper())
    space.ready(name)
    space.patch("pods", name, ephemeral("debugger"), sub="ephemeralcontainers", kind=STRATEGIC)
    space.when(name, running("debugger"), "the debugger runs")
    space.remove(name)


def test_ephemeral_containers_are_added(space: Space):
    """Ephemeral Container, update ephemeral containers"""
    name = space.start(sleeper())
    space.ready(name)
    space.patch("pods", name, ephemeral("debugger1"), sub="ephemeralcontainers", kind=STRATEGIC)
    space.when(name, running("debugger1"), "the first debugger runs")
    assert len(space.get("pods", name)["spec"]["ephemeralContainers"]) == 1
    more = ephemeral("debugger2")["spec"]["ephemeralContainers"]
    space.modify("pods", name, lambda found: found["spec"]["ephemeralContainers"].extend(more), "ephemeralcontainers")
    found = space.when(name, running("debugger1", "debugger2"), "both run")
    assert len(found["spec"]["ephemeralContainers"]) == 2
    space.remove(name)


def test_a_command_over_a_websocket(space: Space):
    """Pods, remote command execution over websocket"""
    name = space.start(sleeper())
    space.ready(name)
    words = "&".join(f"command={word}" for word in ("echo", "remote", "test"))
    path = f"{space.path('pods', name, 'exec')}?stdout=1&stderr=1&container=c&{words}"
    host, port = space.api.address
    uri = f"wss://{host}:{port}{path}"
    with connect(uri, sock=space.api.plain_socket(), ssl=space.api.tls, subprotocols=["v4.channel.k8s.io"]) as socket:
        frames = [frame for frame in socket if isinstance(frame, bytes)]
    assert b"".join(frame[1:] for frame in frames if frame[0] == 1) == b"remote test\n"
    assert any(frame[0] == 3 and b'"Success"' in frame for frame in frames)
    space.remove(name)


def test_a_script_of_a_finished_pod_is_kept(space: Space):
    """The log of a pod that has ended can be read until it is deleted."""
    name = space.start(script("echo kept"))
    assert space.output(name) == space.output(name) == "kept\n"
