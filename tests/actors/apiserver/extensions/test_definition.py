"""Which definitions are refused, and with which words; names among definitions; versions in order; paths."""

import copy
from typing import Any

import pytest

from actors.api.errors import ApiError
from actors.apiserver.extensions import conditions
from actors.apiserver.extensions.jsonpath import BadPath, compile_path, field_steps
from actors.apiserver.extensions.resources import priority
from actors.apiserver.machinery.prepare import prepare_for_create
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.machinery.validation import validate
from tests.actors.apiserver.extensions.definitions import definition, version

RESOURCE = REGISTRY.lookup("apiextensions.k8s.io", "v1", "customresourcedefinitions")
NOW = "2026-01-01T00:00:00Z"


def causes(made: dict[str, Any]) -> dict[str, str]:
    """Return what is wrong with a definition, by field; several messages of one field are joined."""
    assert RESOURCE is not None
    made = copy.deepcopy(made)
    prepare_for_create(RESOURCE, made, "u", NOW)
    try:
        validate(RESOURCE, made)
    except ApiError as error:
        found: dict[str, str] = {}
        for cause in error.details["causes"]:
            found[cause["field"]] = found.get(cause["field"], "") + cause["message"]
        return found
    return {}


def of_schema(spec: dict[str, Any]) -> dict[str, str]:
    found = causes(definition(versions=[version(spec=spec)]))
    start = "spec.validation.openAPIV3Schema.properties[spec]"
    return {name.replace(start, "", 1): message for name, message in found.items()}


def test_a_good_one():
    assert causes(definition()) == {}


def test_names_and_groups():
    made = definition()
    made["metadata"]["name"] = "other.stable.example.com"
    assert causes(made)["metadata.name"].endswith('must be spec.names.plural+"."+spec.group')
    assert "should be a domain with at least one dot" in causes(definition(group="short"))["spec.group"]
    assert "api-approved.kubernetes.io" in str(causes(definition(group="x.k8s.io")))
    assert "spec.scope" in causes(definition(scope="Somewhere"))
    assert "spec.names.kind" in causes(definition(kind="Cron Tab"))


def test_versions():
    assert "must have exactly one version marked as storage version" in str(causes(definition(versions=[
        version(storage=False)])))  # fmt: skip
    two = [version(), version(storage=False)]
    assert causes(definition(versions=two))["spec.versions[1].name"] == 'Duplicate value: "v1"'
    bare = {"name": "v1", "served": True, "storage": True}
    assert causes(definition(versions=[bare])) == {
        "spec.versions[0].schema.openAPIV3Schema": "Required value: schemas are required"
    }


def listed(list_type: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": list_type}


def field(**schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}}


@pytest.mark.parametrize(
    ("spec", "where", "said"),
    [
        (field(), ".properties[a].type", "must not be empty for specified object fields"),
        ({"type": "array"}, ".items", "must be specified"),
        ({"type": "object", "$ref": "#/x"}, ".$ref", "is not supported"),
        ({"type": "object", "additionalProperties": False}, ".additionalProperties", "cannot be set to false"),
        ({"type": "string", "pattern": "("}, ".pattern", "must be a valid regular expression"),
        ({"type": "object", "allOf": [{"properties": {"a": {}}}]}, ".properties[a]", "because it is defined in"),
        ({"type": "object", "not": {"type": "string"}}, ".not.type", "must be empty to be structural"),
        ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, ".uniqueItems", "quadratic"),
        ({"type": "array", "items": {"type": 3}}, ".items", "cannot unmarshal"),
        (listed("map"), ".x-kubernetes-list-map-keys", "must not be empty"),
        (listed("set"), ".items.x-kubernetes-map-type", "must be atomic"),
        (field(type="integer", default="x"), ".properties[a].default", "must be of type integer"),
        (field(type="integer", maximum=3, default=4), ".properties[a].default", "less than or equal to 3"),
    ],
)
def test_schemas_that_are_not_structural(spec: dict[str, Any], where: str, said: str):
    found = of_schema(spec)
    assert said in found.get(where, str(found))
    assert where in found, found


@pytest.mark.parametrize(
    ("rule", "where", "said"),
    [
        ({"rule": "self.nope > 1"}, "[0].rule", "undefined field 'nope'"),
        ({"rule": "self.a"}, "[0].rule", "must evaluate to a bool"),
        ({"rule": ""}, "[0].rule", "rule is not specified"),
        ({"rule": "true", "message": " "}, "[0].message", "must be non-empty"),
        ({"rule": "true", "messageExpression": "1"}, "[0].messageExpression", "must evaluate to a string"),
        ({"rule": "true", "fieldPath": ".nope"}, "[0].fieldPath", "does not refer to a valid field"),
        ({"rule": "true", "reason": "Whim"}, "[0].reason", "Unsupported value"),
        ({"rule": "self.l.all(x, x in self.l)"}, "[0].rule", "budget by factor of more than 100x"),
    ],
)  # fmt: skip
def test_rules_that_are_refused(rule: dict[str, Any], where: str, said: str):
    fields = {"a": {"type": "integer"}, "l": {"type": "array", "items": {"type": "string"}}}
    found = of_schema({"type": "object", "properties": fields, "x-kubernetes-validations": [rule]})
    assert said in found[f".x-kubernetes-validations{where}"]


def test_a_transition_rule_needs_a_past():
    item = {"type": "string", "maxLength": 9, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}
    fields = {"l": {"type": "array", "maxItems": 9, "items": item}}
    found = of_schema({"type": "object", "properties": fields})
    assert "uncorrelatable portion" in found[".properties[l].items.x-kubernetes-validations[0].rule"]


