"""matchLabelKeys and mismatchLabelKeys of a new pod become part of its selectors, with the labels that it got."""

from typing import Any

import pytest

from tests.actors.apiserver.api_harness import pod, with_account, with_api

PODS = "/api/v1/namespaces/default/pods"
MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies"
IN_H = {"key": "hash", "operator": "In", "values": ["h"]}


def term(**more: Any) -> dict[str, Any]:
    return {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "a"}}, **more}


def placed(terms: list[dict], *constraints: dict) -> dict[str, Any]:
    affinity = {
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms},
        "podAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": one} for one in terms]
        },
    }
    spread = [{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", **one} for one in constraints]
    return pod("p", labels={"app": "a", "hash": "h"}, affinity=affinity, topologySpreadConstraints=spread)


@with_api()
async def test_keys_are_merged_into_selectors(api):
    await with_account(api)
    keys = term(matchLabelKeys=["hash", "absent"], mismatchLabelKeys=["app"])
    made = await api.must("POST", PODS, placed([keys], term(matchLabelKeys=["hash"])))
    merged = [IN_H, {"key": "app", "operator": "NotIn", "values": ["a"]}]
    affinity = made["spec"]["affinity"]
    hard = affinity["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
    soft = affinity["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"]
    for one in (hard, soft):
        assert one["labelSelector"] == {"matchLabels": {"app": "a"}, "matchExpressions": merged}
        assert one["matchLabelKeys"] == ["hash", "absent"]
    spread = made["spec"]["topologySpreadConstraints"][0]
    assert spread["labelSelector"]["matchExpressions"] == [IN_H]
    again = await api.must("PUT", f"{PODS}/p", made)
    assert again["spec"] == made["spec"], "an update merges nothing"


@pytest.mark.parametrize(
    ("selector", "is_refused"),
    [
        ({"matchLabels": {"hash": "h"}}, True),
        ({"matchExpressions": [{"key": "hash", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "other", "operator": "Exists"}]}, False),
    ],
)
def test_a_key_that_the_selector_names_itself(selector: dict, is_refused: bool):
    @with_api()
    async def check(api):
        await with_account(api)
        status, answer = await api.post(PODS, placed([], term(labelSelector=selector, matchLabelKeys=["hash"])))
        assert status == (422 if is_refused else 201), answer
        if is_refused:
            cause = answer["details"]["causes"][0]
            assert cause["field"] == "spec.topologySpreadConstraints[0][0]"
            assert cause["message"].endswith("exists in both matchLabelKeys and labelSelector")

    check()


@with_api()
async def test_labels_that_admission_adds_count(api):
    await with_account(api)
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    expression = "[JSONPatch{op: 'add', path: '/metadata/labels/hash', value: 'h'}]"
    kind = {"apiVersion": "admissionregistration.k8s.io/v1"}
    policy = {
        **kind, "kind": "MutatingAdmissionPolicy", "metadata": {"name": "label"},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]}, "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
        },
    }  # fmt: skip
    bound = {
        **kind,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "b"},
        "spec": {"policyName": "label"},
    }
    await api.must("POST", MUTATING, policy)
    await api.must("POST", MUTATING.replace("policies", "policybindings"), bound)
    await api.server.barrier.fresh()
    wanted = placed([], term(matchLabelKeys=["hash"]))
    del wanted["metadata"]["labels"]["hash"]
    made = await api.must("POST", PODS, wanted)
    assert made["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchExpressions"] == [IN_H]
