"""Claims for devices, slices of devices, classes of devices: what is refused, and in which words."""

import pytest

from tests.actors.apiserver.machinery.objects import created, loaded, refused, resource

SHARED = "allowMultipleAllocations: true, capacity: {m: {value: 4, requestPolicy: {"
REQUEST, DEVICE = "spec.devices.requests[0].exactly", "spec.devices[0]"


def claim(exactly: str = "", more: str = "", rest: str = "") -> str:
    first = "{name: a, exactly: {deviceClassName: c, " + exactly + "}}, "
    return "{metadata: {name: x}, spec: {devices: {requests: [" + first + more + "], " + rest + "}}}"


def offered(device: str, place: str = "nodeName: n") -> str:
    pool = "driver: d.com, pool: {name: p, resourceSliceCount: 1}"
    return "{metadata: {name: x}, spec: {" + f"{pool}, {place}" + ", devices: [{name: a, " + device + "}]}}"


CLAIMS = [
    (claim(more="{name: a, exactly: {deviceClassName: c}}"), "spec.devices.requests[1]", 'Duplicate value: "a"'),
    (claim(more="{name: b}"), "spec.devices.requests[1]", "exactly one of `exactly` or `firstAvailable` is required"),
    (claim("tolerations: [{operator: X}]"), f"{REQUEST}.tolerations[0].operator", 'values: "Equal", "Exists"'),
    (claim("tolerations: [{operator: Exists, value: v}]"), f"{REQUEST}.tolerations[0].value", "must be empty for"),
    (claim("tolerations: [{effect: X}]"), f"{REQUEST}.tolerations[0].effect", "Unsupported value"),
    (claim("selectors: [{}]"), f"{REQUEST}.selectors[0].cel", "Required value"),
    (claim("count: -1"), f"{REQUEST}.count", "must be greater than zero"),
    (claim(rest="constraints: [{requests: [z], matchAttribute: d.com/a}]"), "spec.devices.constraints[0].requests[0]",
     "must be the name of a request in the claim"),
    (claim(rest="constraints: [{matchAttribute: a}]"), "spec.devices.constraints[0].matchAttribute",
     "a domain and a name separated by a slash"),
    (claim(rest="constraints: [{}]"), "spec.devices.constraints[0]", '"matchAttribute" or "distinctAttribute"'),
    (claim(rest="config: [{requests: [a]}]"), "spec.devices.config[0].opaque", "Required value"),
    (claim(rest="config: [{opaque: {driver: d, parameters: 5}}]"), "spec.devices.config[0].opaque.parameters",
     "must be a valid JSON object"),
    (claim(more="{name: b, firstAvailable: [{name: s, deviceClassName: c}, {name: s, deviceClassName: c}]}"),
     "spec.devices.requests[1].firstAvailable[1]", 'Duplicate value: "s"'),
]  # fmt: skip
SLICES = [
    (offered("attributes: {1a: {int: 1}}"), f"{DEVICE}.attributes", "a valid C identifier must start with"),
    (offered("attributes: {a/b/c: {int: 1}}"), f"{DEVICE}.attributes", "more than one slash"),
    (offered("attributes: {a: {int: 1, bool: true}}"), f"{DEVICE}.attributes[a]",
     "exactly one value must be specified"),
    (offered("attributes: {a: {version: '1'}}"), f"{DEVICE}.attributes[a].version", "semver.org spec 2.0.0"),
    (offered("attributes: {a: {string: " + "x" * 65 + "}}"), f"{DEVICE}.attributes[a].string", "more than 64 bytes"),
    (offered("taints: [{key: k}]"), f"{DEVICE}.taints[0].effect", "Required value"),
    (offered("taints: [{key: k, effect: X}]"), f"{DEVICE}.taints[0].effect", "Unsupported value"),
    (offered("nodeName: n"), DEVICE, "can only be set if `perDeviceNodeSelection`"),
    (offered("capacity: {m: {value: 1, requestPolicy: {default: 1}}}"), f"{DEVICE}.capacity[m].requestPolicy",
     "allowMultipleAllocations must be true"),
    (offered(SHARED + "default: 1, validValues: [2, 8]}}}"),
     f"{DEVICE}.capacity[m].requestPolicy.validValues[1]", "option is larger than capacity value: 4"),
    (offered(SHARED + "default: 2, validRange: {min: 1, step: 2}}}}"),
     f"{DEVICE}.capacity[m].requestPolicy.validRange.step", "value is not a multiple of a given step (2) from (1)"),
    (offered("consumesCounters: [{counterSet: s}]"), f"{DEVICE}.consumesCounters[0].counters", "Required value"),
    (offered("bindingConditions: [a]"), f"{DEVICE}.bindingFailureConditions", "are required to use bindingConditions"),
    (offered("bindsToNode: true", "allNodes: true, nodeName: n"), "spec", "but multiple fields are set"),
    (offered("bindsToNode: true", "perDeviceNodeSelection: true"), DEVICE, "`nodeName`, `nodeSelector`, or `allNodes`"),
    (offered("bindsToNode: true", "nodeName: ''"), "spec", "exactly one of `nodeName`"),
]  # fmt: skip
CLASSES = [
    ("config: [{}]", "spec.config[0].opaque", "Required value"),
    ("extendedResourceName: gpu", "spec.extendedResourceName", "must be a valid extended resource name"),
    ("selectors: [{}]", "spec.selectors[0].cel", "Required value"),
]