UNBOUNDED = {"type": "array", "items": {"type": "string"}}


def test_rules_that_may_cost_too_much():
    rule = {"rule": "self.all(x, self.exists(y, y == x))", "messageExpression": "self.join(',')"}
    found = of_schema({"type": "object", "properties": {"l": UNBOUNDED | {"x-kubernetes-validations": [rule]}}})
    where, hint = ".properties[l].x-kubernetes-validations[0]", "(try simplifying the rule, or adding maxItems, "
    assert found[f"{where}.rule"].startswith(
        f"Forbidden: estimated rule cost exceeds budget by factor of more than 100x {hint}maxProperties, and maxLength"
    )
    assert "estimated messageExpression cost exceeds budget" in found[f"{where}.messageExpression"]
    assert "contributed to estimated rule & messageExpression cost total exceeding" in found[f"{where}.rule"]
    bounded = UNBOUNDED | {"maxItems": 10, "items": {"type": "string", "maxLength": 30}}
    bounded |= {"x-kubernetes-validations": [rule]}
    assert of_schema({"type": "object", "properties": {"l": bounded}}) == {}


def test_how_far_a_rule_is_over_its_budget():
    item = {"type": "object", "properties": {"n": {"type": "integer"}}}

    def factor(rule: str) -> str:
        rules = {"x-kubernetes-validations": [{"rule": rule}]}
        found = of_schema({"type": "object", "properties": {"l": {"type": "array", "items": item | rules}}})
        said = found.get(".properties[l].items.x-kubernetes-validations[0].rule", "")
        return said.partition("by factor of ")[2].partition(" ")[0]

    once = "self.n > 0"  # 3 units, on as many items as a request has room for: 1048576
    assert factor(once) == ""
    assert factor(" && ".join([once] * 4)) == "1.258291x"
    assert factor(" && ".join([once] * 8)) == "2.5x"


def test_lists_in_lists_without_bounds_are_bounded_by_a_request():
    rules = {"x-kubernetes-validations": [{"rule": "self.n > 0"}]}
    item = {"type": "object", "properties": {"n": {"type": "integer"}}, **rules}
    lists = {"type": "array", "items": {"type": "object", "properties": {"m": {"type": "array", "items": item}}}}
    assert of_schema({"type": "object", "properties": {"l": lists}}) == {}


def test_status_is_the_same_whoever_computes_it():
    one, other = definition(names={"shortNames": ["ct"]}), definition("others", "Other", names={"shortNames": ["ct"]})
    for number, made in enumerate((one, other)):
        prepare_for_create(RESOURCE, made, f"u{number}", NOW)  # type: ignore[arg-type]
    one["status"] = conditions.status_of(one, [one, other], NOW)
    assert conditions.is_established(one)
    assert conditions.status_of(one, [one, other], "2027-01-01T00:00:00Z") == one["status"]
    other["status"] = conditions.status_of(other, [one, other], NOW)
    assert not conditions.is_established(other)
    assert other["status"]["acceptedNames"]["plural"] == "others"
    assert "shortNames" not in other["status"]["acceptedNames"]
    freed = conditions.status_of(other, [other], NOW)
    assert freed["acceptedNames"]["shortNames"] == ["ct"]


def test_whether_an_api_was_approved():
    def said(annotation: str) -> tuple[str, str] | None:
        made = definition(group="x.k8s.io")
        made["metadata"] |= {"uid": "u", "annotations": {"api-approved.kubernetes.io": annotation}}
        status = conditions.status_of(made, [], NOW)
        found = [one for one in status["conditions"] if one["type"] == conditions.APPROVED]
        return (found[0]["status"], found[0]["reason"]) if found else None

    assert said("https://github.com/x/pull/1") == ("True", "ApprovedAnnotation")
    assert said("unapproved, for now") == ("False", "UnapprovedAnnotation")
    assert said("why not") == ("False", "InvalidAnnotation")
    made = definition(group="x.k8s.io")
    made["metadata"]["annotations"] = {"api-approved.kubernetes.io": "why not"}
    assert "with either a URL or a reason" in str(causes(made))
    plain = definition()
    plain["metadata"]["uid"] = "u"
    assert all(one["type"] != conditions.APPROVED for one in conditions.status_of(plain, [], NOW)["conditions"])


def test_versions_in_kubernetes_order():
    given = ["v1alpha1", "foo1", "v11alpha2", "v2", "v10", "v3beta1", "v12alpha1", "v11beta2", "v1", "foo10"]
    assert sorted(given, key=priority) == [
        "v10", "v2", "v1", "v11beta2", "v3beta1", "v12alpha1", "v11alpha2", "v1alpha1", "foo1", "foo10",
    ]  # fmt: skip


def test_paths():
    ready = {"status": {"conditions": [{"type": "A", "status": "1"}, {"type": "Ready", "status": "True"}]}}
    assert compile_path('.status.conditions[?(@.type=="Ready")].status')(ready) == ["True"]
    assert compile_path(".status.conditions[*].type")(ready) == ["A", "Ready"]
    assert compile_path(".status.conditions[-1].type")(ready) == ["Ready"]
    assert compile_path(r".metadata.labels.a\.b")({"metadata": {"labels": {"a.b": 3}}}) == [3]
    assert field_steps(".metadata.labels['a.b']") == ["metadata", "labels", "a.b"]
    for bad in ("spec", ".a..b", ".a[", ".a[?(", ""):
        with pytest.raises(BadPath):
            compile_path(bad)
    with pytest.raises(BadPath):
        field_steps(".a[0]")
