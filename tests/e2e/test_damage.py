"""A damaged log under a stopped cluster: what an interrupted write left is cut, other damage is refused and named."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster, eventually

pytestmark = pytest.mark.timeout(120)

NAMES = [f"kept-{number}" for number in range(5)]


@pytest.fixture
def stopped() -> Iterator[Cluster]:
    """A cluster with some objects, stopped in order."""
    cluster = Cluster(real=False)
    try:
        cluster.up()
        for name in NAMES:
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
            cluster.kubectl("create", "-f", "-", stdin=json.dumps(made))
        cluster.kubus("down")
        yield cluster
    finally:
        cluster.purge()
        cluster.forget()


def log_of(cluster: Cluster) -> tuple[Path, bytes, int]:
    """The state's log, its bytes, and where its last record ends."""
    (path,) = (cluster.data_dir / "actors" / "state@m1").glob("*.log")
    data = path.read_bytes()
    return path, data, len(data.rstrip(b"\0"))


def test_an_interrupted_last_write_is_cut_off_and_said(stopped: Cluster):
    path, data, end = log_of(stopped)
    path.write_bytes(data[: end - 20] + b"\0" * (len(data) - end + 20))
    stopped.up()
    assert {item["metadata"]["name"] for item in stopped.get("configmaps")["items"]} >= set(NAMES)
    assert "an interrupted write was cut off the log" in stopped.log_of("state@m1")


def test_damage_in_the_middle_is_refused_and_nothing_is_lost(stopped: Cluster):
    path, data, end = log_of(stopped)
    middle = end // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :])
    done = stopped.kubus("up", "--detach", "--config", str(stopped.config), status=None)
    said = done.stderr + done.stdout
    assert done.returncode != 0
    assert str(path) in said
    assert "Restore the data directory from a backup" in said
    stopped.kubus("down")
    path.write_bytes(data)
    stopped.up()
    eventually(
        lambda: {item["metadata"]["name"] for item in stopped.get("configmaps")["items"]} >= set(NAMES), "all is there"
    )
