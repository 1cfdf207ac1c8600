"""Fixtures of the conformance tests: one connection to the session's cluster, and a namespace for each module."""

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.conformance.access import Api
from tests.conformance.pods import Space, space_of


@pytest.fixture(scope="session")
def api(real_cluster: Cluster) -> Api:
    return Api(real_cluster)


@pytest.fixture(scope="module")
def space(api: Api, request: pytest.FixtureRequest) -> Iterator[Space]:
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    with space_of(api, name) as made:
        yield made
