"""Objects that are refused, by the field that is named and the words, kind by kind."""

import pytest

from actors.api.errors import ApiError
from tests.actors.apiserver.machinery.objects import created

CONTAINER = {"name": "c", "image": "i"}


def pod(**spec) -> dict:
    return {"metadata": {"name": "x"}, "spec": {"containers": [CONTAINER], **spec}}


def job(restart: str = "Never", **spec) -> dict:
    template = {"spec": {"restartPolicy": restart, "containers": [CONTAINER]}}
    return {"metadata": {"name": "x"}, "spec": {"template": template, **spec}}


def failures(**rule) -> dict:
    return {"podFailurePolicy": {"rules": [rule]}}


def service(**spec) -> dict:
    return {"metadata": {"name": "x"}, "spec": {"ports": [{"port": 80}], **spec}}


def quota(*scopes: str) -> dict:
    return {"metadata": {"name": "x"}, "spec": {"hard": {"pods": "1"}, "scopes": list(scopes)}}


CODES = {"operator": "In", "values": [1]}
APPARMOR = [{**CONTAINER, "securityContext": {"appArmorProfile": {"type": "X"}}}]
RULE = "spec.podFailurePolicy.rules[0]"
ZERO, UNORDERED, ELSEWHERE = {**CODES, "values": [0]}, {**CODES, "values": [2, 1]}, {**CODES, "containerName": "z"}


@pytest.mark.parametrize(
    ("kind", "obj", "field", "said"),
    [
        ("Pod", pod(ephemeralContainers=[CONTAINER]), "spec.ephemeralContainers", "cannot be set on create"),
        ("Pod", pod(nodeName="n", schedulingGates=[{"name": "g"}]), "spec.nodeName", "until all schedulingGates"),
        ("Pod", pod(containers=APPARMOR), "spec.containers[0].securityContext.appArmorProfile.type", "Unsupported"),
        ("Job", job(manualSelector=True), "spec.selector", "Required value"),
        (
            "Job",
            job(manualSelector=True, selector={"matchLabels": {"a": "b"}}),
            "spec.template.metadata.labels",
            "`selector` does not match template `labels`",
        ),
        ("Job", job(**failures(action="X", onExitCodes=CODES)), f"{RULE}.action", "Unsupported value"),
        (
            "Job",
            job(**failures(action="FailIndex", onExitCodes=CODES)),
            f"{RULE}.action",
            "requires the backoff",
        ),
        (
            "Job",
            job(**failures(action="Ignore")),
            RULE,
            "specifying one of OnExitCodes and OnPodConditions is required",
        ),
        (
            "Job",
            job(**failures(action="Ignore", onExitCodes=ZERO)),
            f"{RULE}.onExitCodes.values[0]",
            "0",
        ),
        (
            "Job",
            job(**failures(action="Ignore", onExitCodes=UNORDERED)),
            f"{RULE}.onExitCodes.values",
            "ord",
        ),
        (
            "Job",
            job(**failures(action="Ignore", onExitCodes=ELSEWHERE)),
            f"{RULE}.onExitCodes.containerName",
            "must be one of the container or initContainer names",
        ),
        (
            "Job",
            job("OnFailure", **failures(action="Ignore", onExitCodes=CODES)),
            "spec.template.spec.restartPolicy",
            'only "Never" is supported when podFailurePolicy is specified',
        ),
        ("Job", job(backoffLimitPerIndex=1), "spec.backoffLimitPerIndex", "requires indexed completion mode"),
        ("Job", job(successPolicy={"rules": [{"succeededCount": 1}]}), "spec.successPolicy", "requires indexed"),
        (
            "Job",
            job(completionMode="Indexed", completions=1, successPolicy={"rules": [{}]}),
            "spec.successPolicy.rules[0]",
            "at least one of succeededCount or succeededIndexes",
        ),
        ("ResourceQuota", quota("X"), "spec.scopes", "unsupported scope"),
        ("ResourceQuota", quota("BestEffort", "NotBestEffort"), "spec.scopes", "conflicting scopes"),
        ("Service", service(loadBalancerClass="a/b"), "spec.loadBalancerClass", "may only be used when `type`"),
        ("Service", service(externalIPs=["127.0.0.1"]), "spec.externalIPs[0]", "may not be in the loopback range"),
        ("Service", service(trafficDistribution="X"), "spec.trafficDistribution", "Unsupported value"),
        ("Service", service(ports=[{"port": 80, "appProtocol": "a b"}]), "spec.ports[0].appProtocol", "Invalid value"),
        (
            "DeviceClass",
            {"metadata": {"name": "x"}, "spec": {"selectors": [{"cel": {"expression": "device +"}}]}},
            "spec.selectors[0].cel.expression",
            "compilation failed",
        ),
    ],
)
def test_what_is_refused(kind, obj, field, said):
    with pytest.raises(ApiError) as caught:
        created(kind, obj)
    found = {cause["field"]: cause["message"] for cause in caught.value.details["causes"]}
    assert said in found.get(field, ""), found


@pytest.mark.parametrize(
    ("kind", "obj"),
    [
        ("Job", job(**failures(action="FailJob", onPodConditions=[{"type": "DisruptionTarget"}]))),
        ("Job", job(completionMode="Indexed", completions=2, backoffLimitPerIndex=1, maxFailedIndexes=2)),
        ("Service", service(type="LoadBalancer", loadBalancerClass="a/b", trafficDistribution="PreferSameZone")),
        ("ResourceQuota", quota("Terminating", "PriorityClass")),
        (
            "DeviceClass",
            {"metadata": {"name": "x"}, "spec": {"selectors": [{"cel": {"expression": "device.driver == 'a'"}}]}},
        ),
    ],
)
def test_what_is_not(kind, obj):
    assert created(kind, obj)
