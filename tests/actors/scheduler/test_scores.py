"""What each score prefers, and the numbers kube-scheduler's formulas give."""

import pytest

from actors.scheduler.arrays import NodeArrays
from actors.scheduler.cache import Cache, placed_pod
from actors.scheduler.node_info import node_info
from actors.scheduler.plan import Plan
from actors.scheduler.pod_requests import nonzero_requests, pod_requests
from actors.scheduler.requirements import compile_requirements, signature
from actors.scheduler.scores import (
    balanced_allocation,
    image_locality,
    inter_pod_affinity,
    least_allocated,
    node_affinity,
    pod_topology_spread,
    taint_toleration,
)
from tests.actors.scheduler.objects import Object, node, pod

MI = 1024 * 1024


def arrays_of(*nodes: Object, placed: tuple[Object, ...] = ()) -> NodeArrays:
    arrays = NodeArrays()
    cache = Cache(arrays)
    for obj in nodes:
        cache.put_node(node_info(obj))
    for obj in placed:
        on = obj["spec"]["nodeName"]
        cache.confirm(obj["metadata"]["name"], placed_pod(obj, on, compile_requirements(obj)))
    return arrays


def scores(score, arrays: NodeArrays, obj: Object) -> list[int]:
    requirements = compile_requirements(obj)
    raw = score.score(arrays, requirements, arrays.all_rows)
    if hasattr(score, "normalize"):
        raw = score.normalize(raw, arrays.valid[arrays.all_rows])
    return raw.tolist()


def test_least_allocated_is_the_mean_percentage_left():
    arrays = arrays_of(node("n1", "4", "10000Mi"), placed=(pod("a", "1", "4000Mi", on="n1"),))
    assert scores(least_allocated, arrays, pod("new", "1", "1000Mi")) == [(50 + 50) // 2]


def test_a_pod_that_asks_for_nothing_counts_with_defaults():
    arrays = arrays_of(node("n1", "1", "1000Mi"))
    assert scores(least_allocated, arrays, pod("new")) == [(90 + 80) // 2]


def test_balanced_allocation_prefers_the_node_that_the_pod_brings_into_balance():
    lopsided = pod("a", "2", "1Mi", on="uses-cpu"), pod("b", "1m", "4000Mi", on="uses-memory")
    arrays = arrays_of(node("uses-cpu", "4", "8000Mi"), node("uses-memory", "4", "8000Mi"), placed=lopsided)
    better, worse = scores(balanced_allocation, arrays, pod("new", "1m", "4000Mi"))
    assert better == 50 + (50 + 99 - 75) // 2
    assert worse < 75 < better


def test_balance_does_not_matter_to_a_pod_without_requests():
    assert scores(balanced_allocation, arrays_of(node("n1"), node("n2", "1")), pod("new")) == [0, 0]


def test_taints_of_preference_are_avoided_unless_tolerated():
    soft = [("a", "", "PreferNoSchedule"), ("b", "", "PreferNoSchedule")]
    arrays = arrays_of(node("none"), node("one", taints=soft[:1]), node("two", taints=soft))
    assert scores(taint_toleration, arrays, pod("new")) == [100, 50, 0]
    tolerant = pod("new", tolerations=[{"operator": "Exists"}])
    assert scores(taint_toleration, arrays, tolerant) == [100, 100, 100]


def test_preferred_node_affinity_adds_weights():
    def prefer(weight: int, key: str) -> Object:
        return {"weight": weight, "preference": {"matchExpressions": [{"key": key, "operator": "Exists"}]}}

    arrays = arrays_of(node("both", labels={"a": "", "b": ""}), node("b-only", labels={"b": ""}), node("none"))
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": [prefer(30, "a"), prefer(10, "b")]}
    assert scores(node_affinity, arrays, pod("new", affinity={"nodeAffinity": preferred})) == [100, 25, 0]


def test_images_that_are_there_count_by_size_and_spread():
    held = [{"names": ["registry:5000/app"], "sizeBytes": 1000 * MI}]
    arrays = arrays_of(node("has", images=held), node("has-not"))
    # Half of the nodes have it: 500 MiB, less 23, of 977.
    assert scores(image_locality, arrays, pod("new", image="registry:5000/app")) == [48, 0]
    assert scores(image_locality, arrays, pod("new", image="registry:5000/app:v2")) == [0, 0]


def affinity(kind: str, app: str, key: str, weight: int = 0) -> Object:
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key}
    if weight:
        terms = [{"weight": weight, "podAffinityTerm": term}]
        return {kind: {"preferredDuringSchedulingIgnoredDuringExecution": terms}}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


ZONES = tuple(node(f"{zone}{n}", labels={"zone": zone}) for zone in "ab" for n in range(2))


def test_preferred_pod_affinity_draws_to_the_domain_and_anti_affinity_away_from_it():
    arrays = arrays_of(*ZONES, placed=(pod("db", labels={"app": "db"}, on="a0"),))
    near = pod("new", affinity=affinity("podAffinity", "db", "zone", 10))
    apart = pod("new", affinity=affinity("podAntiAffinity", "db", "zone", 10))
    assert scores(inter_pod_affinity, arrays, near) == [100, 100, 0, 0]
    assert scores(inter_pod_affinity, arrays, apart) == [0, 0, 100, 100]


def test_a_placed_pods_affinity_draws_pods_it_wants_near():
    db = pod("db", on="b1", affinity=affinity("podAffinity", "web", "zone"))
    web = pod("new", labels={"app": "web"})
    assert scores(inter_pod_affinity, arrays_of(*ZONES, placed=(db,)), web) == [0, 0, 100, 100]


def test_soft_spread_prefers_the_emptier_domain_and_puts_nodes_without_the_key_last():
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    placed = tuple(pod(f"w{n}", labels={"app": "web"}, on="a0") for n in range(3))
    arrays = arrays_of(*ZONES, node("nowhere"), placed=placed)
    a0, a1, b0, b1, nowhere = scores(
        pod_topology_spread, arrays, pod("new", labels={"app": "web"}, topologySpreadConstraints=[constraint])
    )
    assert a0 == a1 < b0 == b1 == 100
    assert nowhere == 0


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": [("1", ""), ("500m", "")]}, 1500),
        ({"containers": [("1", "")], "init": [("3", ""), ("2", "")]}, 3000),
        ({"containers": [("1", "")], "init": [("500m", "Always"), ("1", "")]}, 1500),
        ({"containers": [("1", "")], "init": [("1", ""), ("500m", "Always"), ("2", "")]}, 2500),
        ({"containers": [("1", "")], "overhead": "250m"}, 1250),
        ({"containers": [("1", "")], "pod": "4"}, 4000),
    ],
    ids=["sum", "largest-init", "sidecar-adds", "init-beside-sidecar", "overhead", "pod-level"],
)
def test_how_much_a_pod_asks_for(spec, expected):
    def containers(listed):
        return [{"resources": {"requests": {"cpu": cpu}}, "restartPolicy": policy} for cpu, policy in listed]

    obj: Object = {"containers": containers(spec["containers"]), "initContainers": containers(spec.get("init", ()))}
    if "overhead" in spec:
        obj["overhead"] = {"cpu": spec["overhead"]}
    if "pod" in spec:
        obj["resources"] = {"requests": {"cpu": spec["pod"]}}
    assert pod_requests(obj) == {"cpu": expected}


