"""What an update may change, what is carried over, and when the generation rises."""

from typing import Any

import pytest

from actors.api.errors import ApiError
from actors.apiserver.machinery.kinds.pod import bind
from actors.apiserver.machinery.prepare import prepare_for_status_update
from actors.apiserver.machinery.scale import apply_scale, selector_text, to_scale
from actors.apiserver.machinery.validation import validate_status
from tests.actors.apiserver.machinery.objects import NOW, UID, causes, created, loaded, resource, updated


def refusal(kind: str, old: dict, **changes: Any) -> dict[str, str]:
    with pytest.raises(ApiError) as caught:
        updated(kind, old, **changes)
    return causes(caught.value)


class TestMetadata:
    def test_the_servers_part_is_carried_over(self):
        old = created("ConfigMap")
        bare = updated("ConfigMap", old, metadata={"name": "x", "namespace": "default", "generation": 9})
        assert bare["metadata"]["uid"] == UID
        assert bare["metadata"]["creationTimestamp"] == NOW
        assert "generation" not in bare["metadata"]

    def test_names_do_not_change(self):
        assert "field is immutable" in refusal("ConfigMap", created("ConfigMap"), metadata__name="y")["metadata.name"]

    def test_another_uid_is_refused(self):
        assert "field is immutable" in refusal("ConfigMap", created("ConfigMap"), metadata__uid="other")["metadata.uid"]

    def test_no_new_finalizers_on_what_is_being_deleted(self):
        old = created("ConfigMap")
        old["metadata"] |= {"deletionTimestamp": NOW, "finalizers": ["a/x"]}
        assert updated("ConfigMap", old, metadata__finalizers=[])["metadata"]["deletionTimestamp"] == NOW
        found = refusal("ConfigMap", old, metadata__finalizers=["a/x", "b/x"])
        assert "no new finalizers can be added" in found["metadata.finalizers"]


class TestGeneration:
    def test_it_rises_with_the_spec(self):
        old = created("Deployment")
        assert updated("Deployment", old, metadata__labels={"a": "b"})["metadata"]["generation"] == 1
        assert updated("Deployment", old, spec__replicas=2)["metadata"]["generation"] == 2
        assert updated("Deployment", old, metadata__annotations={"a": "b"})["metadata"]["generation"] == 2

    def test_the_status_is_not_the_main_resources(self):
        old = created("Deployment")
        old["status"] = {"replicas": 1}
        assert updated("Deployment", old, status={"replicas": 9})["status"] == {"replicas": 1}


class TestStatus:
    def changed(self, kind: str, old: dict, new: dict) -> dict:
        obj = loaded(new)
        prepare_for_status_update(resource(kind), obj, old)
        validate_status(resource(kind), obj, old)
        return obj

    def test_only_the_status_changes(self):
        old = created("Deployment")
        new = loaded(old)
        new["spec"]["replicas"], new["status"] = 9, {"replicas": 3}
        new["metadata"] |= {"labels": {"a": "b"}, "annotations": {"c": "d"}, "resourceVersion": "7"}
        obj = self.changed("Deployment", old, new)
        assert obj["spec"] == old["spec"]
        assert obj["status"] == {"replicas": 3}
        assert obj["metadata"] == {**old["metadata"], "annotations": {"c": "d"}, "resourceVersion": "7"}

    def test_a_deployments_numbers(self):
        old = created("Deployment")
        with pytest.raises(ApiError) as caught:
            self.changed("Deployment", old, {**old, "status": {"replicas": 1, "readyReplicas": 2}})
        assert causes(caught.value) == {
            "status.readyReplicas": "Invalid value: 2: cannot be greater than status.replicas"
        }

    def test_a_namespace_is_terminating_when_it_is_being_deleted(self):
        old = created("Namespace")
        with pytest.raises(ApiError):
            self.changed("Namespace", old, {**old, "status": {"phase": "Terminating"}})
        old["metadata"]["deletionTimestamp"] = NOW
        assert (
            self.changed("Namespace", old, {**old, "status": {"phase": "Terminating"}})["status"]["phase"]
            == "Terminating"
        )


