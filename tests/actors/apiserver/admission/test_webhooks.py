"""Admission webhooks: which are called, in which order, what they are shown, and what comes of their answers."""

import asyncio

import pytest

from actors.api.errors import ApiError
from actors.apiserver.machinery.registry import REGISTRY
from actors.apiserver.webhooks.review import BadReview, cut_warnings, refusal, verdict_of
from actors.apiserver.webhooks.rules import compile_rules, equivalents, find_match
from tests.actors.apiserver.admission.hooks import (
    ALL,
    CONFIG_MAPS,
    REGISTRATION,
    add,
    allow,
    configure,
    deny,
    install,
    patch,
    unanswered,
    webhook,
)
from tests.actors.apiserver.api_harness import config_map, pod, with_account, with_api

CMS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


def rule(resources: list[str], operations: tuple[str, ...] = ("CREATE",), **more) -> dict:
    return {"apiGroups": [""], "apiVersions": ["v1"], "resources": resources, "operations": list(operations), **more}


@pytest.mark.parametrize(
    ("wanted", "plural", "subresource", "operation", "matches"),
    [
        (rule(["pods"]), "pods", "", "CREATE", True),
        (rule(["pods"]), "pods", "", "UPDATE", False),
        (rule(["pods"], ("*",)), "pods", "", "DELETE", True),
        (rule(["pods"]), "pods", "binding", "CREATE", False),
        (rule(["pods/binding"]), "pods", "binding", "CREATE", True),
        (rule(["pods/*"]), "pods", "binding", "CREATE", True),
        (rule(["pods/*"]), "services", "", "CREATE", False),
        (rule(["*"]), "pods", "", "CREATE", True),
        (rule(["*"]), "pods", "status", "CREATE", False),
        (rule(["*/*"]), "pods", "status", "CREATE", True),
        (rule(["*/status"]), "pods", "status", "CREATE", True),
        (rule(["*/status"]), "pods", "", "CREATE", False),
        (rule(["*"], scope="Cluster"), "pods", "", "CREATE", False),
        (rule(["*"], scope="Cluster"), "nodes", "", "CREATE", True),
        (rule(["*"], scope="Namespaced"), "nodes", "", "CREATE", False),
        (rule(["pods"]) | {"apiGroups": ["apps"]}, "pods", "", "CREATE", False),
        (rule(["pods"]) | {"apiVersions": ["v2"]}, "pods", "", "CREATE", False),
        (rule(["pods"]) | {"apiGroups": ["*"], "apiVersions": ["*"]}, "pods", "", "CREATE", True),
    ],
)
def test_rules(wanted, plural, subresource, operation, matches):
    resource = REGISTRY.lookup("", "v1", plural)
    assert (find_match(compile_rules([wanted]), [resource], subresource, operation) is not None) is matches


def test_an_equivalent_resource_matches_and_is_what_is_shown():
    resource = REGISTRY.lookup("", "v1", "events")
    rules = compile_rules([rule(["events"]) | {"apiGroups": ["events.k8s.io"]}])
    assert find_match(rules, equivalents(REGISTRY, resource, "Exact"), "", "CREATE") is None
    match = find_match(rules, equivalents(REGISTRY, resource, "Equivalent"), "", "CREATE")
    assert match is not None
    assert match.resource.group == "events.k8s.io"