def test_defaults_are_for_each_container_that_leaves_a_resource_out():
    spec = {"containers": [{"resources": {"requests": {"cpu": "1"}}}, {}]}
    assert nonzero_requests(spec) == (1100, 400 * MI)


def test_pods_that_differ_in_what_matters_have_different_signatures():
    base = pod("a", "1")
    same = pod("b", "1", labels={"pod-name": "b"}, meta={"annotations": {"x": "y"}})
    assert signature(base, False) == signature(same, False)
    assert signature(base, True) != signature(same, True)
    others = [
        pod("a", "2"),
        pod("a", "1", nodeSelector={"x": "y"}),
        pod("a", "1", tolerations=[{"operator": "Exists"}]),
        pod("a", "1", image="other"),
        pod("a", "1", ports=[{"hostPort": 80}]),
        pod("a", "1", overhead={"cpu": "1"}),
        pod("a", "1", affinity=affinity("podAffinity", "db", "zone")),
        pod("a", "1", initContainers=[{"name": "i"}]),
        pod("a", "1", resources={"requests": {"cpu": "3"}}),
    ]
    signatures = {signature(other, False) for other in others}
    assert len(signatures) == len(others) and signature(base, False) not in signatures


def test_the_plan_adds_weighted_scores():
    arrays = arrays_of(node("n1", "4", "10000Mi"))
    obj = pod("new", "1", "2500Mi")
    ranks = Plan(arrays, compile_requirements(obj)).ranks().tolist()
    least, balanced, image, taints, affinities = 75, 75, 0, 3 * 100, 0
    assert ranks == [least + balanced + image + taints + affinities]
