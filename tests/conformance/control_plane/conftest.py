"""Fixtures of the behaviours for which nothing must really run: one simulated cluster for all of them.

Its processes are those of a real cluster but for the kubelets, which play their pods by rule. `api` here is that
cluster's, so that `space` and all that is built on it are there too.
"""

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.conformance.access import Api
from tests.conformance.pods import Space
from tests.e2e.webhook_server import WebhookServer, serving


@pytest.fixture(scope="session")
def api(shared_cluster: Cluster) -> Api:
    return Api(shared_cluster)


@pytest.fixture(scope="session")
def whole(api: Api) -> Space:
    """What is in no namespace."""
    return Space(api, "")


@pytest.fixture(scope="session")
def webhooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebhookServer]:
    with serving(tmp_path_factory.mktemp("webhooks")) as server:
        yield server