class TestPod:
    def old(self) -> dict:
        return created(
            "Pod",
            """{metadata: {name: x}, spec: {activeDeadlineSeconds: 100, tolerations: [{key: a, operator: Exists}],
            initContainers: [{name: i, image: i}], containers: [{name: c, image: i:1}]}}""",
        )

    def test_what_may_change(self):
        old = self.old()
        new = updated(
            "Pod", old, spec__containers__0__image="i:2", spec__initContainers__0__image="j",
            spec__activeDeadlineSeconds=50,
            spec__tolerations=[{"key": "b", "operator": "Exists"}, {"key": "a", "operator": "Exists"}],
        )  # fmt: skip
        assert new["metadata"]["generation"] == 2

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"spec__containers__0__command": ["x"]}, "spec"),
            ({"spec__nodeName": "n"}, "spec"),
            ({"spec__terminationGracePeriodSeconds": 1}, "spec"),
            ({"spec__containers": []}, "spec.containers"),
            ({"spec__activeDeadlineSeconds": 101}, "spec.activeDeadlineSeconds"),
            ({"spec__activeDeadlineSeconds": None}, "spec.activeDeadlineSeconds"),
            ({"spec__tolerations": []}, "spec.tolerations"),
        ],
    )
    def test_what_may_not(self, change, field):
        assert field in refusal("Pod", self.old(), **change)

    def test_the_message_is_kubernetes_own(self):
        found = refusal("Pod", self.old(), spec__nodeName="n")
        assert found["spec"].startswith(
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`"
        )
        assert found["spec"].endswith("changed: spec.nodeName")

    def test_gates_may_be_lifted(self):
        old = created(
            "Pod", "{metadata: {name: x}, spec: {schedulingGates: [{name: a/b}], containers: [{name: c, image: i}]}}"
        )
        new = updated("Pod", old, spec__schedulingGates=None, spec__nodeSelector={"a": "b"})
        assert new["spec"]["nodeSelector"] == {"a": "b"}
        assert "spec" in refusal("Pod", new, spec__schedulingGates=[{"name": "a/b"}])

    def test_deletion_is_graceful_where_a_kubelet_runs_it(self):
        strategy = resource("Pod").strategy
        pod = self.old()
        assert (strategy.default_grace_period_s(pod), strategy.deletes_at_once(pod)) == (0, True)
        pod["spec"]["nodeName"] = "n"
        assert (strategy.default_grace_period_s(pod), strategy.deletes_at_once(pod)) == (30, False)
        pod["status"]["phase"] = "Failed"
        assert strategy.deletes_at_once(pod)
        assert resource("ConfigMap").strategy.default_grace_period_s(created("ConfigMap")) is None

    def test_binding(self):
        pod = self.old()
        bound = bind(pod, {"target": {"kind": "Node", "name": "n"}, "metadata": {"annotations": {"a": "b"}}}, NOW)
        assert bound["spec"]["nodeName"] == "n"
        assert bound["metadata"]["annotations"] == {"a": "b"}
        (condition,) = bound["status"]["conditions"]
        assert condition == {
            "type": "PodScheduled",
            "status": "True",
            "lastTransitionTime": NOW,
            "observedGeneration": 1,
        }
        assert "nodeName" not in pod["spec"]
        with pytest.raises(ApiError) as caught:
            bind(bound, {"target": {"name": "m"}}, NOW)
        assert (caught.value.code, 'already assigned to node "n"' in caught.value.message) == (409, True)
        with pytest.raises(ApiError) as caught:
            bind(pod, {"target": {"kind": "Pod"}}, NOW)
        assert set(causes(caught.value)) == {"target.kind", "target.name"}


class TestImmutability:
    def test_selectors(self):
        found = refusal("Deployment", created("Deployment"), spec__selector={"matchLabels": {"b": "c"}},
                        spec__template__metadata__labels={"b": "c"})  # fmt: skip
        assert "field is immutable" in found["spec.selector"]

    @pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
    def test_immutable_data(self, kind):
        old = created(kind)
        frozen = updated(kind, old, immutable=True)
        updated(kind, frozen, metadata__labels={"a": "b"})
        assert "immutable" in refusal(kind, frozen, immutable=None)
        assert "immutable" in refusal(kind, frozen, immutable=False)
        assert "data" in refusal(kind, frozen, data={"k": "djI="})

    def test_a_secrets_type(self):
        assert "type" in refusal("Secret", created("Secret"), type="other")

    def test_role_refs(self):
        old = created("RoleBinding", "{metadata: {name: x}, roleRef: {kind: Role, name: r}}")
        assert "cannot change roleRef" in refusal("RoleBinding", old, roleRef__name="s")["roleRef"]

    def test_pod_cidrs(self):
        old = updated("Node", created("Node"), spec__podCIDR="10.0.0.0/24")
        assert "spec.podCIDRs" in refusal("Node", old, spec={"podCIDR": "10.0.1.0/24", "podCIDRs": ["10.0.1.0/24"]})

    def test_address_types(self):
        old = created("EndpointSlice", "{metadata: {name: x}, addressType: IPv4}")
        assert "addressType" in refusal("EndpointSlice", old, addressType="IPv6")


class TestService:
    def old(self, kind: str = "ClusterIP", node_port: int = 0) -> dict:
        old = created("Service", f"{{metadata: {{name: x}}, spec: {{type: {kind}, ports: [{{port: 80}}]}}}}")
        old["spec"] |= {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"]}
        if node_port:
            old["spec"]["ports"][0]["nodePort"] = node_port
        return old

    def test_addresses_that_are_left_out_are_kept(self):
        new = updated("Service", self.old(), spec={"ports": [{"port": 81}]})
        assert (new["spec"]["clusterIP"], new["spec"]["clusterIPs"]) == ("10.96.0.7", ["10.96.0.7"])

    def test_an_address_does_not_change(self):
        assert (
            "may not change once set"
            in refusal("Service", self.old(), spec__clusterIP="10.96.0.8")["spec.clusterIPs[0]"]
        )

    def test_node_ports_that_are_left_out_are_kept(self):
        old = self.old("NodePort", 30080)
        new = updated("Service", old, spec__ports=[{"port": 80, "targetPort": 8080}, {"port": 81, "name": "b"}],
                      spec__ports__0__name="a")  # fmt: skip
        assert [port.get("nodePort") for port in new["spec"]["ports"]] == [30080, None]

    def test_another_type_drops_what_was_the_old_ones(self):
        new = updated("Service", self.old("NodePort", 30080), spec__type="ClusterIP")
        assert "nodePort" not in new["spec"]["ports"][0]
        assert "externalTrafficPolicy" not in new["spec"]
        new = updated("Service", self.old(), spec__type="ExternalName", spec__externalName="a.b")
        assert "clusterIP" not in new["spec"]


class TestScale:
    def test_there_and_back(self):
        row, old = resource("Deployment"), created("Deployment")
        scale = to_scale(row, old)
        assert (scale["spec"], scale["status"]) == ({"replicas": 1}, {"replicas": 0, "selector": "app=x"})
        scale["spec"]["replicas"] = 5
        assert apply_scale(row, old, scale)["spec"]["replicas"] == 5
        assert old["spec"]["replicas"] == 1

    def test_refused(self):
        row, old = resource("Deployment"), created("Deployment")
        with pytest.raises(ApiError) as caught:
            apply_scale(row, old, {"spec": {"replicas": -1}})
        assert "spec.replicas" in causes(caught.value)

    def test_selectors_as_text(self):
        expressions = [
            {"key": "a", "operator": "In", "values": ["y", "x"]},
            {"key": "b", "operator": "Exists"},
            {"key": "c", "operator": "DoesNotExist"},
        ]
        selector = {"matchLabels": {"l": "m"}, "matchExpressions": expressions}
        assert selector_text(selector) == "l=m,a in (x,y),b,!c"
        assert selector_text({"plain": "map"}) == "plain=map"
