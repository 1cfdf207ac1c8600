"""One simulated cluster for the clients of others, and a namespace of its own for each test."""

import itertools
from pathlib import Path

import pytest

from tests.cluster import Cluster

COUNTER = itertools.count()


@pytest.fixture(scope="session")
def cluster(shared_cluster: Cluster) -> Cluster:
    return shared_cluster


@pytest.fixture(scope="session")
def kubeconfig(cluster: Cluster) -> str:
    return str(cluster.data_dir / "kubeconfig")


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A new namespace. Nobody waits for its end: the cluster goes with it."""
    name = f"client-{next(COUNTER)}"
    cluster.kubectl("create", "namespace", name)
    return name


@pytest.fixture(scope="session")
def crontabs(cluster: Cluster) -> str:
    """The definition of a custom resource with status and scale, and its API version."""
    cluster.kubectl("apply", "-f", str(Path(__file__).with_name("crontabs.yaml")))
    cluster.kubectl("wait", "--for=condition=established", "crd/crontabs.clients.example.com", "--timeout=10s")
    return "clients.example.com/v1"
