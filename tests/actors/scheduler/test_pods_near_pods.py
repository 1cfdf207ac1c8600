"""Required affinity between pods and hard topology spread."""

from actors.scheduler.requirements import compile_requirements, signature
from tests.actors.scheduler.objects import Object, node, pod
from tests.actors.scheduler.test_core import Cluster
from tests.actors.scheduler.test_scores import ZONES, affinity


def zone(decided: str) -> str:
    return decided[0]


def test_required_affinity_goes_where_the_wanted_pods_are():
    cluster = Cluster(*ZONES)
    cluster.pod(pod("db", labels={"app": "db"}, on="b0"))
    cluster.pod(pod("web", affinity=affinity("podAffinity", "db", "zone")))
    assert zone(cluster.schedule()["web"]) == "b"


def test_required_affinity_waits_for_a_wanted_pod_and_is_tried_when_one_is_placed():
    cluster = Cluster(*ZONES)
    cluster.pod(pod("web", affinity=affinity("podAffinity", "db", "zone")))
    assert cluster.schedule()["web"] == "0/4 nodes are available: 4 node(s) didn't match pod affinity rules."
    cluster.now_s = 2.0
    cluster.pod(pod("db", labels={"app": "db"}, on="a1"))
    assert zone(cluster.schedule()["web"]) == "a"


def test_the_first_of_pods_that_keep_together_may_go_anywhere_and_the_rest_follow():
    cluster = Cluster(*ZONES)
    for n in range(4):
        cluster.pod(pod(f"p{n}", labels={"app": "x"}, affinity=affinity("podAffinity", "x", "zone")))
    assert len({zone(on) for on in cluster.schedule().values()}) == 1


def test_anti_affinity_puts_one_in_each_domain():
    cluster = Cluster(*ZONES)
    for n in range(3):
        cluster.pod(pod(f"p{n}", labels={"app": "x"}, affinity=affinity("podAntiAffinity", "x", "zone")))
    decided = cluster.schedule()
    assert sorted(zone(on) for on in decided.values()) == ["0", "a", "b"]
    assert decided["p2"] == "0/4 nodes are available: 4 node(s) didn't match pod anti-affinity rules."


def test_a_placed_pods_anti_affinity_keeps_others_away_until_it_goes():
    cluster = Cluster(node("n1", labels={"zone": "a"}))
    cluster.pod(pod("loner", on="n1", affinity=affinity("podAntiAffinity", "web", "zone")))
    cluster.pod(pod("web", labels={"app": "web"}))
    cluster.pod(pod("other", labels={"app": "other"}))
    decided = cluster.schedule()
    assert decided["other"] == "n1"
    assert decided["web"] == ("0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.")
    cluster.now_s = 2.0
    cluster.delete_pod("loner")
    assert cluster.schedule() == {"web": "n1"}


def test_terms_reach_other_namespaces_only_when_they_say_so():
    term = {"labelSelector": {}, "topologyKey": "zone", "namespaceSelector": {"matchLabels": {"team": "db"}}}
    wants = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    cluster = Cluster(*ZONES)
    theirs = pod("db", namespace="theirs", on="b0")
    cluster.core.pod_changed("theirs/db", None, theirs, 0.0)
    cluster.pod(pod("web", affinity=wants))
    assert "didn't match pod affinity rules" in cluster.schedule()["web"]
    cluster.now_s = 2.0
    cluster.core.namespace_changed("theirs", {"team": "db"}, 2.0)
    assert zone(cluster.schedule()["web"]) == "b"


def spread(**more) -> list[Object]:
    selector = {"matchLabels": {"app": "x"}}
    constraint = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}
    return [constraint | more]


def test_hard_spread_keeps_domains_within_max_skew():
    cluster = Cluster(*ZONES, node("nowhere"))
    for n in range(7):
        cluster.pod(pod(f"p{n}", labels={"app": "x"}, topologySpreadConstraints=spread()))
    zones = [zone(on) for on in cluster.schedule().values()]
    assert sorted((zones.count("a"), zones.count("b"))) == [3, 4]


def test_hard_spread_with_too_few_domains_counts_the_missing_as_empty():
    cluster = Cluster(*ZONES)
    for n in range(3):
        cluster.pod(pod(f"p{n}", labels={"app": "x"}, topologySpreadConstraints=spread(minDomains=3)))
    decided = cluster.schedule()
    assert sorted(zone(on) for on in decided.values()) == ["0", "a", "b"]
    assert decided["p2"] == "0/4 nodes are available: 4 node(s) didn't match pod topology spread constraints."


def test_a_full_domain_still_counts_for_the_spread():
    cluster = Cluster(node("a0", cpu="1", labels={"zone": "a"}), node("b0", cpu="9", labels={"zone": "b"}))
    for n in range(4):
        cluster.pod(pod(f"p{n}", "1", labels={"app": "x"}, topologySpreadConstraints=spread()))
    decided = cluster.schedule()
    assert sorted(on for on in decided.values() if on in ("a0", "b0")) == ["a0", "b0", "b0"]


def replica(name: str, kind: str = "ReplicaSet", **more) -> Object:
    owner = {"kind": kind, "name": "owner", "uid": "owner", "controller": True}
    return pod(name, "10m", "1Mi", meta={"ownerReferences": [owner]}, **more)


def test_replicas_spread_over_hosts_and_zones_without_being_told():
    for seed in range(10):
        zoned = [(z, n, {"topology.kubernetes.io/zone": z}) for z in "ab" for n in range(2)]
        cluster = Cluster(*(node(f"{z}{n}", cpu="64", labels=labels) for z, n, labels in zoned), seed=seed)
        for n in range(4):
            cluster.pod(replica(f"p{n}", labels={"app": "x"}))
        decided = cluster.schedule()
        assert sorted(decided.values()) == ["a0", "a1", "b0", "b1"]
        assert zone(decided["p0"]) != zone(decided["p1"])


def test_default_spread_is_a_preference_and_leaves_bare_pods_alone():
    cluster = Cluster(node("n1"))
    for n in range(5):
        cluster.pod(replica(f"p{n}", labels={"app": "x"}))
    cluster.pod(pod("bare", labels={"app": "x"}))
    assert set(cluster.schedule().values()) == {"n1"}
    assert compile_requirements(pod("bare", labels={"app": "x"})).spread == ()


def test_replicas_of_a_stateful_set_are_of_one_kind_in_spite_of_their_own_labels():
    def numbered(n: int, app: str = "x") -> Object:
        labels = {
            "app": app,
            "apps.kubernetes.io/pod-index": str(n),
            "statefulset.kubernetes.io/pod-name": f"{app}-{n}",
        }
        return replica(f"{app}-{n}", "StatefulSet", labels=labels)

    assert signature(numbered(0), False) == signature(numbered(1), False)
    assert signature(numbered(0), False) != signature(numbered(0, "y"), False)
    assert signature(numbered(0), True) != signature(numbered(1), True)
