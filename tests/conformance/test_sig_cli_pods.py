"""sig-cli: kubectl, where containers must run: logs, and an application of several tiers."""

import json
import re
from datetime import datetime

import pytest

from tests.cluster import eventually
from tests.conformance.access import Object
from tests.conformance.pods import Space, container, pod

pytestmark = [pytest.mark.real, pytest.mark.timeout(90)]

LINES = 20


def test_logs(space: Space):
    """Kubectl, logs"""
    talk = f"for i in $(seq 1 {LINES}); do echo line $i of the log; done; trap 'exit 0' TERM; sleep 1000000 & wait"
    space.ready(space.start(pod(container(talk), name="talks")))

    def logs(*options: str) -> str:
        return space.api.cluster.kubectl("-n", space.name, "logs", "talks", *options)

    every = [f"line {number} of the log" for number in range(1, LINES + 1)]
    eventually(lambda: logs().splitlines() == every, "all is said", 15)
    assert logs("--tail=1").splitlines() == every[-1:]
    assert logs("--limit-bytes=1") == every[0][0]
    (stamped,) = logs("--tail=1", "--timestamps").splitlines()
    time, _, rest = stamped.partition(" ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", time) and rest == every[-1]
    assert datetime.fromisoformat(time)
    eventually(lambda: logs("--since=1s") == "", "what was said is older than a second", 10)
    assert logs("--since=24h").splitlines() == every


# The primary keeps what it is told in a file; replicas fetch it; the front end writes to the one and reads from the
# others. Each is a web server with one program, and they find each other by the variables of their Services.
PROGRAMS = {
    "primary": """case "$QUERY_STRING" in cmd=set*) echo "${QUERY_STRING##*value=}" > /data/entry;; esac
cat /data/entry""",
    "replica": "cat /data/entry",
    "frontend": """case "$QUERY_STRING" in
cmd=set*) wget -qO- "http://$PRIMARY_SERVICE_HOST:6379/cgi-bin/go?$QUERY_STRING";;
*) wget -qO- "http://$REPLICA_SERVICE_HOST:6379/cgi-bin/go";; esac""",
}
FOLLOW = """while true; do
  wget -qO /data/new "http://$PRIMARY_SERVICE_HOST:6379/cgi-bin/go" && mv /data/new /data/entry
  sleep 0.2
done &
"""
TIERS = {"primary": (1, 6379), "replica": (2, 6379), "frontend": (3, 80)}


def tier(name: str) -> list[Object]:
    """The Service and the Deployment of one tier of the guestbook."""
    replicas, port = TIERS[name]
    program = f"#!/bin/sh\necho Content-Type: text/plain; echo\n{PROGRAMS[name]}\n"
    serve = f"""mkdir -p /www/cgi-bin /data; touch /data/entry; printf '%s' "$PROGRAM" > /www/cgi-bin/go
chmod +x /www/cgi-bin/go
{FOLLOW if name == "replica" else ""}exec httpd -f -p 8080 -h /www"""
    labels = {"app": "guestbook", "tier": name}
    probe = {"httpGet": {"path": "/cgi-bin/go", "port": 8080}, "periodSeconds": 1} if name != "frontend" else {
        "tcpSocket": {"port": 8080}, "periodSeconds": 1}  # fmt: skip
    one = container(serve, env=[{"name": "PROGRAM", "value": program}], readinessProbe=probe)
    template = {"metadata": {"labels": labels}, "spec": pod(one)["spec"] | {"restartPolicy": "Always"}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    ports = [{"port": port, "targetPort": 8080}]
    metadata = {"name": name, "labels": labels}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": labels, "ports": ports}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
    ]


def test_a_guestbook(space: Space):
    """Kubectl, guestbook application"""
    services, deployments = zip(*map(tier, TIERS), strict=True)
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*services, *deployments]})
    kubectl = space.api.cluster.kubectl
    kubectl("-n", space.name, "create", "-f", "-", stdin=manifest)
    kubectl("-n", space.name, "wait", "--for=condition=Available", "deployment", "--all", "--timeout=60s", limit_s=70)
    front = space.path("services", "frontend", "proxy/cgi-bin/go")

    def ask(**query: str) -> str:
        return space.api.request("GET", front, **query).decode().strip()

    eventually(lambda: ask(cmd="set", key="messages", value="TestEntry") == "TestEntry", "the entry is taken", 20)
    eventually(lambda: ask(cmd="get", key="messages") == "TestEntry", "a replica has the entry", 20)
    kubectl("-n", space.name, "delete", "--grace-period=0", "--force", "-f", "-", stdin=manifest)
    eventually(lambda: space.list("pods", "app=guestbook") == [], "the application is stopped", 20)
