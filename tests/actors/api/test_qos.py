"""Classes of pods, as Kubernetes' table has them."""

import pytest

from actors.api.qos import qos_class

BOTH, MORE = {"cpu": "1", "memory": "1Gi"}, {"cpu": "2", "memory": "1Gi"}


def owner(requests: dict[str, str], limits: dict[str, str]) -> dict:
    return {"resources": {"requests": requests, "limits": limits}}


@pytest.mark.parametrize(
    ("owners", "expected"),
    [
        ([], "BestEffort"),
        ([{}], "BestEffort"),
        ([owner({"cpu": "0"}, {})], "BestEffort"),
        ([owner({"example.com/x": "1"}, {"example.com/x": "1"})], "BestEffort"),
        ([owner(BOTH, BOTH)], "Guaranteed"),
        ([owner({}, BOTH)], "Guaranteed"),
        ([owner({"cpu": "1000m", "memory": "1024Mi"}, BOTH)], "Guaranteed"),
        ([owner(BOTH, {})], "Burstable"),
        ([owner(BOTH, MORE)], "Burstable"),
        ([owner({}, {"cpu": "1"})], "Burstable"),
        ([owner(BOTH, BOTH), {}], "Burstable"),
        ([owner({"cpu": "0", "memory": "0"}, BOTH)], "Burstable"),
        ([owner({"cpu": "0", "memory": "1Gi"}, BOTH)], "Burstable"),
        ([owner({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "0"})], "Burstable"),
    ],
)
def test_the_class_of_a_pod(owners, expected):
    assert qos_class({"containers": owners}) == expected
    assert qos_class({"containers": owners[:1], "initContainers": owners[1:]}) == expected
    if len(owners) == 1 and owners[0]:
        assert qos_class({"containers": [{}], "resources": owners[0]["resources"]}) == expected
