"""sig-api-machinery, sig-auth, sig-network, sig-apps: resources whose behaviour is the API itself.

Each is found in the discovery documents, and goes through all verbs; where it has a status, that too.
"""

import base64

import pytest

from tests.actors.apiserver.certificates_of import CLIENT, request_pem
from tests.conformance.access import Object
from tests.conformance.lives import Life, goes_through, is_discovered, status_of_one
from tests.conformance.pods import Space, container, pod
from tests.e2e.conversion_webhook import self_signed

FLOW, ADMISSION, NETWORKING = (
    "flowcontrol.apiserver.k8s.io/v1",
    "admissionregistration.k8s.io/v1",
    "networking.k8s.io/v1",
)
MATCH = {
    "resourceRules": [{"apiGroups": ["example"], "apiVersions": ["*"], "operations": ["*"], "resources": ["nothing"]}]
}
SCHEMA_SPEC = {
    "matchingPrecedence": 9999,
    "priorityLevelConfiguration": {"name": "global-default"},
    "rules": [
        {
            "subjects": [{"kind": "User", "user": {"name": "nobody"}}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }
    ],
}
LEVEL_SPEC = {"type": "Limited", "limited": {"nominalConcurrencyShares": 2, "limitResponse": {"type": "Reject"}}}
MUTATION = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}
SIGNER = "example.com/nobody"
CERTIFICATE = base64.b64encode(self_signed()[0]).decode()
JOB = {"template": {"spec": {**pod(container(None))["spec"], "restartPolicy": "OnFailure"}}}

LIVES: dict[str, Life] = {
    "Priority and Fairness FlowSchema API": Life(
        f"{FLOW}/flowschemas", "FlowSchema", {"spec": SCHEMA_SPEC}, subresources=("status",)
    ),
    "Priority and Fairness PriorityLevelConfiguration API": Life(
        f"{FLOW}/prioritylevelconfigurations",
        "PriorityLevelConfiguration",
        {"spec": LEVEL_SPEC},
        subresources=("status",),
    ),
    "ValidatingAdmissionPolicy API": Life(
        f"{ADMISSION}/validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        {"spec": {"matchConstraints": MATCH, "validations": [{"expression": "true"}]}},
        subresources=("status",),
    ),
    "ValidatingadmissionPolicyBinding API": Life(
        f"{ADMISSION}/validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        {"spec": {"policyName": "nowhere", "validationActions": ["Deny"]}},
    ),
    "MutatingAdmissionPolicy API": Life(
        f"{ADMISSION}/mutatingadmissionpolicies",
        "MutatingAdmissionPolicy",
        {"spec": {"matchConstraints": MATCH, "mutations": [MUTATION], "reinvocationPolicy": "Never"}},
    ),
    "CertificateSigningRequest API": Life(
        "certificates.k8s.io/v1/certificatesigningrequests",
        "CertificateSigningRequest",
        {
            "spec": {
                "request": base64.b64encode(request_pem("jane")).decode(),
                "signerName": SIGNER,
                "usages": list(CLIENT),
            }
        },
        subresources=("approval", "status"),
    ),
    "EndpointSlice API": Life(
        "discovery.k8s.io/v1/endpointslices",
        "EndpointSlice",
        {"addressType": "IPv4", "endpoints": [{"addresses": ["1.2.3.4"]}], "ports": [{"name": "a", "port": 80}]},
        namespaced=True,
    ),
    "IngressClass API": Life(
        f"{NETWORKING}/ingressclasses", "IngressClass", {"spec": {"controller": "example.com/nobody"}}
    ),
    "IPAddress API": Life(
        f"{NETWORKING}/ipaddresses",
        "IPAddress",
        {"spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "nobody"}}},
        names=("192.168.7.1", "192.168.7.2", "2001:db8::ffff"),
    ),
    "ServiceCIDR API": Life(
        f"{NETWORKING}/servicecidrs", "ServiceCIDR", {"spec": {"cidrs": ["10.240.7.0/24"]}}, subresources=("status",)
    ),
    "CronJob API Operations": Life(
        "batch/v1/cronjobs",
        "CronJob",
        {"spec": {"schedule": "0 0 29 2 *", "suspend": True, "jobTemplate": {"spec": JOB}}},
        namespaced=True,
        subresources=("status",),
    ),
}


def label_of(behaviour: str) -> str:
    return "".join(char for char in behaviour.lower() if char.isalnum())


def place_of(life: Life, space: Space, whole: Space) -> Space:
    return space if life.namespaced else whole


@pytest.mark.parametrize("behaviour", LIVES)
def test_the_life_of_an_object(behaviour: str, space: Space, whole: Space):
    life = LIVES[behaviour]
    place = place_of(life, space, whole)
    is_discovered(life, place)
    goes_through(life, place, label_of(behaviour))


def condition(kind: str, value: str) -> Object:
    found = {"type": kind, "status": value, "reason": "Tested", "message": "by a test"}
    return {"conditions": [{**found, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}


@pytest.mark.parametrize(
    ("behaviour", "patch", "update"),
    [
        ("Priority and Fairness FlowSchema API", condition("Tested", "True"), condition("Tested", "False")),
        ("Priority and Fairness PriorityLevelConfiguration API", condition("A", "True"), condition("A", "False")),
        ("ValidatingAdmissionPolicy API", condition("Tested", "True"), condition("Tested", "False")),
        ("ServiceCIDR API", condition("Tested", "True"), condition("Tested", "False")),
        ("CertificateSigningRequest API", condition("Tested", "True"), {"certificate": CERTIFICATE}),
        (
            "CronJob API Operations",
            {"lastScheduleTime": "2026-01-01T00:00:00Z"},
            {"lastScheduleTime": "2026-01-02T00:00:00Z"},
        ),
    ],
)
def test_the_status_of_an_object(behaviour: str, patch: Object, update: Object, space: Space, whole: Space):
    life = LIVES[behaviour]
    status_of_one(life, place_of(life, space, whole), f"{label_of(behaviour)}-s", patch, update)


def test_the_approval_of_a_certificate_signing_request(whole: Space):
    """CertificateSigningRequest API: approval is a subresource of its own, to be read, patched and updated"""
    life = LIVES["CertificateSigningRequest API"]
    whole.create(life.resource, life.made("approved", "approval"))
    assert whole.get(life.resource, "approved", "approval")["metadata"]["name"] == "approved"
    approved = condition("Approved", "True")
    changed = whole.patch(life.resource, "approved", {"status": approved}, sub="approval")
    assert changed["status"]["conditions"][0]["type"] == "Approved"

    def explain(found: Object) -> None:
        found["status"]["conditions"][0]["message"] = "after all"

    assert (
        whole.modify(life.resource, "approved", explain, "approval")["status"]["conditions"][0]["message"]
        == "after all"
    )
    whole.delete(life.resource, "approved")
