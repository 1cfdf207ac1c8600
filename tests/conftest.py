"""Clusters for tests, which clean up after themselves."""

import signal
from collections.abc import Iterator

import pytest

from tests import leaks, traces
from tests.cluster import Cluster
from tests.real_tier import need_real, why_not_real

# What tests stop by Ctrl-C, as a user does, must hear it, also where the tests run in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)


def brought_up(*, real: bool, config: str | None = None) -> Iterator[Cluster]:
    cluster = Cluster(real=real, config=config)
    try:
        cluster.up()
        yield cluster
        if real:
            leaks.check_empty(cluster)
    finally:
        cluster.purge()
        left = traces.of_cluster(cluster.data_dir, cluster.namespace)
        cluster.forget()
        assert left == [], "the cluster left traces"


@pytest.fixture(scope="session")
def real_cluster() -> Iterator[Cluster]:
    """One cluster with containerd for all tests that don't kill it."""
    need_real()
    yield from brought_up(real=True)


@pytest.fixture(scope="module")
def own_real_cluster() -> Iterator[Cluster]:
    """A cluster with containerd for one file of tests, which may kill it piece by piece."""
    need_real()
    yield from brought_up(real=True)


@pytest.fixture(scope="module")
def simulated_cluster() -> Iterator[Cluster]:
    """A cluster whose pods are played by rule: real control-plane processes, no containers."""
    yield from brought_up(real=False)


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Cluster]:
    """One simulated cluster for all tests that keep to namespaces, nodes and names of their own, and tidy up."""
    yield from brought_up(real=False)


@pytest.fixture(autouse=True)
def no_pod_leaves_anything(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test with a real cluster, see that its node has nothing of pods that are gone."""
    yield
    for value in getattr(request.node, "funcargs", {}).values():
        if isinstance(value, Cluster) and value.real:
            leaks.check(value)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Before the first test of the real tier, install what this machine lacks for it."""
    if not session.config.option.collectonly and any(item.get_closest_marker("real") for item in session.items):
        why_not_real()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Where a test of a cluster fails, show what the cluster looked like then."""
    report = yield
    if report.failed:
        clusters = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Cluster)]
        for cluster in clusters[:1]:
            report.sections.append(("the cluster", cluster.picture()))
    return report