def test_names_of_several_matching_rules():
    pods = REGISTRY.lookup("", "v1", "pods")
    named = [rule(["pods"], resourceNames=["a"]), rule(["*"], resourceNames=["b"])]
    assert find_match(compile_rules(named), [pods], "", "CREATE").names == {"a", "b"}
    assert find_match(compile_rules([*named, rule(["pods"])]), [pods], "", "CREATE").names == frozenset()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "json parse error"),
        (b"[]", "not an object"),
        (b'{"apiVersion":"v1","kind":"Status"}', "expected webhook response of admission.k8s.io/v1"),
        (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', "webhook response was absent"),
        (
            b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"2","allowed":true}}',
            'expected response.uid="1", got "2"',
        ),
        (
            b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview",'
            b'"response":{"uid":"1","allowed":true,"patch":"W10="}}',
            'invalid response.patchType of "None"',
        ),
        (
            b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview",'
            b'"response":{"uid":"1","allowed":true,"patch":"!!","patchType":"JSONPatch"}}',
            "not JSON in base64",
        ),
    ],
)
def test_an_answer_that_is_none(body, said):
    with pytest.raises(BadReview, match=said.replace(".", r"\.").replace("?", r"\?")):
        verdict_of(body, "1", mutating=True)


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        ({}, 400, 'admission webhook "h" denied the request without explanation'),
        ({"message": "no", "code": 200}, 400, 'admission webhook "h" denied the request: no'),
        ({"reason": "Forbidden", "code": 403}, 403, 'admission webhook "h" denied the request: Forbidden'),
    ],
)
def test_what_a_refusal_says(status, code, text):
    error = refusal("h", status)
    assert isinstance(error, ApiError)
    assert (error.code, error.message) == (code, text)


def test_warnings_are_cut():
    assert cut_warnings(["a", "b" * 5000, "c"]) == ["a", "b" * 4095]