@pytest.mark.parametrize(("text", "field", "said"), CLAIMS)
def test_claims_that_are_refused(text, field, said):
    assert said in refused("ResourceClaim", text)[field]
    template = f"{{metadata: {{name: x}}, spec: {{spec: {loaded(text)['spec']}}}}}"
    assert said in refused("ResourceClaimTemplate", template)[f"spec.{field}"]


@pytest.mark.parametrize(("text", "field", "said"), SLICES)
def test_slices_that_are_refused(text, field, said):
    assert said in refused("ResourceSlice", text)[field]


@pytest.mark.parametrize(("spec", "field", "said"), CLASSES)
def test_classes_that_are_refused(spec, field, said):
    assert said in refused("DeviceClass", f"{{metadata: {{name: x}}, spec: {{{spec}}}}}")[field]


def test_what_is_taken():
    tolerating = created("ResourceClaim", claim("tolerations: [{key: a, value: b}]"))
    request = tolerating["spec"]["devices"]["requests"][0]["exactly"]
    assert request["tolerations"][0]["operator"] == "Equal"
    assert created("DeviceClass", "{metadata: {name: x}, spec: {extendedResourceName: example.com/gpu}}")
    assert created("ResourceSlice", offered("attributes: {a: {version: 1.2.3-rc.1+b}, d.com/b: {string: x}}"))
    counting = loaded(offered("bindsToNode: true"))
    del counting["spec"]["devices"]
    counting["spec"]["sharedCounters"] = [{"name": "s", "counters": {"m": {"value": "4"}}}]
    assert created("ResourceSlice", counting)


RESULT = {"request": "a", "driver": "d.com", "pool": "p", "device": "dev"}
ALLOCATED = {"allocation": {"devices": {"results": [RESULT]}}}
PLACE = {"driver": "d.com", "pool": "p", "device": "dev"}
CONDITION = {"type": "Ready", "status": "True", "reason": "Yes", "lastTransitionTime": "2026-05-01T12:00:00Z"}


def status_causes(status: dict, before: dict | None = None) -> dict[str, str]:
    old = created("ResourceClaim", claim())
    old["status"] = before or {}
    found: dict[str, str] = {}
    for cause in resource("ResourceClaim").strategy.validate_status_update({**old, "status": status}, old):
        found[cause.field] = f"{found.get(cause.field, '')} {cause.message}"
    return found


@pytest.mark.parametrize(
    ("status", "field", "said"),
    [
        ({"reservedFor": [{"resource": "pods", "name": "x", "uid": "u"}]}, "status.reservedFor",
         "may not be specified"),
        ({**ALLOCATED, "reservedFor": [{}]}, "status.reservedFor[0].uid", "Required value"),
        ({**ALLOCATED, "devices": [{**PLACE, "device": "z"}]}, "status.devices[0]", "must be an allocated device"),
        ({**ALLOCATED, "devices": [{**PLACE, "conditions": [{}]}]}, "status.devices[0].conditions[0].type",
         "must be set"),
        ({**ALLOCATED, "devices": [{**PLACE, "networkData": {"ips": ["1.2.3.4"]}}]},
         "status.devices[0].networkData.ips[0]", "must be a valid address in CIDR form"),
        ({"allocation": {"devices": {"results": [{**RESULT, "request": "z"}]}}},
         "status.allocation.devices.results[0].request", "must be the name of a request in the claim"),
        ({"allocation": {"devices": {"results": [{**RESULT, "pool": ""}]}}},
         "status.allocation.devices.results[0].pool", "Required value"),
        ({"allocation": {"devices": {"config": [{"source": "X", "opaque": {"driver": "d", "parameters": {"a": 1}}}]}}},
         "status.allocation.devices.config[0].source", 'supported values: "FromClaim", "FromClass"'),
    ],
)  # fmt: skip
def test_status_that_is_refused(status, field, said):
    assert said in status_causes(status).get(field, "")


def test_an_allocation_stays():
    reserved = {**ALLOCATED, "reservedFor": [{"resource": "pods", "name": "x", "uid": "u"}]}
    device = {**PLACE, "conditions": [CONDITION], "networkData": {"ips": ["192.0.2.5/24"]}}
    assert status_causes({**reserved, "devices": [device]}, ALLOCATED) == {}
    other = {"allocation": {"devices": {"results": [{**RESULT, "device": "e"}]}}}
    assert "field is immutable" in status_causes(other, ALLOCATED)["status.allocation"]
    assert status_causes({}, ALLOCATED) == {}
