"""Validating and mutating admission policies: what expressions see, what comes of them, and what of their errors."""

from typing import Any

import pytest

from actors.apiserver.call import AUTHENTICATED, Identity
from actors.apiserver.policies.literals import rewritten
from actors.apiserver.policies.status_upkeep import PolicyStatusUpkeep
from tests.actors.apiserver.api_harness import config_map, pod, with_account, with_api

REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CMS = "/api/v1/namespaces/default/configmaps"
CONFIG_MAPS = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["configmaps"],
    "operations": ["CREATE", "UPDATE"],
}
OF_DEPLOYMENTS = {
    "apiGroups": ["apps"],
    "apiVersions": ["v1"],
    "resources": ["deployments"],
    "operations": ["CREATE", "UPDATE"],
}


def policy(name: str = "p.example.com", *, kind: str = "Validating", rule: dict = CONFIG_MAPS, **spec: Any) -> dict:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}AdmissionPolicy",
        "metadata": {"name": name},
        "spec": {"matchConstraints": {"resourceRules": [rule]}, **spec},
    }


def binding(name: str = "b", *, kind: str = "Validating", to: str = "p.example.com", **spec: Any) -> dict:
    actions = {"validationActions": ["Deny"]} if kind == "Validating" else {}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}AdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": to, **actions, **spec},
    }


async def install(api, *objects: dict) -> None:
    for obj in objects:
        plural = obj["kind"].lower()
        plural = plural[:-1] + "ies" if plural.endswith("policy") else plural + "s"
        await api.must("POST", f"{REGISTRATION}/{plural}", obj)
    await api.server.barrier.fresh()


def deployment(name: str, replicas: int, **labels: str) -> dict:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "template": template},
    }


@pytest.mark.parametrize(
    ("expression", "meaning"),
    [
        ("object.spec.x == 1", "object.spec.x == 1"),
        ("Object{spec: Object.spec{replicas: 3}}", '{"spec": {"replicas": 3}}'),
        ("Object {\n  spec : Object.spec { replicas : 3 } }", ' {\n  "spec" :  { "replicas" : 3 } }'),
        ('[JSONPatch{op: "add", path: "/x", value: {"a": b}}]', '[{"op": "add", "path": "/x", "value": {"a": b}}]'),
        ("Object{a: x ? y : z, b: [q ? r : s]}", '{"a": x ? y : z, "b": [q ? r : s]}'),
        ("Object{?a: optional.none(), metadata: {k: v}}", '{?"a": optional.none(), "metadata": {k: v}}'),
        ("Object{__namespace__: 1, a__dash__b: 2, `c/d`: 3}", '{"namespace": 1, "a-b": 2, "c/d": 3}'),
        ("'Object{a: 1}' + \"JSONPatch{op: 2}\"", "'Object{a: 1}' + \"JSONPatch{op: 2}\""),
        ("variables.Object{a: 1}", "variables.Object{a: 1}"),
        ("has(object.Object) // Object{a: 1}", "has(object.Object) // Object{a: 1}"),
        ("Object{spec: Object.spec{c: x.map(c, Object.spec.c.item{name: c.name})}}",
         '{"spec": {"c": x.map(c, {"name": c.name})}}'),
    ],
)  # fmt: skip
def test_constructions_are_maps(expression, meaning):
    assert rewritten(expression) == meaning


@with_api()
async def test_a_deployment_is_validated(api):
    """ValidatingAdmissionPolicy: should validate against a Deployment."""
    rules = {"expression": "object.spec.replicas > 1", "messageExpression": "'wants ' + string(object.spec.replicas)"}
    await install(api, policy(rule=OF_DEPLOYMENTS, validations=[rules]), binding())
    status, answer = await api.post(DEPLOYMENTS, deployment("one", 1))
    assert (status, answer["reason"]) == (422, "Invalid")
    assert answer["message"] == (
        "deployments.apps \"one\" is forbidden: ValidatingAdmissionPolicy 'p.example.com' with binding 'b' denied "
        "request: wants 1"
    )
    assert answer["details"]["causes"][0]["message"].startswith("ValidatingAdmissionPolicy 'p.example.com'")
    await api.must("POST", DEPLOYMENTS, deployment("two", 2))
    status, _ = await api.patch(f"{DEPLOYMENTS}/two", {"spec": {"replicas": 1}})
    assert status == 422


