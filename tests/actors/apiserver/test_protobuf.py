"""Bodies in Protobuf: what kubectl sends, what is malformed, and that the catalog is whole."""

import random

import orjson
import pytest

from actors.api.errors import ApiError
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.machinery.resource import COMPUTED
from actors.apiserver.machinery.schema import definitions
from actors.apiserver.protobuf import catalog, wire
from tests.actors.apiserver.api_harness import with_api


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return wire.MAGIC + field(1, field(1, api_version) + field(2, kind)) + field(2, raw) + field(3, "") + field(4, "")


def metadata(name: str) -> bytes:
    return field(1, field(1, name) + field(2, "") + field(8, b"") + field(11, field(1, "app") + field(2, "web")))


def test_config_map():
    raw = metadata("a") + field(2, field(1, "k") + field(2, "v")) + field(3, field(1, "b") + field(2, b"\x00\x01"))
    assert wire.decode(envelope("v1", "ConfigMap", raw)) == {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "a", "labels": {"app": "web"}},
        "data": {"k": "v"},
        "binaryData": {"b": "AAE="},
    }


def test_zero_behind_a_pointer_is_kept():
    spec = field(1, 0) + field(5, 0)
    assert wire.decode(envelope("apps/v1", "Deployment", field(2, spec)))["spec"] == {"replicas": 0}


def test_special_messages():
    port = field(1, "web") + field(2, "TCP") + field(3, 80) + field(4, field(1, 1) + field(3, "http"))
    spec = wire.decode(envelope("v1", "Service", field(2, field(1, port))))["spec"]
    assert spec["ports"] == [{"name": "web", "protocol": "TCP", "port": 80, "targetPort": "http"}]
    limits = field(1, field(1, "cpu") + field(2, field(1, "500m")))
    volume = field(1, "data") + field(2, field(2, b""))
    container = field(1, "c") + field(8, limits) + field(16, 1)
    pod = wire.decode(envelope("v1", "Pod", field(2, field(1, volume) + field(2, container))))["spec"]
    assert pod["containers"][0] == {"name": "c", "resources": {"limits": {"cpu": "500m"}}, "stdin": True}
    assert pod["volumes"] == [{"name": "data", "emptyDir": {}}]
    lease = field(2, field(4, field(1, 1_700_000_000) + field(2, 5000)))
    assert wire.decode(envelope("coordination.k8s.io/v1", "Lease", lease))["spec"] == {
        "renewTime": "2023-11-14T22:13:20.000005Z"
    }


def test_list_messages_and_negative_numbers():
    extra = field(1, "scopes") + field(2, field(1, "a") + field(1, "b"))
    review = field(2, field(3, "jane") + field(5, extra))
    spec = wire.decode(envelope("authorization.k8s.io/v1", "SubjectAccessReview", review))["spec"]
    assert spec == {"user": "jane", "extra": {"scopes": ["a", "b"]}}
    options = wire.decode(envelope("apps/v1", "DeleteOptions", field(1, (1 << 64) - 1)))
    assert options["gracePeriodSeconds"] == -1


def test_unknown_fields_are_skipped():
    raw = metadata("a") + field(999, "x") + varint(998 << 3 | 1) + b"12345678" + varint(997 << 3 | 5) + b"1234"
    assert wire.decode(envelope("v1", "ConfigMap", raw))["metadata"]["name"] == "a"


def test_malformed_bodies_are_refused():
    good = envelope("v1", "ConfigMap", metadata("a"))
    for body in (b"x", b"k8s\0\xff", good[:-20], wire.MAGIC + field(2, b""), good.replace(b"web", b"\xff\xff\xff")):
        with pytest.raises(ApiError) as refused:
            wire.to_json(body)
        assert refused.value.code == 400, body
    with pytest.raises(ApiError) as refused:
        wire.to_json(envelope("example.org/v1", "Thing", b""))
    assert refused.value.code == 415


def test_any_bytes_are_decoded_or_refused():
    choose = random.Random(7)
    good = envelope("v1", "ConfigMap", metadata("a") + field(2, field(1, "k") + field(2, "v")))
    for _ in range(2000):
        body = bytearray(good)
        for _ in range(choose.randint(1, 4)):
            body[choose.randrange(4, len(body))] = choose.randrange(256)
        try:
            orjson.loads(wire.to_json(bytes(body)))
        except ApiError as error:
            assert error.code in (400, 415)


