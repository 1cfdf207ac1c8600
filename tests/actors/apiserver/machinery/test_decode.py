# ruff: noqa: E501 - a table reads best with one case a line
"""Bodies into objects: types, unknown and duplicate fields, nulls, YAML, limits."""

import orjson
import pytest

from actors.api.errors import ApiError
from actors.apiserver.machinery import body as bodies
from actors.apiserver.machinery import schema
from actors.apiserver.machinery.decode import decode, decode_as, decode_options
from tests.actors.apiserver.machinery.objects import resource

JSON, YAML = "application/json", "application/yaml"


def refusal(kind: str, body: bytes, content_type: str = JSON, field_validation: str = "Strict") -> ApiError:
    with pytest.raises(ApiError) as caught:
        decode(resource(kind), body, content_type, field_validation)
    return caught.value


def test_kind_and_version_are_filled_in():
    obj, warnings = decode(resource("ConfigMap"), b'{"metadata":{"name":"a"}}', JSON)
    assert (obj["kind"], obj["apiVersion"], warnings) == ("ConfigMap", "v1", [])


def test_a_body_without_metadata_gets_an_empty_one():
    assert decode(resource("ConfigMap"), b"{}", JSON)[0]["metadata"] == {}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            b'{"kind":"Pod","apiVersion":"v2"}',
            "the API version in the data (v2) does not match the expected API version (v1)",
        ),
        (b'{"kind":"ConfigMap","apiVersion":"v1"}', 'ConfigMap in version "v1" cannot be handled as a Pod'),
        (b'{"kind":"Nope","apiVersion":"v1"}', 'no kind "Nope" is registered for version "v1"'),
        (b'{"kind":3}', "kind must be a string"),
        (b"[]", "cannot unmarshal array"),
        (b"null", "cannot unmarshal null"),
        (b"", "couldn't get version/kind; json parse error"),
        (b"{", "couldn't get version/kind; json parse error"),
        (b'{"a":"\xff"}', "json parse error"),
    ],
)
def test_what_is_no_pod(body, said):
    error = refusal("Pod", body)
    assert (error.code, error.reason) == (400, "BadRequest")
    assert said in error.message


def test_unknown_fields():
    body = b'{"metadata":{"name":"a"},"spec":{"foo":1,"containers":[{"name":"c","imagee":"x"}]}}'
    assert refusal("Pod", body).message == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo", '
        'unknown field "spec.containers[0].imagee"'
    )
    obj, warnings = decode(resource("Pod"), body, JSON, "Warn")
    assert warnings == ['unknown field "spec.foo"', 'unknown field "spec.containers[0].imagee"']
    assert obj["spec"] == {"containers": [{"name": "c"}]}
    assert decode(resource("Pod"), body, JSON, "Ignore") == (obj, [])


def test_field_validation_itself_is_checked():
    assert 'Unsupported value: "Loose"' in refusal("Pod", b"{}", JSON, "Loose").message


def test_duplicate_fields():
    body = b'{"metadata":{"name":"a","name":"b"},"data":{"k":"1","k":"2"}}'
    message = refusal("ConfigMap", body).message
    assert message.endswith('strict decoding error: duplicate field "metadata.name", duplicate field "data.k"')
    obj, warnings = decode(resource("ConfigMap"), body, JSON, "Warn")
    assert (obj["metadata"]["name"], obj["data"]["k"]) == ("b", "2")
    assert warnings == ['duplicate field "metadata.name"', 'duplicate field "data.k"']


@pytest.mark.parametrize(
    "body",
    [
        b'{"metadata": {"name": "a"}, "data": {"k": "1:1", "k": "2:2"}}',
        b'{"metadata":{"name":"a"},"data":{"k":"1","k":"2\\u003a"}}',
        b'{"metadata":{"name":"a"},"data":{"k":"\\u003A","k" : "2"}}',
        b'{"metadata":{"name":"a","generation":1,"generation":1000},"data":{"k":"1","\\u006b":"2","k":"3"}}',
    ],
)
def test_no_duplicate_is_missed(body):
    assert 'duplicate field "' in refusal("ConfigMap", body).message


