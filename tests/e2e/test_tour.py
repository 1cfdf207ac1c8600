"""The README's tour with the real kubectl, on real containerd: what a user does in the first ten minutes."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.cluster import Cluster, eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "web.yaml"
WEB = ("-n", "web")


@pytest.fixture(scope="module")
def web(real_cluster: Cluster) -> Cluster:
    """The cluster, with the web example applied and ready."""
    real_cluster.kubectl("apply", "-f", str(EXAMPLE))
    real_cluster.kubectl(*WEB, "rollout", "status", "deployment/web", "--timeout=60s", limit_s=70)
    return real_cluster


def pods(cluster: Cluster) -> list[dict]:
    """The web pods that are not being deleted."""
    found = cluster.get(*WEB, "pods", "-l", "app=web")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def ready_pods(cluster: Cluster, count: int) -> list[dict]:
    """The web pods, once there are exactly `count` and all are Ready; else an empty list."""
    found = pods(cluster)
    all_ready = all(
        any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
        for pod in found
    )
    return found if all_ready and len(found) == count else []


def names(found: list[dict]) -> set[str]:
    return {pod["metadata"]["name"] for pod in found}


def pages(cluster: Cluster, address: str, fetch: list[str], tries: int = 30) -> set[str]:
    """Which pods answered."""
    answers = [cluster.run(*fetch, f"http://{address}/index.html").stdout.strip() for _ in range(tries)]
    assert all(answer.startswith("Hello from web-") for answer in answers), answers
    return {answer.removeprefix("Hello from ") for answer in answers}


def test_three_pods_of_two_containers_run_and_are_ready(web):
    found = ready_pods(web, 3)
    assert len(found) == 3
    for pod in found:
        states = {status["name"]: status for status in pod["status"]["containerStatuses"]}
        assert set(states) == {"writer", "server"}
        assert all(status["ready"] and "running" in status["state"] for status in states.values())
        assert pod["status"]["phase"] == "Running"
        assert pod["status"]["podIP"]


def test_the_containers_are_really_in_containerd(web):
    tasks = [
        status["containerID"].removeprefix("containerd://")
        for pod in pods(web)
        for status in pod["status"]["containerStatuses"]
    ]
    cgroups = "\n".join(path.read_text() for path in Path("/proc").glob("[0-9]*/cgroup") if path.exists())
    assert len(tasks) == 6
    assert [task for task in tasks if task not in cgroups] == []


def test_the_cluster_ip_answers_from_the_host_with_all_three(web):
    address = web.get(*WEB, "service", "web")["spec"]["clusterIP"]
    expected = names(pods(web))
    curl = ["curl", "-s", "--max-time", "3"]
    eventually(lambda: pages(web, address, curl) == expected, "the Service reaches all three pods")


def test_the_cluster_ip_answers_from_another_pod_with_all_three(web):
    address = web.get(*WEB, "service", "web")["spec"]["clusterIP"]
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "caller", "namespace": "web"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "c",
                    "image": "kubus.local/toolbox:latest",
                    "command": ["sh", "-c", f"for i in $(seq 30); do wget -qO- http://{address}/index.html; done"],
                }
            ],
        },
    }
    web.apply(json.dumps(manifest))
    eventually(lambda: web.get(*WEB, "pod", "caller")["status"]["phase"] == "Succeeded", "the caller has ended")
    answers = web.kubectl(*WEB, "logs", "caller").split("\n")
    assert {answer.removeprefix("Hello from ") for answer in answers if answer} == names(pods(web))
    web.kubectl(*WEB, "delete", "pod", "caller")


def test_the_containers_of_a_pod_share_their_network(web):
    manifest = """
apiVersion: v1
kind: Pod
metadata: {name: pair, namespace: web}
spec:
  restartPolicy: Never
  containers:
  - name: server
    image: kubus.local/toolbox:latest
    command: [sh, -c, "echo local > /tmp/index.html; exec httpd -f -p 9090 -h /tmp"]
  - name: asker
    image: kubus.local/toolbox:latest
    command: [sh, -c, "until wget -qO- http://localhost:9090/index.html; do sleep 0.1; done"]