def test_nesting_is_bounded():
    raw = b""
    for _ in range(200):
        raw = field(4, raw)
    schema = catalog.Message({4: catalog.Field("next", "meta_v1.Loop")})
    catalog._package("meta_v1")["Loop"] = schema
    try:
        with pytest.raises(wire.Malformed, match="nested"):
            wire._object(schema, memoryview(raw), 0)
    finally:
        del catalog._package("meta_v1")["Loop"]


@pytest.mark.parametrize(
    "version", ["v7", "v" + "1" * 300, "v" + "1" * 100_000, "../v1", "v1\0", "\n", ""], ids=lambda text: text[:8]
)
def test_what_a_client_calls_a_version_is_refused_and_not_remembered(version):
    known = catalog._package.cache_info().currsize
    for group in ("apps/", "", "policy/"):
        if group + version not in ("v1", ""):
            with pytest.raises(ApiError) as refused:
                wire.to_json(envelope(group + version, "Deployment", b""))
            assert refused.value.code == 415
    assert catalog._package.cache_info().currsize == known


def test_catalog_knows_every_built_in_kind_and_every_message_it_uses():
    missing = [
        f"{resource.api_version} {resource.kind}"
        for resource in REGISTRY
        if resource.verbs != COMPUTED  # nobody writes those, and they are read as JSON
        and catalog.find(f"{catalog.package_of(resource.api_version)}.{resource.kind}") is None
    ]
    assert missing == []
    packages = {catalog.package_of(resource.api_version) for resource in REGISTRY} | {"meta_v1", "policy_v1"}
    for package in packages & catalog._packages():
        for name, message in catalog._package(package).items():
            for one in message.fields.values():
                known = one.kind in catalog.SCALARS | catalog.SPECIAL or catalog.find(one.kind) is not None
                assert known, (package, name, one)


@with_api()
async def test_kubectl_create_in_protobuf(api):
    body = envelope("v1", "ServiceAccount", metadata("bob"))
    path = "/api/v1/namespaces/default/serviceaccounts"
    status, made = await api.post(path, body, content_type="application/vnd.kubernetes.protobuf")
    assert status == 201 and made["metadata"]["labels"] == {"app": "web"}


NO_NUMBER_IS_PUBLISHED = {
    "apiextensions_v1.CustomResourceDefinitionCondition.observedGeneration",
    "apiextensions_v1.CustomResourceDefinitionStatus.observedGeneration",
    "meta_v1.ListMeta.shardInfo",
    "resource_v1.Device.nodeAllocatableResourceMappings",
    "resource_v1.DeviceAttribute.bools",
    "resource_v1.DeviceAttribute.ints",
    "resource_v1.DeviceAttribute.strings",
    "resource_v1.DeviceAttribute.versions",
}


def names_of(message: catalog.Message) -> set[str]:
    """The fields of a message in JSON, those of inlined ones too."""
    found = set()
    for one in message.fields.values():
        inlined = catalog.find(one.kind) if one.is_inline else None
        found |= names_of(inlined) if inlined else {one.name}
    return found


def test_every_field_of_the_schemas_has_a_number():
    schemas = orjson.loads(definitions.source_path().read_bytes())["$defs"]
    packages = {catalog.package_of(resource.api_version) for resource in REGISTRY} | {"meta_v1"}
    missing = set()
    for full_name, schema in schemas.items():
        name = "_".join(full_name.split(".")[-3:-1]) + "." + full_name.rpartition(".")[2]
        message = catalog.find(name) if name.partition(".")[0] in packages else None
        if message is not None:
            unknown = set(schema.get("properties", {})) - {"kind", "apiVersion"} - names_of(message)
            missing |= {f"{name}.{one}" for one in unknown}
    assert missing == NO_NUMBER_IS_PUBLISHED


def test_a_resource_claim():
    opaque = field(1, field(1, "gpu.example.org") + field(2, field(1, b'{"mode":"fast"}')))
    config = field(3, field(1, "main") + field(2, opaque))
    exactly = field(2, field(1, "gpu") + field(3, "ExactCount") + field(4, 2))
    claim = field(1, field(1, field(1, "main") + exactly) + config)
    decoded = wire.decode(envelope("resource.k8s.io/v1", "ResourceClaim", metadata("a") + field(2, claim)))
    assert decoded["spec"] == {
        "devices": {
            "requests": [
                {"name": "main", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}}
            ],
            "config": [{"requests": ["main"], "opaque": {"driver": "gpu.example.org", "parameters": {"mode": "fast"}}}],
        }
    }