@with_api()
async def test_variables(api):
    """ValidatingAdmissionPolicy: should allow expressions to refer variables."""
    variables = [
        {"name": "replicas", "expression": "object.spec.replicas"},
        {"name": "oddReplicas", "expression": "variables.replicas % 2 == 1"},
        {"name": "unused", "expression": "object.spec.nothing.there"},
    ]
    validations = [
        {"expression": "variables.replicas > 1"},
        {"expression": "variables.oddReplicas"},
        {"expression": "!has(object.spec.nothing) || variables.unused == 1"},
    ]
    await install(api, policy(rule=OF_DEPLOYMENTS, variables=variables, validations=validations), binding())
    await api.must("POST", DEPLOYMENTS, deployment("three", 3))
    _, answer = await api.post(DEPLOYMENTS, deployment("one", 1))
    assert answer["message"].endswith("failed expression: variables.replicas > 1")
    _, answer = await api.post(DEPLOYMENTS, deployment("two", 2))
    assert answer["message"].endswith("failed expression: variables.oddReplicas")


@pytest.mark.parametrize(
    ("failure_policy", "validation", "status", "said"),
    [
        ("Fail", {"expression": "false", "message": "never", "reason": "Forbidden"}, 403, "denied request: never"),
        ("Fail", {"expression": "false", "reason": "Unauthorized"}, 401, "failed expression: false"),
        ("Fail", {"expression": "object.data.none == 'x'"}, 422,
         "expression 'object.data.none == 'x'' resulted in error: no such key: none"),
        ("Ignore", {"expression": "object.data.none == 'x'"}, 201, ""),
        ("Ignore", {"expression": "false"}, 422, "failed expression: false"),
        ("Fail", {"expression": "false", "message": "m", "messageExpression": "object.data.none"}, 422, "request: m"),
        ("Fail", {"expression": "false", "message": "m", "messageExpression": "'two\\nlines'"}, 422, "request: m"),
    ],
)  # fmt: skip
def test_reasons_messages_and_errors(failure_policy, validation, status, said):
    @with_api()
    async def check(api):
        await install(api, policy(failurePolicy=failure_policy, validations=[validation]), binding())
        found, answer = await api.post(CMS, config_map("one"))
        assert found == status, answer
        assert said in answer.get("message", "")

    check()


@with_api()
async def test_actions(api):
    """A binding may only warn, and its audit annotations tell the same."""
    await install(
        api,
        policy(validations=[{"expression": "false", "message": "not so good"}]),
        binding(validationActions=["Warn", "Audit"]),
    )
    answer = await api.raw("POST", CMS, config_map("one"))
    assert answer.status == 201
    assert answer.warnings == [
        "Validation failed for ValidatingAdmissionPolicy 'p.example.com' with binding 'b': not so good"
    ]


@with_api()
async def test_a_policy_without_binding_does_nothing(api):
    await install(api, policy(validations=[{"expression": "false"}]), binding(to="another"))
    await api.must("POST", CMS, config_map("one"))


@with_api()
async def test_what_bindings_and_constraints_confine(api):
    """Namespaces by binding, names and exclusions by rules."""
    constraints = {
        "resourceRules": [CONFIG_MAPS],
        "excludeResourceRules": [CONFIG_MAPS | {"resourceNames": ["spared"]}],
    }
    elsewhere = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}
    await install(
        api,
        policy(validations=[{"expression": "false"}], matchConstraints=constraints),
        binding(matchResources=elsewhere),
    )
    assert (await api.post(CMS, config_map("one")))[0] == 422
    await api.must("POST", CMS, config_map("spared"))
    await api.must("POST", "/api/v1/namespaces/kube-public/configmaps", config_map("one"))