@pytest.mark.parametrize(
    "body",
    [
        b' { "metadata" : {"name": "a"},\n "data": {"k": "1"} }\n',
        b'{"metadata":{"name":"\\u0061"},"data":{"k":"\\/"}}',
        b'{"metadata":{"name":"a"},"data":{"k":"1:2","l":"\\u003a"}}',
        b'{"metadata":{"name":"a"},"data":{"k":"{\\"k\\":1,\\"k\\":2}"}}',
    ],
)
def test_no_false_duplicates(body):
    assert decode(resource("ConfigMap"), body, JSON, "Strict")[1] == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"replicas": "3"}, "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"replicas": 3.5}, "json: cannot unmarshal number 3.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"replicas": 2**31}, "cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas"),
        ({"replicas": True}, "json: cannot unmarshal bool into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"paused": "yes"}, "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool"),
        ({"selector": []}, "json: cannot unmarshal array into Go struct field DeploymentSpec.spec.selector"),
        ({"strategy": {"rollingUpdate": {"maxSurge": 1.5}}}, "maxSurge"),
        ({"template": {"spec": {"containers": {}}}}, "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers"),
        ({"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "1x"}}}]}}}, "quantities must match the regular expression"),
        ({"template": {"metadata": {"creationTimestamp": "yesterday"}}}, 'parsing time "yesterday"'),
        ({"template": {"metadata": {"labels": {"a": 1}}}}, "json: cannot unmarshal number into Go struct field ObjectMeta.spec.template.metadata.labels.a of type string"),
    ],
)  # fmt: skip
def test_mistyped(spec, said):
    error = refusal("Deployment", orjson.dumps({"spec": spec}), field_validation="Ignore")
    assert (error.code, error.reason) == (400, "BadRequest")
    assert said in error.message


def test_null_is_as_absent_as_in_go():
    body = orjson.dumps(
        {
            "metadata": {"name": "a", "creationTimestamp": None, "labels": {"x": None}},
            "spec": {"nodeName": None, "containers": [{"name": "c", "command": ["a", None], "resources": {"limits": {"cpu": None}}}, None]},
        }
    )  # fmt: skip
    obj, warnings = decode(resource("Pod"), body, JSON, "Strict")
    assert warnings == []
    assert obj["metadata"] == {"name": "a", "labels": {"x": ""}}
    first = {"name": "c", "command": ["a", ""], "resources": {"limits": {"cpu": "0"}}}
    assert obj["spec"] == {"containers": [first, {}]}


def test_leaves_are_brought_into_stored_form():
    body = orjson.dumps(
        {
            "metadata": {"name": "a", "creationTimestamp": "2026-05-01T14:00:00.5+02:00"},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": 0.5, "memory": "1024Mi", "x.y/z": 2}}}]},
        }
    )  # fmt: skip
    obj, _ = decode(resource("Pod"), body, JSON, "Strict")
    assert obj["metadata"]["creationTimestamp"] == "2026-05-01T12:00:00Z"
    requests = obj["spec"]["containers"][0]["resources"]["requests"]
    assert requests == {"cpu": "500m", "memory": "1Gi", "x.y/z": "2"}


def test_micro_time():
    body = b'{"spec":{"renewTime":"2026-05-01T12:00:00Z","acquireTime":"2026-05-01T12:00:00.123456Z"}}'
    obj, _ = decode(resource("Lease"), body, JSON, "Strict")
    assert obj["spec"] == {"renewTime": "2026-05-01T12:00:00.000000Z", "acquireTime": "2026-05-01T12:00:00.123456Z"}


def test_base64():
    obj, _ = decode(resource("Secret"), b'{"data":{"k":"djE=","empty":"","folded":"dj\\nE="}}', JSON, "Strict")
    assert obj["data"] == {"k": "djE=", "empty": "", "folded": "djE="}
    for wrong in (b"v1", b"djE", b"d=E=", b"dj\xc3\xa9="):
        assert "illegal base64 data" in refusal("Secret", b'{"data":{"k":"' + wrong + b'"}}').message


def test_int_or_string():
    obj, _ = decode(
        resource("Service"), b'{"spec":{"ports":[{"port":1,"targetPort":"web"},{"port":2,"targetPort":8}]}}', JSON
    )
    assert [port["targetPort"] for port in obj["spec"]["ports"]] == ["web", 8]


def test_free_form_parts_are_kept_whole():
    body = b'{"metadata":{"managedFields":[{"manager":"m","fieldsV1":{"f:a":{".":null}}}]}}'
    obj, _ = decode(resource("ConfigMap"), body, JSON, "Strict")
    assert obj["metadata"]["managedFields"][0]["fieldsV1"] == {"f:a": {".": None}}


class TestYaml:
    def test_types_are_those_of_json(self):
        text = b"""
        kind: ConfigMap
        apiVersion: v1
        metadata: {name: a, labels: {date: 2020-01-01, time: '1:30'}}
        """
        obj, _ = decode(resource("ConfigMap"), text, YAML, "Strict")
        assert obj["metadata"]["labels"] == {"date": "2020-01-01", "time": "1:30"}

    def test_numbers(self):
        data, _ = bodies.parse_yaml(b"[0644, 0x10, 10, -3, 1_000, 1:30, 1.5]")
        assert data == [420, 16, 10, -3, 1000, "1:30", 1.5]

    def test_a_repeated_key_is_a_strict_error(self):
        error = refusal("ConfigMap", b"metadata:\n  name: a\n  name: b\n", YAML)
        assert 'line 3: key "name" already set in map' in error.message

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (b"a: [", "yaml"),
            (b"a: !!python/object/apply:os.system [id]", "yaml"),
            (b"a: &a [*a]", "excessive aliasing"),
            (b"--- {}\n--- {}\n", "yaml"),
            (b"{" * 300, "max depth"),
            (b"\x00", "yaml"),
        ],
    )
    def test_refused(self, text, said):
        assert said in refusal("ConfigMap", text, YAML).message

    def test_an_alias_bomb_is_refused_before_it_grows(self):
        lines = [b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
        lines += [b"a%d: &a%d [%s]" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 12)]
        assert "excessive aliasing" in refusal("ConfigMap", b"\n".join(lines), YAML).message

    def test_a_merge_key_bomb_is_refused_too(self):
        lines = [b"a0: &a0 {k: v}"]
        lines += [b"a%d: &a%d {<<: [%s]}" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 12)]
        assert "excessive aliasing" in refusal("ConfigMap", b"\n".join(lines), YAML).message

    def test_aliases_within_reason_are_expanded(self):
        text = b"metadata: {name: a, labels: &l {x: y}, annotations: *l}\n"
        obj, _ = decode(resource("ConfigMap"), text, YAML, "Strict")
        assert obj["metadata"]["annotations"] == {"x": "y"}