@with_api()
async def test_a_webhook_denies(api):
    """AdmissionWebhook: deny; it is told who, what and how."""
    hooks = install(api)
    hooks.answers["a.b.c"] = deny("not today", code=403, reason="Forbidden")
    await configure(api, "Validating", "v", webhook("a.b.c"))
    status, answer = await api.post(CMS, config_map("one"))
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["message"] == 'admission webhook "a.b.c" denied the request: not today'
    (_, request) = hooks.asked[0]
    assert request["operation"] == "CREATE"
    assert (request["namespace"], request["name"]) == ("default", "one")
    assert request["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert request["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert request["userInfo"]["username"] == "admin"
    assert request["oldObject"] is None
    assert request["object"]["data"] == {"k": "v"}
    assert request["dryRun"] is False
    assert request["options"]["kind"] == "CreateOptions"


@with_api()
async def test_ordered_mutation(api):
    """AdmissionWebhook: ordered mutation. Configurations go by name, and a later hook sees what an earlier one did."""
    hooks = install(api)
    hooks.answers["first.b.c"] = patch(add("/data/first", "1"))
    hooks.answers["second.b.c"] = lambda request: (
        patch(add("/data/second", "2"))(request) if "first" in request["object"]["data"] else {"allowed": True}
    )
    await configure(api, "Mutating", "b", webhook("second.b.c"))
    await configure(api, "Mutating", "a", webhook("first.b.c"))
    made = await api.must("POST", CMS, config_map("one"))
    assert made["data"] == {"k": "v", "first": "1", "second": "2"}
    assert hooks.names == ["first.b.c", "second.b.c"]


@with_api()
async def test_a_hook_is_called_again_when_a_later_one_changed_the_object(api):
    """reinvocationPolicy IfNeeded, once."""
    hooks = install(api)
    for name in ("a.b.c", "b.b.c", "c.b.c"):
        hooks.answers[name] = allow
    hooks.answers["b.b.c"] = patch(add("/data/b", "1"))
    await configure(
        api,
        "Mutating",
        "m",
        webhook("a.b.c", reinvocationPolicy="IfNeeded"),
        webhook("b.b.c", reinvocationPolicy="IfNeeded"),
        webhook("c.b.c", reinvocationPolicy="IfNeeded"),
        webhook("d.b.c", objectSelector={"matchLabels": {"nobody": "has"}}),
    )
    await api.must("POST", CMS, config_map("one"))
    assert hooks.names == ["a.b.c", "b.b.c", "c.b.c", "a.b.c"]


@with_api()
async def test_built_in_steps_see_what_a_webhook_added(api):
    """A container that a webhook puts in gets its token, as any other."""
    hooks = install(api)
    await with_account(api)
    hooks.answers["a.b.c"] = patch(add("/spec/containers/-", {"name": "side", "image": "car"}))
    await configure(api, "Mutating", "m", webhook("a.b.c", [rule(["pods"])]))
    made = await api.must("POST", PODS, pod("one"))
    mounts = [[mount["mountPath"] for mount in one["volumeMounts"]] for one in made["spec"]["containers"]]
    assert mounts == [["/var/run/secrets/kubernetes.io/serviceaccount"]] * 2
    assert made["spec"]["containers"][1]["imagePullPolicy"] == "Always"


@with_api()
async def test_unknown_fields_of_a_patch_are_dropped_and_what_the_server_owns_stays(api):
    hooks = install(api)
    hooks.answers["a.b.c"] = patch(
        add("/metadata/uid", "mine"), add("/metadata/generation", 7), add("/nonsense", {}), add("/data/x", "y")
    )
    await configure(api, "Mutating", "m", webhook("a.b.c"))
    made = await api.must("POST", CMS, config_map("one"))
    assert made["metadata"]["uid"] != "mine"
    assert "generation" not in made["metadata"]
    assert "nonsense" not in made
    assert made["data"]["x"] == "y"


@with_api()
async def test_what_a_webhook_makes_of_an_object_is_validated(api):
    hooks = install(api)
    hooks.answers["a.b.c"] = patch(add("/data/not a key", "y"))
    await configure(api, "Mutating", "m", webhook("a.b.c"))
    status, answer = await api.post(CMS, config_map("one"))
    assert (status, answer["reason"]) == (422, "Invalid")


@with_api()
async def test_fail_closed_and_open(api):
    """AdmissionWebhook: fail closed; failurePolicy Ignore lets the write pass."""
    hooks = install(api)
    hooks.answers["a.b.c"] = unanswered('Post "https://example.test/?timeout=1s": context deadline exceeded')
    await configure(api, "Validating", "closed", webhook("a.b.c"))
    status, answer = await api.post(CMS, config_map("one"))
    assert (status, answer["reason"]) == (500, "InternalError")
    assert answer["message"] == (
        'Internal error occurred: failed calling webhook "a.b.c": failed to call webhook: '
        'Post "https://example.test/?timeout=1s": context deadline exceeded'
    )
    await api.must("DELETE", f"{REGISTRATION}/validatingwebhookconfigurations/closed")
    await configure(api, "Validating", "open", webhook("a.b.c", failurePolicy="Ignore"))
    await api.must("POST", CMS, config_map("one"))


@with_api()
async def test_configurations_of_admission_are_exempt(api):
    """AdmissionWebhook: webhooks neither change nor refuse webhook configurations."""
    hooks = install(api)
    hooks.answers["a.b.c"] = deny("never")
    await configure(api, "Validating", "v", webhook("a.b.c", ALL))
    await configure(api, "Mutating", "m", webhook("a.b.c", ALL))
    for kind in ("validating", "mutating"):
        await api.must("DELETE", f"{REGISTRATION}/{kind}webhookconfigurations/{kind[0]}")
    assert hooks.asked == []


@with_api()
async def test_deletions_and_updates(api):
    """A deletion shows what goes, an update what was and what shall be."""
    hooks = install(api)
    await api.must("POST", CMS, config_map("one"))
    hooks.answers["a.b.c"] = lambda request: {"allowed": request["operation"] != "DELETE"}
    await configure(api, "Validating", "v", webhook("a.b.c", ALL))
    await api.patch(f"{CMS}/one", {"data": {"k": "w"}})
    await api.server.barrier.fresh()
    status, answer = await api.delete(f"{CMS}/one")
    assert (status, answer["message"]) == (400, 'admission webhook "a.b.c" denied the request without explanation')
    (_, updated), (_, deleted) = hooks.asked
    assert (updated["oldObject"]["data"], updated["object"]["data"]) == ({"k": "v"}, {"k": "w"})
    assert updated["options"]["kind"] == "PatchOptions"
    assert (deleted["oldObject"]["data"], deleted["object"]) == ({"k": "w"}, None)
    assert deleted["options"]["kind"] == "DeleteOptions"


@with_api()
async def test_a_deletion_of_many_asks_for_each(api):
    hooks = install(api)
    for name in ("one", "two"):
        await api.must("POST", CMS, config_map(name))
    hooks.answers["a.b.c"] = allow
    await configure(api, "Validating", "v", webhook("a.b.c", ALL))
    await api.must("DELETE", CMS)
    assert sorted(request["name"] for _, request in hooks.asked) == ["one", "two"]


@with_api()
async def test_a_scale_is_shown_as_a_scale_and_may_be_changed(api):
    hooks = install(api)
    hooks.answers["a.b.c"] = patch({"op": "replace", "path": "/spec/replicas", "value": 5})
    rules = [{"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["*/scale"], "operations": ["UPDATE"]}]
    await configure(api, "Mutating", "m", webhook("a.b.c", rules))
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    path = "/apis/apps/v1/namespaces/default/deployments"
    await api.must(
        "POST", path, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    )
    _, scaled = await api.patch(f"{path}/d/scale", {"spec": {"replicas": 2}})
    assert scaled["spec"]["replicas"] == 5
    (_, request) = hooks.asked[0]
    assert request["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert request["subResource"] == "scale"
    assert (request["oldObject"]["spec"]["replicas"], request["object"]["spec"]["replicas"]) == (1, 2)


@with_api()
async def test_a_binding_is_shown_and_may_be_refused(api):
    hooks = install(api)
    await with_account(api)
    await api.must("POST", PODS, pod("one"))
    hooks.answers["a.b.c"] = deny("stay")
    await configure(api, "Validating", "v", webhook("a.b.c", [rule(["pods/binding"])]))
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "one"}, "target": {"name": "n"}}
    status, answer = await api.post(f"{PODS}/one/binding", body)
    assert (status, answer["message"]) == (400, 'admission webhook "a.b.c" denied the request: stay')
    assert hooks.asked[0][1]["object"]["target"]["name"] == "n"


@with_api()
async def test_selectors_of_namespaces_and_objects(api):
    hooks = install(api)
    hooks.answers["a.b.c"] = hooks.answers["o.b.c"] = allow
    elsewhere = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["default"]}
    await configure(
        api,
        "Validating",
        "v",
        webhook("a.b.c", namespaceSelector={"matchExpressions": [elsewhere]}),
        webhook("o.b.c", objectSelector={"matchLabels": {"watch": "me"}}),
    )
    await api.must("POST", CMS, config_map("plain"))
    await api.must("POST", CMS, config_map("marked", labels={"watch": "me"}))
    await api.must("POST", "/api/v1/namespaces/kube-system/configmaps", config_map("there"))
    await api.patch(f"{CMS}/marked", {"metadata": {"labels": {"watch": None}}})
    assert [(name, request["name"]) for name, request in hooks.asked] == [
        ("o.b.c", "marked"),
        ("a.b.c", "there"),
        ("o.b.c", "marked"),
    ]


@with_api()
async def test_match_conditions(api):
    """AdmissionWebhook: matchConditions exclude by name; an error is what the failurePolicy says."""
    hooks = install(api)
    hooks.answers["a.b.c"] = patch(add("/data/seen", "1"))
    conditions = [{"name": "not-skipped", "expression": "object.metadata.name != 'skip-me'"}]
    await configure(api, "Mutating", "m", webhook("a.b.c", matchConditions=conditions))
    assert "seen" not in (await api.must("POST", CMS, config_map("skip-me")))["data"]
    assert "seen" in (await api.must("POST", CMS, config_map("other")))["data"]
    broken = [{"name": "broken", "expression": "object.nothing.here == 'x'"}]
    await configure(api, "Validating", "v", webhook("a.b.c", matchConditions=broken))
    status, answer = await api.post(CMS, config_map("third"))
    assert status == 403
    assert "resulted in error: no such key: nothing" in answer["message"]


@with_api()
async def test_warnings_reach_the_client(api):
    hooks = install(api)
    hooks.answers["a.b.c"] = lambda request: {"allowed": True, "warnings": ["think twice"]}
    await configure(api, "Validating", "v", webhook("a.b.c"))
    answer = await api.raw("POST", CMS, config_map("one"))
    assert answer.warnings == ["think twice"]
    answer = await api.raw("PATCH", f"{CMS}/one", {"data": {"a": "b"}}, content_type="application/merge-patch+json")
    assert answer.warnings == ["think twice"]


@with_api()
async def test_a_dry_run_reaches_only_hooks_without_side_effects(api):
    hooks = install(api)
    hooks.answers["a.b.c"] = allow
    await configure(api, "Validating", "v", webhook("a.b.c"))
    await api.must("POST", f"{CMS}?dryRun=All", config_map("one"))
    assert hooks.asked[0][1]["dryRun"] is True


@with_api()
async def test_validating_webhooks_are_asked_at_once(api):
    hooks = install(api)
    hooks.answers["a.b.c"], hooks.answers["b.b.c"] = deny("first"), deny("second")
    hooks.barrier = asyncio.Barrier(2)  # nobody is answered before both are asked
    await configure(api, "Validating", "v", webhook("a.b.c"), webhook("b.b.c"))
    async with asyncio.timeout(2):
        _, answer = await api.post(CMS, config_map("one"))
    assert answer["message"] == 'admission webhook "a.b.c" denied the request: first'


@with_api()
async def test_a_changed_configuration_is_heeded_at_once(api):
    """AdmissionWebhook: patching/updating a mutating webhook."""
    hooks = install(api)
    hooks.answers["a.b.c"] = patch(add("/data/seen", "1"))
    await configure(api, "Mutating", "m", webhook("a.b.c"))
    path = f"{REGISTRATION}/mutatingwebhookconfigurations/m"
    await api.patch(path, [{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["UPDATE"]}], "json")
    await api.server.barrier.fresh()
    assert "seen" not in (await api.must("POST", CMS, config_map("one")))["data"]
    await api.patch(path, [{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}], "json")
    await api.server.barrier.fresh()
    assert "seen" in (await api.must("POST", CMS, config_map("two")))["data"]


@with_api()
async def test_defaults_of_a_webhook(api):
    hooks = install(api)
    hooks.answers["a.b.c"] = allow
    await configure(api, "Mutating", "m", webhook("a.b.c", rules=CONFIG_MAPS))
    _, made = await api.get(f"{REGISTRATION}/mutatingwebhookconfigurations/m")
    (found,) = made["webhooks"]
    assert found["failurePolicy"] == "Fail"
    assert found["matchPolicy"] == "Equivalent"
    assert found["timeoutSeconds"] == 10
    assert found["reinvocationPolicy"] == "Never"
    assert found["namespaceSelector"] == found["objectSelector"] == {}
    assert found["rules"][0]["scope"] == "*"
    assert made["metadata"]["generation"] == 1


@with_api()
async def test_what_is_wrong_with_a_webhook(api):
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "v"},
        "webhooks": [
            {
                "name": "short",
                "rules": [{"apiGroups": [], "apiVersions": ["*", "v1"], "resources": ["pods"], "operations": ["READ"]}],
                "clientConfig": {"url": "http://u@x/?a#b", "caBundle": ""},
                "admissionReviewVersions": ["v2"],
                "timeoutSeconds": 31,
            }
        ],
    }
    status, answer = await api.post(f"{REGISTRATION}/validatingwebhookconfigurations", body)
    assert status == 422
    fields = {cause["field"] for cause in answer["details"]["causes"]}
    assert fields >= {
        "webhooks[0].name",
        "webhooks[0].rules[0].apiGroups",
        "webhooks[0].rules[0].apiVersions",
        "webhooks[0].rules[0].operations[0]",
        "webhooks[0].clientConfig.url",
        "webhooks[0].sideEffects",
        "webhooks[0].timeoutSeconds",
        "webhooks[0].admissionReviewVersions",
    }