@with_api()
async def test_parameters(api):
    """By name, by selector, missing, and for each of several."""
    of_params = {"apiVersion": "v1", "kind": "ConfigMap"}
    validation = {
        "expression": "object.data.k in params.data",
        "messageExpression": "'not allowed by ' + params.metadata.name",
    }
    conditions = [{"name": "no-params", "expression": "!has(object.metadata.labels)"}]
    await api.must("POST", CMS, config_map("allowed", labels={"param": "yes"}, data={"v": "", "w": ""}))
    await api.server.barrier.fresh()
    by_name = {"name": "allowed", "namespace": "default", "parameterNotFoundAction": "Deny"}
    await install(
        api,
        policy(paramKind=of_params, validations=[validation], matchConditions=conditions),
        binding(paramRef=by_name),
    )
    await api.must("POST", CMS, config_map("one"))
    _, answer = await api.post(CMS, config_map("two", data={"k": "x"}))
    assert answer["message"].endswith("not allowed by allowed")
    path = f"{REGISTRATION}/validatingadmissionpolicybindings/b"
    selected = {"name": None, "selector": {"matchLabels": {"param": "yes"}}}
    await api.patch(path, {"spec": {"paramRef": selected}})
    await api.must("POST", CMS, config_map("narrow", labels={"param": "yes"}, data={"w": ""}))
    await api.server.barrier.fresh()
    _, answer = await api.post(CMS, config_map("three"))
    assert answer["message"].endswith("not allowed by narrow")
    await api.patch(path, {"spec": {"paramRef": {"selector": {"matchLabels": {"param": "no"}}}}})
    await api.server.barrier.fresh()
    _, answer = await api.post(CMS, config_map("four"))
    assert "no params found for policy binding with `Deny` parameterNotFoundAction" in answer["message"]
    await api.patch(path, {"spec": {"paramRef": {"parameterNotFoundAction": "Allow"}}})
    await api.server.barrier.fresh()
    await api.must("POST", CMS, config_map("five"))


@with_api()
async def test_what_expressions_see(api):
    """The old object, the request, the namespace and the authorizer."""
    expressions = [
        "oldObject == null || object.data == oldObject.data || request.operation == 'UPDATE'",
        "request.userInfo.username == 'admin'",
        "request.namespace == namespaceObject.metadata.name",
        "request.kind.kind == 'ConfigMap' && request.resource.resource == 'configmaps'",
        "authorizer.group('').resource('pods').namespace('default').check('create').allowed()",
        "authorizer.requestResource.check('delete').allowed()",
        "!authorizer.serviceAccount('default', 'default').path('/metrics').check('get').allowed()",
        "request.dryRun == false",
    ]
    await install(api, policy(validations=[{"expression": one} for one in expressions]), binding())
    await api.must("POST", CMS, config_map("one"))
    await api.must("PATCH", f"{CMS}/one", {"data": {"k": "w"}}, content_type="application/merge-patch+json")


@with_api()
async def test_a_deletion_is_seen(api):
    rule = CONFIG_MAPS | {"operations": ["DELETE"]}
    await install(api, policy(rule=rule, validations=[{"expression": "oldObject.data.k != 'v'"}]), binding())
    await api.must("POST", CMS, config_map("one"))
    await api.server.barrier.fresh()
    status, answer = await api.delete(f"{CMS}/one")
    assert status == 422, answer


def apply_configuration(expression: str) -> dict:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def json_patch(expression: str) -> dict:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


async def mutating(api, *mutations: dict, rule: dict = OF_DEPLOYMENTS, **spec: Any) -> None:
    made = policy(kind="Mutating", rule=rule, mutations=list(mutations), reinvocationPolicy="Never")
    made["spec"] |= spec
    await install(api, made, binding(kind="Mutating"))


@with_api()
async def test_a_deployment_is_mutated(api):
    """MutatingAdmissionPolicy: should mutate a Deployment."""
    await mutating(
        api,
        apply_configuration("Object{spec: Object.spec{replicas: object.spec.replicas + 1}}"),
        json_patch("[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: 'c'}]"),
    )
    made = await api.must("POST", DEPLOYMENTS, deployment("one", 1, x="y"))
    assert made["spec"]["replicas"] == 2
    assert made["metadata"]["labels"] == {"x": "y", "a/b": "c"}
    assert made["metadata"]["generation"] == 1


@with_api()
async def test_lists_are_merged_by_their_keys(api):
    await with_account(api)
    expression = """
      Object{spec: Object.spec{
        containers: object.spec.containers.map(c, Object.spec.containers.item{
          name: c.name, env: [Object.spec.containers.env.item{name: "MODE", value: "test"}]
        }),
        initContainers: [Object.spec.initContainers.item{name: "first", image: "mesh", restartPolicy: "Always"}]
      }}
    """
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    await mutating(api, apply_configuration(expression), rule=rule)
    made = await api.must("POST", "/api/v1/namespaces/default/pods", pod("one"))
    (container,) = made["spec"]["containers"]
    assert (container["image"], container["env"]) == ("busybox", [{"name": "MODE", "value": "test"}])
    (first,) = made["spec"]["initContainers"]
    assert (first["name"], first["imagePullPolicy"]) == ("first", "Always")
    assert first["volumeMounts"][0]["mountPath"].endswith("serviceaccount")


