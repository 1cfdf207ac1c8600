"""default/kubernetes: which API servers are its endpoints, and when they are written."""

from actors.api.addresses import Address
from actors.api.config import ApiServerConfig, ClusterConfig, NodeConfig
from actors.apiserver.bootstrap.endpoints_upkeep import changed, others_of
from actors.apiserver.bootstrap.kubernetes_service import endpoints


def test_others_are_those_on_addresses_that_pods_reach():
    nodes = {f"m{n}": NodeConfig(["apiserver"], address=f"10.0.0.{n}") for n in (1, 2, 3)}
    config = ClusterConfig(nodes, apiserver=ApiServerConfig(port=6444))
    own = Address("10.0.0.2", 6444)
    assert [each.host for each in others_of(config, own)] == ["10.0.0.1", "10.0.0.3"]
    alone = ClusterConfig({f"m{n}": NodeConfig(["apiserver"]) for n in (1, 2, 3)})
    assert others_of(alone, Address("127.0.0.1", 6443)) == []


def test_only_a_difference_is_written_and_only_where_it_is():
    for before, after in zip(endpoints(["10.0.0.1"], 6444), endpoints(["10.0.0.1", "10.0.0.2"], 6444), strict=True):
        stored = {**before, "metadata": {**before["metadata"], "resourceVersion": "7"}}
        assert changed(stored, before) is None
        update = changed(stored, after)
        assert update is not None and update["metadata"]["resourceVersion"] == "7"
        assert "10.0.0.2" in str(update) and changed(update, after) is None
