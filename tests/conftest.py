"""Fixtures of the real tier: whether it can run here, and clusters that clean up after themselves."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests import traces
from tests.cluster import Cluster


def why_not_real() -> str:
    """Return why a cluster with containerd can't be made here, or nothing."""
    if sys.platform != "linux":
        return "containers need Linux"
    if os.geteuid() != 0:
        return "containers need root"
    return ""


def need_real() -> None:
    """Skip a test where the real tier can't run; in CI that is a failure."""
    if reason := why_not_real():
        if os.environ.get("CI"):
            pytest.fail(f"the real tier must run in CI, but: {reason}")
        pytest.skip(f"real tier: {reason}")


def brought_up(*, real: bool, config: str | None = None) -> Iterator[Cluster]:
    cluster = Cluster(real=real, config=config)
    try:
        cluster.up()
        yield cluster
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Where a test of a cluster fails, show what the cluster looked like then."""
    report = yield
    if report.failed:
        clusters = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Cluster)]
        for cluster in clusters[:1]:
            report.sections.append(("the cluster", cluster.picture()))
    return report
