"""sig-api-machinery: admission policies with CEL, tried on Deployments of one namespace."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster import eventually
from tests.conformance.access import Object, Refused
from tests.conformance.control_plane.test_garbage import DEPLOYMENTS, deployment
from tests.conformance.pods import Space

pytestmark = pytest.mark.timeout(60)

GROUP = "admissionregistration.k8s.io/v1"
RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}


@contextmanager
def bound(whole: Space, space: Space, kind: str, name: str, binding: Object, **spec: Any) -> Iterator[None]:
    """A policy for the Deployments of a namespace."""
    made = (
        (
            f"{GROUP}/{kind.lower()}admissionpolicies",
            f"{kind}AdmissionPolicy",
            spec | {"matchConstraints": {"resourceRules": [RULE]}},
        ),
        (
            f"{GROUP}/{kind.lower()}admissionpolicybindings",
            f"{kind}AdmissionPolicyBinding",
            {
                "policyName": name,
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}}},
                **binding,
            },
        ),
    )
    for resource, of_kind, fields in made:
        whole.create(resource, {"apiVersion": GROUP, "kind": of_kind, "metadata": {"name": name}, "spec": fields})
    try:
        yield
    finally:
        for resource, _, _ in reversed(made):
            whole.delete(resource, name)


def is_refused(space: Space, obj: Object) -> str:
    """Return why an object is refused, once the policy is at work."""

    def why() -> str:
        try:
            space.create(DEPLOYMENTS, obj, dryRun="All")
        except Refused as error:
            return str(error)
        return ""

    return eventually(why, "it is refused", 10)


@pytest.mark.parametrize("behaviour", ["ValidatingAdmissionPolicy"])
def test_a_deployment_is_validated(behaviour: str, space: Space, whole: Space):
    """ValidatingAdmissionPolicy: should validate against a Deployment"""
    rules = [
        {
            "expression": "object.spec.replicas > 1",
            "messageExpression": "'wants more than ' + string(object.spec.replicas)",
        },
        {"expression": "namespaceObject.metadata.name == '" + space.name + "'"},
    ]
    with bound(whole, space, "Validating", "validates", {"validationActions": ["Deny"]}, validations=rules):
        assert "wants more than 1" in is_refused(space, deployment("one", 1))
        space.create(DEPLOYMENTS, deployment("two", 2), dryRun="All")


@pytest.mark.parametrize("behaviour", ["ValidatingAdmissionPolicy"])
def test_expressions_have_variables(behaviour: str, space: Space, whole: Space):
    """ValidatingAdmissionPolicy: should allow expressions to refer variables"""
    variables = [
        {"name": "replicas", "expression": "object.spec.replicas"},
        {"name": "oddReplicas", "expression": "variables.replicas % 2 == 1"},
    ]
    rules = [
        {"expression": "variables.replicas > 1"},
        {"expression": "variables.oddReplicas", "message": "must be odd"},
    ]
    deny = {"validationActions": ["Deny"]}
    with bound(whole, space, "Validating", "variables", deny, variables=variables, validations=rules):
        assert "failed expression: variables.replicas > 1" in is_refused(space, deployment("one", 1))
        assert "must be odd" in is_refused(space, deployment("two", 2))
        space.create(DEPLOYMENTS, deployment("three", 3), dryRun="All")


def test_a_deployment_is_mutated(space: Space, whole: Space):
    """MutatingAdmissionPolicy"""
    expression = "Object{spec: Object.spec{replicas: object.spec.replicas + 1}}"
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    spec = {"mutations": [mutation], "reinvocationPolicy": "Never", "failurePolicy": "Fail"}
    with bound(whole, space, "Mutating", "mutates", {}, **spec):

        def is_mutated() -> bool:
            return space.create(DEPLOYMENTS, deployment("one", 1), dryRun="All")["spec"]["replicas"] == 2

        eventually(is_mutated, "the policy is at work", 10)
        space.create(DEPLOYMENTS, deployment("stored", 0))
        assert space.get(DEPLOYMENTS, "stored")["spec"]["replicas"] == 1
    assert space.create(DEPLOYMENTS, deployment("after", 1), dryRun="All")["spec"]["replicas"] == 1
