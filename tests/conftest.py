"""Fixtures of the real tier: whether it can run here, and clusters that clean up after themselves."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests import traces
from tests.cluster import Cluster


NOT_REAL = pytest.StashKey[str]()


def why_not_real(config: pytest.Config) -> str:
    """Return why a cluster with containerd can't be made here, or nothing."""
    if NOT_REAL in config.stash:
        return config.stash[NOT_REAL]
    if sys.platform != "linux":
        return "containers need Linux"
    if os.geteuid() != 0:
        return "containers need root"
    return ""


def need_real() -> None:
    """Skip a test where the real tier can't run; in CI that is a failure."""
    if reason := why_not_real(pytestconfig):
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
def real_cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """One cluster with containerd for all tests that don't kill it."""
    need_real()
    yield from brought_up(real=True)


@pytest.fixture(scope="module")
def own_real_cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster with containerd for one file of tests, which may kill it piece by piece."""
    need_real()
    yield from brought_up(real=True)


@pytest.fixture(scope="module")
def simulated_cluster() -> Iterator[Cluster]:
    """A cluster whose pods are played by rule: real control-plane processes, no containers."""
    yield from brought_up(real=False)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Before the first test of the real tier, install what this machine lacks for it, as `kubus up` would.

    Here and not in a fixture: the clusters of tests live in network namespaces, from which no package can be had.
    """
    if why_not_real(session.config) or session.config.option.collectonly:
        return
    if any(item.get_closest_marker("real") for item in session.items):
        from actors.cluster import install

        try:
            install.install_missing(print)
        except install.InstallError as error:
            session.config.stash[NOT_REAL] = str(error)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Where a test of a cluster fails, show what the cluster looked like then."""
    report = yield
    if report.failed:
        clusters = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Cluster)]
        for cluster in clusters[:1]:
            report.sections.append(("the cluster", cluster.picture()))
    return report