"""
    web.apply(manifest)
    eventually(
        lambda: "local" in web.kubectl(*WEB, "logs", "pair", "-c", "asker"), "one reached the other on localhost"
    )
    web.kubectl(*WEB, "delete", "pod", "pair", "--grace-period=1")


def test_a_killed_process_is_restarted_in_the_same_pod(web):
    pod = pods(web)[0]
    name = pod["metadata"]["name"]
    status = next(s for s in pod["status"]["containerStatuses"] if s["name"] == "server")
    container = status["containerID"].removeprefix("containerd://")
    pids = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cgroup")
        if path.exists() and container in path.read_text()
    ]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)

    def restarted():
        now = web.get(*WEB, "pod", name)
        server = next(s for s in now["status"]["containerStatuses"] if s["name"] == "server")
        return server["restartCount"] == status["restartCount"] + 1 and server["ready"] and server

    server = eventually(restarted, "the container was restarted and is ready again", 40)
    assert server["containerID"] != status["containerID"]
    assert server["lastState"]["terminated"]["exitCode"] == 137


def test_a_deleted_pod_is_replaced(web):
    before = names(ready_pods(web, 3))
    gone = sorted(before)[0]
    web.kubectl(*WEB, "delete", "pod", gone)
    after = names(eventually(lambda: ready_pods(web, 3), "three pods again"))
    assert gone not in after
    assert len(after & before) == 2


def test_scaling_up_and_down(web):
    web.kubectl(*WEB, "scale", "deployment", "web", "--replicas=5")
    eventually(lambda: ready_pods(web, 5), "five pods")
    web.kubectl(*WEB, "scale", "deployment", "web", "--replicas=3")
    eventually(lambda: ready_pods(web, 3), "three pods")


def test_a_rolling_restart_replaces_every_pod_and_a_rollback_works(web):
    before = names(eventually(lambda: ready_pods(web, 3), "three pods"))
    web.kubectl(*WEB, "rollout", "restart", "deployment/web")
    web.kubectl(*WEB, "rollout", "status", "deployment/web", "--timeout=60s", limit_s=70)
    after = names(eventually(lambda: ready_pods(web, 3), "three new pods"))
    assert after & before == set()
    history = web.kubectl(*WEB, "rollout", "history", "deployment/web")
    assert len(re.findall(r"^\d+ ", history, re.M)) == 2
    web.kubectl(*WEB, "rollout", "undo", "deployment/web")
    web.kubectl(*WEB, "rollout", "status", "deployment/web", "--timeout=60s", limit_s=70)


def test_what_kubectl_shows(web):
    table = web.kubectl(*WEB, "get", "pods", "-o", "wide")
    assert table.split("\n")[0].split() == [
        "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED", "NODE", "READINESS", "GATES",
    ]  # fmt: skip
    assert " 2/2 " in table
    described = web.kubectl(*WEB, "describe", "pod", pods(web)[0]["metadata"]["name"])
    assert re.search(r"Scheduled\s.*Successfully assigned web/", described)
    assert re.search(r"Started\s", described)
    assert "ScalingReplicaSet" in web.kubectl(*WEB, "get", "events")
    assert web.kubectl(*WEB, "events", "--types=Normal")
    assert "ContainerPort" in web.kubectl("explain", "pod.spec.containers.ports")
    assert "deployments" in web.kubectl("api-resources")
    assert "apps/v1" in web.kubectl("api-versions")
    assert re.search(r"w1\s+Ready", web.kubectl("get", "nodes"))
    assert "containerd" in web.kubectl("describe", "node", "w1")
    assert "Running" in web.kubectl("get", "deploy,rs,pods,svc,endpointslices", "-A")
    assert web.kubectl("version").count("v1.3") == 2
    assert web.kubectl("auth", "can-i", "create", "pods").strip() == "yes"


def test_a_service_accounts_token_works(web):
    token = web.kubectl(*WEB, "create", "token", "default").strip()
    who = json.loads(web.kubectl("auth", "whoami", "-o", "json", f"--token={token}", "--kubeconfig", _bare(web)))
    assert who["status"]["userInfo"]["username"] == "system:serviceaccount:web:default"


def _bare(cluster: Cluster) -> str:
    """A kubeconfig without a client certificate."""
    config = cluster.data_dir / "kubeconfig.bare"
    text = (cluster.data_dir / "kubeconfig").read_text()
    kept = [
        line for line in text.splitlines() if "client-certificate-data" not in line and "client-key-data" not in line
    ]
    config.write_text("\n".join(kept) + "\n")
    return str(config)


def test_logs_follow_tail_and_timestamps(web):
    manifest = """
apiVersion: v1
kind: Pod
metadata: {name: talker, namespace: web}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: kubus.local/toolbox:latest
    command: [sh, -c, "for i in $(seq 1 200); do echo line $i; done; sleep 1; echo last"]
"""
    web.apply(manifest)
    eventually(lambda: web.get(*WEB, "pod", "talker")["status"]["phase"] != "Pending", "the talker runs")
    followed = web.kubectl(*WEB, "logs", "-f", "talker").splitlines()
    assert followed == [*(f"line {i}" for i in range(1, 201)), "last"]
    assert web.kubectl(*WEB, "logs", "--tail=2", "talker").splitlines() == ["line 200", "last"]
    assert re.match(r"^\d{4}-\d\d-\d\dT\S+Z last$", web.kubectl(*WEB, "logs", "--tail=1", "--timestamps", "talker"))
    web.kubectl(*WEB, "delete", "pod", "talker")


def test_an_image_that_does_not_exist_backs_off_and_says_so(web):
    web.kubectl(*WEB, "run", "nobody", "--image=localhost:1/nobody/nothing:1", "--restart=Never")

    def waits_for():
        pod = web.get(*WEB, "pod", "nobody")
        return pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]

    eventually(lambda: waits_for() == "ImagePullBackOff", "the pull backs off", 60)
    events = web.kubectl(*WEB, "events", "--for", "pod/nobody")
    assert "Failed to pull image" in events
    web.kubectl(*WEB, "delete", "pod", "nobody", "--grace-period=0", "--force")


def test_deleting_the_manifest_leaves_nothing(web):
    web.kubectl("delete", "-f", str(EXAMPLE), "--timeout=90s", limit_s=100)
    assert "NotFound" in web.run("kubectl", "get", "namespace", "web", status=1).stderr
    assert web.get("pods", "-A")["items"] == []
