"""Pods on real containerd: files and variables, probes and hooks, restarts, logs, deaths of kubelet and containerd."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Cluster, eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

IMAGE = "kubus.local/toolbox:latest"
SLEEP = ["sleep", "1000000"]


def container(name: str = "c", command: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": command or SLEEP, **fields}


def script(text: str) -> list[str]:
    return ["sh", "-c", text]


@pytest.fixture(scope="module")
def node(own_real_cluster: Cluster) -> Cluster:
    return own_real_cluster


def run_pod(node: Cluster, name: str, *containers: dict[str, Any], **spec: Any) -> None:
    meta = {"name": name, **spec.pop("metadata", {})}
    spec = {"terminationGracePeriodSeconds": 1, "containers": list(containers) or [container()], **spec}
    node.apply(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}))


def pod(node: Cluster, name: str) -> dict[str, Any]:
    return node.get("pod", name)


def status(node: Cluster, name: str, of: str = "c") -> dict[str, Any]:
    made = pod(node, name)["status"]
    lists = ("containerStatuses", "initContainerStatuses")
    return [item for field in lists for item in made.get(field, ()) if item["name"] == of][0]


def is_ready(node: Cluster, name: str) -> bool:
    conditions = pod(node, name)["status"].get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def await_ready(node: Cluster, name: str) -> None:
    eventually(lambda: is_ready(node, name), f"{name} is ready", 60)


def run_in(node: Cluster, name: str, text: str, of: str = "c") -> str:
    """Run a script in a container, and return what it printed."""
    request = {"namespace": "default", "pod": name, "container": of, "command": script(text)}
    answer = json.loads(node.kubus("call", "kubelet@w1", "kubelet.exec", json.dumps(request)).stdout)
    assert answer["exit_code"] == 0, answer
    return str(answer["stdout"])


def events(node: Cluster, name: str) -> list[str]:
    found = node.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return [event["reason"] for event in found]


def mounts_of(uid: str) -> list[str]:
    return [line for line in Path("/proc/mounts").read_text().splitlines() if uid in line]


def remove(node: Cluster, name: str) -> None:
    """Delete a pod, and check that nothing of it is left on the machine."""
    uid = pod(node, name)["metadata"]["uid"]
    node.kubectl("delete", "pod", name, "--wait")
    root = node.data_dir / "nodes" / "w1"
    # A pod that has ended is deleted at once; what is left on its node goes a moment later.
    eventually(lambda: not (root / "pods" / uid).exists(), "its files are gone", 20)
    eventually(lambda: not list((root / "logs" / "pods").glob(f"*{uid}*")), "its logs are gone", 20)
    assert mounts_of(uid) == []
    assert list(Path("/sys/fs/cgroup").glob(f"*/kubus-*/*/*{uid}*")) == []


def test_a_rule_restarts_all_containers(node: Cluster) -> None:
    """In the sandbox that is there: the pod keeps its address and its volumes."""
    rules = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [88]}}]
    mount = [{"name": "d", "mountPath": "/d"}]
    stay = "; trap 'exit 0' TERM; sleep 1000000 & wait"
    fail = "until grep -q side /d/starts; do sleep 0.1; done; touch /d/failed; exit 88"
    fails_once = f"echo source >> /d/starts; test -e /d/failed || {{ {fail}; }}"
    source = container("source", script(fails_once + stay), restartPolicy="Never", restartPolicyRules=rules)
    side = container("side", script("echo side >> /d/starts" + stay))
    init = container("init", script("echo init >> /d/starts"))
    run_pod(
        node, "ruled", source | {"volumeMounts": mount}, side | {"volumeMounts": mount}, restartPolicy="Never",
        initContainers=[init | {"volumeMounts": mount}], volumes=[{"name": "d", "emptyDir": {}}],
    )  # fmt: skip
    eventually(lambda: status(node, "ruled", "source")["restartCount"] == 1, "the source was restarted", 60)
    await_ready(node, "ruled")
    assert [status(node, "ruled", name)["restartCount"] for name in ("init", "source", "side")] == [1, 1, 1]
    starts = run_in(node, "ruled", "cat /d/starts", "side").split()
    assert starts[0] == starts[3] == "init"
    assert sorted(starts[:3]) == sorted(starts[3:]) == ["init", "side", "source"]
    assert pod(node, "ruled")["status"]["phase"] == "Running"
    remove(node, "ruled")


def test_files_and_variables(node: Cluster) -> None:
    node.apply(json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": "one"}}))
    node.apply(
        json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sec"}, "stringData": {"pw": "hush"}})
    )
    volumes = [
        {"name": "cm", "configMap": {"name": "cm"}},
        {"name": "sec", "secret": {"secretName": "sec", "defaultMode": 0o400}},
        {"name": "up", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "disk", "emptyDir": {}},
    ]
    env = [
        {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "pw"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "BUILT", "value": "$(PW)-$(IP)"},
    ]
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    mounts.append({"name": "cm", "mountPath": "/single", "subPath": "a"})
    mounts.append({"name": "disk", "mountPath": "/below", "subPathExpr": "sub/$(PW)"})
    limits = {"limits": {"memory": "48Mi"}}
    run_pod(
        node, "files", container(env=env, volumeMounts=mounts, resources=limits), volumes=volumes,
        metadata={"labels": {"app": "files"}}, hostAliases=[{"ip": "1.2.3.4", "hostnames": ["alias.test"]}],
    )  # fmt: skip
    await_ready(node, "files")
    ip = pod(node, "files")["status"]["podIP"]
    shown = run_in(node, "files", 'echo "$PW $MEMORY $BUILT"; cat /cm/a; echo; cat /sec/pw; echo; cat /up/labels; echo')
    assert shown.splitlines() == [f"hush 48 hush-{ip}", "one", "hush", 'app="files"']
    assert run_in(node, "files", "cut -d. -f1 /token/token | head -c 2").startswith("ey")
    assert "tmpfs" in run_in(node, "files", "grep ' /memory ' /proc/mounts; grep ' /sec ' /proc/mounts")
    assert run_in(node, "files", "stat -L -c %a /sec/pw").strip() == "400"
    assert "1.2.3.4\talias.test" in run_in(node, "files", "cat /etc/hosts")
    assert run_in(node, "files", "hostname").strip() == "files"
    node.kubectl("patch", "configmap", "cm", "--type=merge", "-p", '{"data":{"a":"two"}}')
    eventually(lambda: run_in(node, "files", "cat /cm/a") == "two", "the mounted ConfigMap follows", 20)
    assert run_in(node, "files", "cat /single") == "one", "a sub-path keeps what it was mounted with"
    node.kubectl("label", "pod", "files", "more=yes")
    eventually(lambda: 'more="yes"' in run_in(node, "files", "cat /up/labels"), "mounted labels follow", 20)
    remove(node, "files")


def test_a_missing_secret_holds_a_pod_until_it_is_there(node: Cluster) -> None:
    env = [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "late", "key": "pw"}}}]
    run_pod(node, "waits", container(env=env))
    reason = "CreateContainerConfigError"
    eventually(lambda: status(node, "waits")["state"]["waiting"]["reason"] == reason, reason, 20)
    assert 'secret "late" not found' in status(node, "waits")["state"]["waiting"]["message"]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"pw": "x"}}
    node.apply(json.dumps(secret))
    eventually(lambda: is_ready(node, "waits"), "the pod starts once its Secret is there", 5)
    remove(node, "waits")


def test_init_containers_sidecars_and_hooks(node: Cluster) -> None:
    shared = [{"name": "d", "mountPath": "/d"}]
    inits = [
        container("proxy", restartPolicy="Always", startupProbe={"exec": {"command": ["true"]}, "periodSeconds": 1}),
        container("prepare", script("echo prepared > /d/init"), volumeMounts=shared),
    ]
    hooks = {
        "postStart": {"exec": {"command": script("echo hello > /d/post")}},
        "preStop": {"exec": {"command": script("echo bye > /d/pre; sleep 1")}},
    }
    main = container("c", volumeMounts=shared, lifecycle=hooks)
    watcher = container("w", volumeMounts=shared)
    run_pod(node, "ordered", main, watcher, initContainers=inits, volumes=[{"name": "d", "emptyDir": {}}],
            terminationGracePeriodSeconds=20)  # fmt: skip
    await_ready(node, "ordered")
    assert run_in(node, "ordered", "cat /d/init /d/post").split() == ["prepared", "hello"]
    assert status(node, "ordered", "prepare")["state"]["terminated"]["reason"] == "Completed"
    assert status(node, "ordered", "proxy")["started"] is True
    uid = pod(node, "ordered")["metadata"]["uid"]
    written = node.data_dir / "nodes/w1/pods" / uid / "volumes/kubernetes.io~empty-dir/d/pre"
    node.kubectl("delete", "pod", "ordered", "--wait=false")
    eventually(written.exists, "the preStop hook has run", 10)
    eventually(lambda: not (node.data_dir / "nodes/w1/pods" / uid).exists(), "the pod is gone", 40)


def test_probes(node: Cluster) -> None:
    server = container("c", script("mkdir -p /w; echo ok > /w/ready; httpd -f -p 8080 -h /w"), ports=[
        {"name": "http", "containerPort": 8080}],
        readinessProbe={"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1},
        livenessProbe={"exec": {"command": script("test ! -e /w/sick")}, "periodSeconds": 1, "failureThreshold": 2},
        startupProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 30},
    )  # fmt: skip
    run_pod(node, "probed", server)
    await_ready(node, "probed")
    run_in(node, "probed", "mv /w/ready /w/away")
    eventually(lambda: not is_ready(node, "probed"), "unready when its probe fails", 15)
    run_in(node, "probed", "mv /w/away /w/ready")
    await_ready(node, "probed")
    run_in(node, "probed", "touch /w/sick")
    eventually(lambda: status(node, "probed")["restartCount"] == 1, "restarted by its liveness probe", 30)
    await_ready(node, "probed")
    assert {"Unhealthy", "Killing"} <= set(events(node, "probed"))
    remove(node, "probed")


def test_endings_are_told(node: Cluster) -> None:
    run_pod(node, "told", container("c", script("echo why > /dev/termination-log; exit 3")), restartPolicy="Never")
    run_pod(node, "done", container("c", ["true"]), restartPolicy="OnFailure")
    eats = script("dd if=/dev/zero of=/m/x bs=1M count=64")
    greedy = container(
        "c", eats, resources={"limits": {"memory": "16Mi"}}, volumeMounts=[{"name": "m", "mountPath": "/m"}]
    )
    run_pod(node, "greedy", greedy, restartPolicy="Never", volumes=[{"name": "m", "emptyDir": {"medium": "Memory"}}])
    eventually(lambda: pod(node, "told")["status"]["phase"] == "Failed", "told has failed", 30)
    ended = status(node, "told")["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"].strip()) == (3, "Error", "why")
    eventually(lambda: pod(node, "done")["status"]["phase"] == "Succeeded", "done has succeeded", 30)
    eventually(lambda: pod(node, "greedy")["status"]["phase"] == "Failed", "greedy was killed", 30)

    def is_oom_kill() -> bool:
        return status(node, "greedy")["state"]["terminated"]["reason"] == "OOMKilled"

    eventually(is_oom_kill, "the reason is known: the kernel tells of it beside the end", 10)
    for name in ("told", "done", "greedy"):
        remove(node, name)


def test_a_killed_process_is_restarted_and_its_log_kept(node: Cluster) -> None:
    run_pod(node, "killed", container("c", script("echo alive; exec sleep 1000000")))
    await_ready(node, "killed")
    identity = status(node, "killed")["containerID"].partition("://")[2]
    for process in _processes_of(identity):
        os.kill(process, signal.SIGKILL)
    eventually(lambda: status(node, "killed")["restartCount"] == 1, "restarted", 30)
    await_ready(node, "killed")
    assert status(node, "killed")["lastState"]["terminated"]["exitCode"] == 137
    assert node.kubectl("logs", "killed", "--previous").startswith("alive")
    remove(node, "killed")


def test_logs(node: Cluster) -> None:
    run_pod(node, "talks", container("c", script("seq 1 5000; sleep 2; echo last")), restartPolicy="Never")
    await_ready(node, "talks")
    eventually(lambda: node.kubectl("logs", "talks").count("\n") >= 5000, "5,000 lines", 20)
    followed = node.kubectl("logs", "talks", "-f", "--tail=1").splitlines()
    assert followed[-1] == "last"
    everything = node.kubectl("logs", "talks").splitlines()
    assert everything == [*(str(number) for number in range(1, 5001)), "last"]
    assert node.kubectl("logs", "talks", "--tail=3").split() == ["4999", "5000", "last"]
    assert node.kubectl("logs", "talks", "--limit-bytes=4") == "1\n2\n"
    stamped = node.kubectl("logs", "talks", "--tail=1", "--timestamps").split()
    assert stamped[1] == "last"
    assert stamped[0].endswith("Z")
    remove(node, "talks")


def test_kubelet_and_containerd_may_die(node: Cluster) -> None:
    for number in range(3):
        run_pod(node, f"stays-{number}")
    for number in range(3):
        await_ready(node, f"stays-{number}")
    before = {number: status(node, f"stays-{number}")["containerID"] for number in range(3)}
    node.kubus("kill", "kubelet@w1")
    node.kubus("kill", "containerd@w1")
    node.kubectl("delete", "pod", "stays-0", "--force", "--grace-period=0")
    run_pod(node, "comes")
    await_ready(node, "comes")
    for number in (1, 2):
        await_ready(node, f"stays-{number}")
        assert status(node, f"stays-{number}")["containerID"] == before[number]
        assert status(node, f"stays-{number}")["restartCount"] == 0
    gone = before[0].partition("://")[2]
    eventually(lambda: not _processes_of(gone), "what was deleted meanwhile is ended", 40)
    for name in ("stays-1", "stays-2", "comes"):
        remove(node, name)


def test_killed_again_and_again_while_pods_come_and_go(node: Cluster) -> None:
    for number in range(6):
        run_pod(node, f"many-{number}")
        if number % 2:
            node.kubus("kill", "kubelet@w1")
        if number == 4:
            node.kubectl("delete", "pod", "many-0", "--wait=false")
        time.sleep(0.1)
    for number in range(1, 6):
        await_ready(node, f"many-{number}")
    eventually(lambda: len(node.get("pods")["items"]) == 5, "the deleted one is gone", 40)
    for number in range(1, 6):
        assert len(_sandboxes_of(pod(node, f"many-{number}")["metadata"]["uid"])) == 1
        remove(node, f"many-{number}")


def _processes_of(container_id: str) -> list[int]:
    """Return the processes in a container's cgroups."""
    found = []
    for cgroup in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if container_id in cgroup.read_text():
                found.append(int(cgroup.parent.name))
        except OSError:
            continue
    return found


def _sandboxes_of(uid: str) -> set[str]:
    """Return the cgroups of a pod's containers that hold a pause process: one for each sandbox that lives."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if uid in (process / "cgroup").read_text() and b"pause" in (process / "cmdline").read_bytes():
                found.add(process.name)
        except OSError:
            continue
    return found
