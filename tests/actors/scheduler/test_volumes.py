"""Where a pod may go for the sake of its claims."""

from typing import Any

from actors.scheduler.core import Bind, SchedulerCore
from actors.scheduler.volumes import VolumeView
from tests.actors.scheduler.objects import Object, node, pod


def claim(name: str = "data", **spec: Any) -> Object:
    amount = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": amount | spec}


def volume(name: str, on: str = "", **spec: Any) -> Object:
    made: Object = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local"}
    if on:
        match = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [on]}]
        made["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": match}]}}
    return {"metadata": {"name": name}, "spec": made | spec, "status": {"phase": "Available"}}


def storage_class(provisioner: str, mode: str = "WaitForFirstConsumer") -> Object:
    return {"metadata": {"name": "local"}, "provisioner": provisioner, "volumeBindingMode": mode}


def user(name: str = "p", **more: Any) -> Object:
    return pod(name, volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}], **more)


class Cluster:
    def __init__(self) -> None:
        self.core = SchedulerCore(1)
        for name in ("n1", "n2", "n3"):
            self.core.node_changed(None, node(name), 0.0)

    def learn(
        self, *, claims: tuple[Object, ...] = (), volumes: tuple[Object, ...] = (), of: Object | None = None
    ) -> None:
        view: VolumeView = self.core.volumes
        for item in claims:
            view.claim_changed(f"default/{item['metadata']['name']}", item)
        for item in volumes:
            view.volume_changed(item["metadata"]["name"], item)
        if of is not None:
            view.class_changed("local", of)
        self.core.volumes_changed(0.0)

    def schedule(self, now_s: float = 0.0) -> str:
        (decision,) = self.core.schedule(now_s, 10)
        return decision.node if isinstance(decision, Bind) else decision.message

    def create(self, made: Object) -> None:
        self.core.pod_changed(f"default/{made['metadata']['name']}", None, made, 0.0)


def test_a_pod_without_claims_is_itself() -> None:
    made = pod("p")
    assert VolumeView().place(made).pod is made


def test_a_bound_claim_decides_the_node() -> None:
    cluster = Cluster()
    cluster.learn(claims=(claim(volumeName="pv"),), volumes=(volume("pv", on="n2"),))
    cluster.create(user())
    assert cluster.schedule() == "n2"


def test_a_pod_s_own_affinity_holds_too() -> None:
    cluster = Cluster()
    cluster.learn(claims=(claim(volumeName="pv"),), volumes=(volume("pv", on="n2"),))
    own = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": own}}
    cluster.create(user(affinity={"nodeAffinity": required}))
    assert cluster.schedule().startswith("0/3 nodes are available")


def test_what_is_not_bound_is_waited_for() -> None:
    cluster = Cluster()
    cluster.create(user())
    assert cluster.schedule() == '0/3 nodes are available: persistentvolumeclaim "data" not found.'
    cluster.learn(claims=(claim(),))
    assert cluster.schedule(100.0) == "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    cluster.learn(claims=(claim(volumeName="pv"),), volumes=(volume("pv", on="n3"),))
    assert cluster.schedule(200.0) == "n3"


def test_the_first_consumer_goes_where_a_volume_is() -> None:
    cluster = Cluster()
    taken = volume("taken", on="n1", claimRef={"namespace": "default", "name": "other"})
    cluster.learn(
        claims=(claim(storageClassName="local"),),
        volumes=(taken, volume("free", on="n2"), volume("small", on="n3", capacity={"storage": "1Mi"})),
        of=storage_class("kubernetes.io/no-provisioner"),
    )
    cluster.create(user())
    assert cluster.schedule() == "n2"


def test_without_a_volume_it_waits_unless_one_is_provisioned() -> None:
    cluster = Cluster()
    cluster.learn(claims=(claim(storageClassName="local"),), of=storage_class("kubernetes.io/no-provisioner"))
    cluster.create(user())
    assert "didn't find available persistent volumes to bind" in cluster.schedule()
    cluster.learn(of=storage_class("kubus.dev/hostpath"))
    assert cluster.schedule(100.0) in ("n1", "n2", "n3")


def test_a_claim_for_one_pod_keeps_every_other_one_waiting_until_that_has_ended() -> None:
    cluster = Cluster()
    cluster.learn(
        claims=(claim(volumeName="pv", accessModes=["ReadWriteOncePod"]), claim("other", volumeName="pv")),
        volumes=(volume("pv"),),
    )
    first, second = user("first"), user("second")
    cluster.create(first)
    (bound,) = cluster.core.schedule(0.0, 10)
    assert isinstance(bound, Bind)
    cluster.create(second)
    conflict = "3 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
    assert cluster.schedule() == f"0/3 nodes are available: {conflict}."
    placed = {**first, "spec": {**first["spec"], "nodeName": bound.node}}
    cluster.core.pod_changed("default/first", first, placed, 1.0)
    cluster.core.volumes_changed(1.0)
    assert conflict in cluster.schedule(100.0)
    ended = {**placed, "status": {"phase": "Succeeded"}}
    cluster.core.pod_changed("default/first", placed, ended, 200.0)
    assert cluster.schedule(300.0) in ("n1", "n2", "n3")


def test_a_claim_for_one_pod_is_free_again_when_the_binding_failed() -> None:
    cluster = Cluster()
    cluster.learn(claims=(claim(volumeName="pv", accessModes=["ReadWriteOncePod"]),), volumes=(volume("pv"),))
    cluster.create(user("first"))
    assert isinstance(cluster.core.schedule(0.0, 10)[0], Bind)
    cluster.core.binding_failed("default/first", 1.0)
    cluster.core.pod_changed("default/first", user("first"), None, 1.0)
    cluster.create(user("second"))
    assert cluster.schedule(2.0) in ("n1", "n2", "n3")


def test_a_claim_that_many_may_use_keeps_nobody_waiting() -> None:
    cluster = Cluster()
    cluster.learn(claims=(claim(volumeName="pv"),), volumes=(volume("pv", on="n2"),))
    for name in ("first", "second"):
        cluster.create(user(name))
        assert cluster.schedule() == "n2"
