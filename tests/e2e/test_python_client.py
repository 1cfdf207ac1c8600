"""The official Python client: every verb, and a watch that survives the API server's death without missing anything."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import Cluster, eventually

pytestmark = pytest.mark.timeout(180)

SCRIPT = str(Path(__file__).with_name("python_client.py"))


def test_every_verb(simulated_cluster: Cluster):
    assert simulated_cluster.run(sys.executable, SCRIPT, "tour", limit_s=90).stdout.strip() == "toured"


def test_a_watch_survives_the_api_server_and_misses_nothing(simulated_cluster: Cluster):
    count = 30
    watcher = subprocess.Popen(
        simulated_cluster.inside([sys.executable, SCRIPT, "watch", str(count)]),
        stdout=subprocess.PIPE,
        text=True,
        env=simulated_cluster.environment(),
    )
    try:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "ready\n"
        names = [f"w-{number:03}" for number in range(count)]
        for number, name in enumerate(names):
            if number in (10, 20):
                before = simulated_cluster.actor("apiserver@m1")["pid"]
                simulated_cluster.kubus("kill", "apiserver@m1", "--signal", "KILL")
                eventually(
                    lambda before=before: simulated_cluster.actor("apiserver@m1")["pid"] != before, "a new API server"
                )
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
            eventually(lambda made=made: create(simulated_cluster, made), f"{name} is there")
        seen, _ = watcher.communicate(timeout=60)
    finally:
        watcher.kill()
        watcher.wait()
    assert seen.split() == names


def create(cluster: Cluster, made: dict) -> bool:
    """Create an object, whether or not an earlier try with an unknown outcome did."""
    done = cluster.run("kubectl", "create", "-f", "-", stdin=json.dumps(made), status=None)
    return done.returncode == 0 or "AlreadyExists" in done.stderr