@pytest.mark.parametrize(
    ("mutation", "said"),
    [
        (apply_configuration("Object{spec: Object.spec{nonsense: 1}}"), 'unknown field "spec.nonsense"'),
        (apply_configuration("Object{spec: Object.spec{replicas: 'x'}}"), "failed to convert patch object"),
        (apply_configuration("[1]"), "must evaluate to an Object"),
        (apply_configuration("Object{kind: 'Pod'}"), "may not change kind"),
        (json_patch("[JSONPatch{op: 'remove', path: '/nothing'}]"), "JSON Patch: "),
        (json_patch("{'a': 1}"), "must evaluate to a list"),
        (json_patch("[JSONPatch{op: object.nothing}]"), "no such key: nothing"),
    ],
)
def test_mutations_that_do_not_fit(mutation, said):
    @with_api()
    async def check(api):
        await mutating(api, mutation)
        status, answer = await api.post(DEPLOYMENTS, deployment("one", 1))
        assert status == 422
        assert "policy 'p.example.com' with binding 'b' denied request: " in answer["message"]
        assert said in answer["message"]
        await api.patch(
            f"{REGISTRATION}/mutatingadmissionpolicies/p.example.com", {"spec": {"failurePolicy": "Ignore"}}
        )
        await api.server.barrier.fresh()
        await api.must("POST", DEPLOYMENTS, deployment("one", 1))

    check()


@with_api()
async def test_policies_are_exempt_from_policies(api):
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}
    await install(api, policy(rule=rule, validations=[{"expression": "false"}]), binding())
    await api.must("DELETE", f"{REGISTRATION}/validatingadmissionpolicybindings/b")
    await api.server.barrier.fresh()
    await api.must("POST", CMS, config_map("one"))


async def looked_at(api, made: dict) -> dict:
    async def send(method: str, path: str, body: dict) -> int:
        return (await api.call(method, path, body))[0]

    await install(api, made)
    upkeep = PolicyStatusUpkeep(api.cache, api.server.registry, send)
    assert await upkeep.put_right()
    _, found = await api.get(f"{REGISTRATION}/validatingadmissionpolicies/p.example.com")
    return found


@with_api()
async def test_a_status_says_that_it_was_looked_at(api):
    found = await looked_at(api, policy(validations=[{"expression": "object.data.x == object.metadata.name"}]))
    assert found["status"] == {"observedGeneration": 1, "typeChecking": {}}


@with_api()
async def test_what_does_not_fit_the_types_is_warned_of(api):
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["CREATE"]}
    variables = [{"name": "few", "expression": "object.spec.replicas < 3"}]
    validations = [
        {"expression": "object.replicas > 1"},
        {"expression": "variables.few", "messageExpression": "'not ' + variables.few"},
        {"expression": "object.spec.template.spec.containers.all(c, has(c.resources.limits) && c.image != '')"},
        {"expression": "request.name != '' && authorizer.group('').resource('pods').check('get').allowed()"},
    ]
    found = await looked_at(api, policy(rule=rule, variables=variables, validations=validations))
    warnings = found["status"]["typeChecking"]["expressionWarnings"]
    assert warnings[0] == {
        "fieldRef": "spec.validations[0].expression",
        "warning": "apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n"
        " | ......^\n",
    }
    assert [warning["fieldRef"] for warning in warnings[1:]] == ["spec.validations[1].messageExpression"]


@with_api()
async def test_parameters_have_types_too(api):
    validations = [{"expression": "params.dta.x == '1'"}, {"expression": "params.data.x == '1'"}]
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    found = await looked_at(api, policy(paramKind=kind, validations=validations))
    [warning] = found["status"]["typeChecking"]["expressionWarnings"]
    assert (warning["fieldRef"], "undefined field 'dta'" in warning["warning"]) == (
        "spec.validations[0].expression",
        True,
    )


