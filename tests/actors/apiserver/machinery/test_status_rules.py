"""What a write to the status of a workload, a budget or an autoscaler is refused for."""

import pytest

from tests.actors.apiserver.machinery.objects import created, loaded, resource, updated

TEMPLATE = "template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: i}]}}"
WORKLOAD = f"{{metadata: {{name: x}}, spec: {{selector: {{matchLabels: {{app: x}}}}, {TEMPLATE}}}}}"
ONCE = "template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}"
MADE = {
    "Deployment": WORKLOAD,
    "StatefulSet": WORKLOAD,
    "DaemonSet": WORKLOAD,
    "Job": f"{{metadata: {{name: x}}, spec: {{suspend: true, {ONCE}}}}}",
    "PodDisruptionBudget": "{metadata: {name: x}, spec: {minAvailable: 1}}",
    "HorizontalPodAutoscaler": "{metadata: {name: x}, spec: {maxReplicas: 1, scaleTargetRef: {kind: D, name: d}}}",
    "Pod": "{metadata: {name: x}, spec: {containers: [{name: c, image: i}]}}",
    "Service": "{metadata: {name: x}, spec: {type: LoadBalancer, ports: [{port: 80}]}}",
    "Ingress": "{metadata: {name: x}, spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}}",
}
REACHED = "status.loadBalancer.ingress"


def reached(**point: str) -> dict:
    return {"loadBalancer": {"ingress": [point]}}


def causes(kind: str, status: dict, before: dict | None = None) -> dict[str, str]:
    old = created(kind, MADE[kind])
    old["status"] = {**old.get("status", {}), **(before or {})}
    obj = {**loaded(old), "status": {**old["status"], **status}}
    found = resource(kind).strategy.validate_status_update(obj, old)
    return {cause.field: cause.message for cause in found}


@pytest.mark.parametrize(
    ("kind", "status", "field", "said"),
    [
        ("Deployment", {"replicas": 1, "readyReplicas": 0, "availableReplicas": 1}, "status.availableReplicas",
         "cannot be greater than readyReplicas"),
        ("StatefulSet", {"replicas": 1, "currentReplicas": 2}, "status.currentReplicas",
         "cannot be greater than status.replicas"),
        ("DaemonSet", {"numberReady": -1}, "status.numberReady", "must be greater than or equal to 0"),
        ("DaemonSet", {"numberUnavailable": -1}, "status.numberUnavailable", "must be greater than or equal to 0"),
        ("Job", {"ready": -1}, "status.ready", "must be greater than or equal to 0"),
        ("PodDisruptionBudget", {"disruptionsAllowed": -1}, "status.disruptionsAllowed", "must be greater than"),
        ("PodDisruptionBudget", {"conditions": [{"type": "A", "status": "x"}]}, "status.conditions[0].status",
         'supported values: "False", "True", "Unknown"'),
        ("Pod", {"podIPs": [{"ip": "x"}]}, "status.podIPs[0]", "must be a valid IP address"),
        ("Pod", {"hostIPs": [{"ip": "10.1.1.1"}, {"ip": "10.1.1.2"}]}, "status.hostIPs", "one IP for each IP family"),
        ("Pod", {"nominatedNodeName": "A b"}, "status.nominatedNodeName", "RFC 1123 subdomain"),
        ("Service", reached(ip="x", ipMode="VIP"), f"{REACHED}[0].ip", "must be a valid IP address"),
        ("Service", reached(ip="10.1.1.1", ipMode="X"), f"{REACHED}[0].ipMode", 'supported values: "Proxy", "VIP"'),
        ("Service", reached(hostname="a.b", ipMode="VIP"), f"{REACHED}[0].ipMode", "when `ip` is not set"),
        ("Ingress", reached(hostname="10.1.1.1"), f"{REACHED}[0].hostname", "must be a DNS name, not an IP address"),
        ("HorizontalPodAutoscaler", {"currentReplicas": -1}, "status.currentReplicas", "must be greater than"),
    ],
)  # fmt: skip
def test_status_that_is_refused(kind, status, field, said):
    assert said in causes(kind, status).get(field, "")


def test_where_something_is_reached():
    assert causes("Ingress", reached(hostname="a.example")) == causes("Ingress", reached(ip="10.1.1.1")) == {}
    service = created("Service", MADE["Service"])
    service["status"] = reached(ip="10.1.1.1")
    resource("Service").strategy.default(service)
    assert service["status"] == reached(ip="10.1.1.1", ipMode="VIP")
    service["spec"]["type"] = "ClusterIP"
    (cause,) = resource("Service").strategy.validate_status_update(service, service)
    assert cause.field == REACHED
    assert causes("Pod", {"podIPs": [{"ip": "10.1.1.1"}, {"ip": "fd00::1"}], "nominatedNodeName": "n"}) == {}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_collisions_are_counted_up(kind):
    assert causes(kind, {"collisionCount": 2}, {"collisionCount": 1}) == {}
    assert (
        "cannot be decremented" in causes(kind, {"collisionCount": 1}, {"collisionCount": 2})["status.collisionCount"]
    )


def test_of_a_suspended_jobs_template_only_where_it_runs_changes():
    job = created("Job", MADE["Job"])
    template = loaded(job)["spec"]["template"]
    template["spec"]["nodeSelector"] = {"disk": "fast"}
    template["metadata"]["annotations"] = {"a": "b"}
    template["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    updated("Job", job, spec__template=template)
    template["spec"]["containers"][0]["image"] = "other"
    with pytest.raises(Exception, match=r"spec\.template: .*field is immutable"):
        updated("Job", job, spec__template=template)


def test_a_template_that_is_missing_is_told_what_it_lacks():
    for kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"):
        with pytest.raises(Exception, match=r"spec\.template\.spec\.containers: Required value") as caught:
            created(kind, "{metadata: {name: x}, spec: {}}")
        assert "spec.template.metadata.labels: Invalid value: null" in str(caught.value)