def test_depth_is_limited():
    deep = b'{"metadata":' + b'{"a":' * 250 + b"1" + b"}" * 250 + b"}"
    assert "max depth" in refusal("ConfigMap", deep).message


def test_unknown_media_type():
    error = refusal("Pod", b"{}", "application/vnd.kubernetes.protobuf")
    assert (error.code, error.reason) == (415, "UnsupportedMediaType")


def test_media_type_parameters_are_ignored():
    assert decode(resource("ConfigMap"), b"{}", "application/json; charset=utf-8")[0]["kind"] == "ConfigMap"


def test_subresource_kinds():
    body = b'{"kind":"Scale","apiVersion":"autoscaling/v1","spec":{"replicas":3}}'
    assert decode_as("autoscaling", "v1", "Scale", body, JSON)[0]["spec"] == {"replicas": 3}
    body = b'{"apiVersion":"v1","kind":"Binding","metadata":{"name":"p"},"target":{"kind":"Node","name":"n"}}'
    assert decode_as("", "v1", "Binding", body, JSON)[0]["target"]["name"] == "n"


class TestDeleteOptions:
    def test_an_empty_body_says_nothing(self):
        assert decode_options(b"", JSON) == {}

    @pytest.mark.parametrize("api_version", ["v1", "meta.k8s.io/v1", "apps/v1"])
    def test_any_version(self, api_version):
        body = orjson.dumps({"kind": "DeleteOptions", "apiVersion": api_version, "gracePeriodSeconds": 0})
        assert decode_options(body, JSON)["gracePeriodSeconds"] == 0

    @pytest.mark.parametrize("body", [b"[]", b'{"kind":"Pod"}', b'{"gracePeriodSeconds":"0"}', b"{"])
    def test_refused(self, body):
        with pytest.raises(ApiError) as caught:
            decode_options(body, JSON)
        assert caught.value.code == 400


class TestCache:
    def test_a_second_process_reads_what_the_first_compiled(self, tmp_path):
        first = schema.Schemas(tmp_path).of_kind("v1", "Pod")
        (file,) = tmp_path.iterdir()
        before = file.stat().st_mtime_ns
        second = schema.Schemas(tmp_path).of_kind("v1", "Pod")
        assert file.stat().st_mtime_ns == before
        assert first is not None and second is not None
        assert first.resolved().fields.keys() == second.resolved().fields.keys()

    def test_a_damaged_cache_is_made_again(self, tmp_path):
        schema.Schemas(tmp_path).of_kind("v1", "Pod")
        (file,) = tmp_path.iterdir()
        file.write_bytes(file.read_bytes()[:1000])
        assert schema.Schemas(tmp_path).of_kind("v1", "Pod") is not None
        assert len(file.read_bytes()) > 100_000

    def test_a_cache_that_cannot_be_written_is_done_without(self, tmp_path):
        (tmp_path / "file").write_text("")
        assert schema.Schemas(tmp_path / "file" / "cache").of_kind("v1", "Pod") is not None