@with_api()
async def test_what_may_be_any_kind_is_not_looked_at(api):
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["CREATE"]}
    found = await looked_at(api, policy(rule=rule, validations=[{"expression": "object.nothing.of.it"}]))
    assert found["status"]["typeChecking"] == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"validations": []}, "spec.validations"),
        ({"validations": [{"expression": "object.x >"}]}, "spec.validations[0].expression"),
        ({"validations": [{"expression": "nothing == 1"}]}, "spec.validations[0].expression"),
        ({"validations": [{"expression": "true", "reason": "Maybe"}]}, "spec.validations[0].reason"),
        (
            {"validations": [{"expression": "true", "messageExpression": "1 +"}]},
            "spec.validations[0].messageExpression",
        ),
        ({"variables": [{"name": "9", "expression": "1"}]}, "spec.variables[0].name"),
        ({"variables": [{"name": "a", "expression": ")"}]}, "spec.variables[0].expression"),
        ({"matchConditions": [{"name": "a", "expression": "("}]}, "spec.matchConditions[0].expression"),
        ({"matchConditions": [{"name": "a", "expression": "request.who == 1"}]}, "spec.matchConditions[0].expression"),
        ({"validations": [{"expression": "variables.nope == 1"}]}, "spec.validations[0].expression"),
        ({"validations": [{"expression": "request.userInfo.name == 'x'"}]}, "spec.validations[0].expression"),
        ({"validations": [{"expression": "namespaceObject.labels.a == 'x'"}]}, "spec.validations[0].expression"),
        ({"variables": [{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]},
         "spec.variables[0].expression"),
        ({"matchConstraints": None}, "spec.matchConstraints"),
        ({"paramKind": {"kind": "X"}}, "spec.paramKind.apiVersion"),
        ({"auditAnnotations": [{"key": "k", "valueExpression": "'a' +"}]}, "spec.auditAnnotations[0].valueExpression"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_policy(change, field):
    @with_api()
    async def check(api):
        made = policy(validations=[{"expression": "true"}])
        made["spec"] |= change
        status, answer = await api.post(f"{REGISTRATION}/validatingadmissionpolicies", made)
        assert status == 422, answer
        assert field in {cause["field"] for cause in answer["details"]["causes"]}

    check()


@with_api()
async def test_an_authorizer_of_somebody_without_rights(api):
    """The authorizer speaks of who writes."""
    jane = Identity("jane", (AUTHENTICATED,))
    rules = [{"verbs": ["create"], "apiGroups": [""], "resources": ["configmaps"]}]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "r"},
        "rules": rules,
    }
    await api.must("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
    bound = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    await api.must("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", bound)
    expression = "authorizer.requestResource.check('delete').allowed()"
    await install(api, policy(validations=[{"expression": expression}]), binding())
    assert (await api.post(CMS, config_map("one"), identity=jane))[0] == 422
    await api.must("POST", CMS, config_map("one"))


def dear(checks: int) -> str:
    """True, at a cost of 350,004 units for each time that the authorizer is asked."""
    return " && ".join(["authorizer.group('').resource('pods').check('get').allowed()"] * checks)


@pytest.mark.parametrize(
    ("validations", "said"),
    [
        (1, ""),
        (15, "validation failed due to running out of cost budget, no further validation rules will be run"),
    ],
)
def test_validations_share_a_budget(validations, said):
    @with_api()
    async def check(api):
        rules = [{"expression": dear(2)} for i in range(validations)]
        await install(api, policy(validations=rules), binding())
        status, answer = await api.post(CMS, config_map("a"))
        assert status == (422 if said else 201), answer
        assert not said or answer["message"].endswith(f"denied request: {said}")

    check()


@with_api()
async def test_one_validation_ends_at_its_limit(api):
    await install(api, policy(validations=[{"expression": dear(3)}, {"expression": "true"}]), binding())
    status, answer = await api.post(CMS, config_map("a"))
    assert status == 422
    assert "resulted in error: operation cancelled: actual cost limit exceeded" in answer["message"]


@with_api()
async def test_match_conditions_have_a_budget_of_their_own(api):
    conditions = [{"name": f"c{i}", "expression": dear(2)} for i in range(3)]
    await install(api, policy("few", validations=[{"expression": "true"}], matchConditions=conditions))
    await install(api, binding("few", to="few"))
    assert (await api.post(CMS, config_map("a")))[0] == 201
    conditions.append({"name": "c3", "expression": dear(2)})
    await install(api, policy(validations=[{"expression": "true"}], matchConditions=conditions), binding())
    status, answer = await api.post(CMS, config_map("b"))
    assert status == 422 and "running out of cost budget" in answer["message"]


@with_api()
async def test_a_mutation_has_a_budget_of_its_own(api):
    patch = "[JSONPatch{op: 'add', path: '/data/x', value: %s ? 'yes' : 'no'}]"
    mutations = [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch % dear(2)}} for i in range(15)]
    made = policy(kind="Mutating", mutations=mutations, reinvocationPolicy="Never")
    await install(api, made, binding(kind="Mutating"))
    assert (await api.must("POST", CMS, config_map("a")))["data"]["x"] == "yes"
