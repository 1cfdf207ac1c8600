"""AuthorizationConfiguration: webhooks beside Node and RBAC, what they are asked, and what comes of their answers."""

from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from actors.apiserver.auth.authorization_config import DEFAULT, NODE, RBAC, Webhook, compiled
from actors.apiserver.auth.authorizer import Authorizer
from actors.apiserver.auth.config_files import BadConfiguration
from actors.apiserver.auth.identities import authenticated
from actors.apiserver.auth.webhook_authorizer import Opinion, Unanswered, WebhookAuthorizer, opinion_of
from actors.apiserver.call import Identity
from tests.actors.apiserver.api_harness import with_api

KUBECONFIG = """
clusters: [{name: c, cluster: {server: "https://hook.example/authorize", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""
PODS = "/api/v1/namespaces/default/pods"
JANE = authenticated("jane", ["dev"])


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    (tmp_path / "hook.yaml").write_text(KUBECONFIG)
    return tmp_path


def hook(**more: Any) -> dict[str, Any]:
    webhook = {
        "timeout": "3s", "subjectAccessReviewVersion": "v1", "failurePolicy": "NoOpinion",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "hook.yaml"}, **more,
    }  # fmt: skip
    return {"type": "Webhook", "name": "hook", "webhook": webhook}


def configuration(*authorizers: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration",
        "authorizers": list(authorizers),
    }  # fmt: skip


OF_NODES, OF_ROLES = {"type": "Node", "name": "node"}, {"type": "RBAC", "name": "rbac"}


def test_a_good_one(beside: Path):
    more = {
        "authorizedTTL": "1m", "matchConditionSubjectAccessReviewVersion": "v1",
        "matchConditions": [{"expression": "has(request.resourceAttributes)"}],
    }  # fmt: skip
    first, node, rbac = compiled(configuration(hook(**more), OF_NODES, OF_ROLES), "x", beside)
    assert (node, rbac) == DEFAULT and isinstance(first, Webhook)
    assert (first.timeout_s, first.authorized_ttl_s, first.unauthorized_ttl_s) == (3.0, 60.0, 30.0)
    assert (first.endpoint.url, first.endpoint.token) == ("https://hook.example/authorize", "secret")


@pytest.mark.parametrize(
    ("authorizers", "why"),
    [
        ((), "at least one authorization mode must be defined"),
        (({"type": "AlwaysAllow", "name": "a"},), "is none of Node, RBAC, Webhook"),
        ((OF_ROLES, {"type": "RBAC", "name": "again"}), "RBAC is there already"),
        ((hook(), hook()), "each name once"),
        (({"type": "RBAC", "name": "A_B"},), "expected a DNS name"),
        (({"type": "Webhook", "name": "a"},), "webhook: is required"),
        ((hook(subjectAccessReviewVersion="v1beta1"),), "expected v1"),
        ((hook(failurePolicy="Fail"),), "failurePolicy"),
        ((hook(timeout="31s"),), "timeout: is required, and 30s at most"),
        ((hook(matchConditions=[{"expression": "true"}]),), "matchConditionSubjectAccessReviewVersion"),
        ((hook(matchConditionSubjectAccessReviewVersion="v1", matchConditions=[{"expression": "1"}]),), "to bool"),
        ((hook(connectionInfo={"type": "InClusterConfig"}),), "expected KubeConfigFile"),
        ((hook(connectionInfo={"type": "KubeConfigFile", "kubeConfigFile": "no"}),), "cannot be read"),
        ((hook(unauthorizedTTL="soon"),), "expected a duration"),
        ((hook(more=1),), "unknown field more"),
    ],
)
def test_configurations_that_are_refused(authorizers: tuple, why: str, beside: Path):
    with pytest.raises(BadConfiguration) as refused:
        compiled(configuration(*authorizers), "x", beside)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "opinion"),
    [
        (b'{"status": {"allowed": true, "reason": "why"}}', Opinion(True, "why")),
        (b'{"status": {"allowed": false, "denied": true}}', Opinion(False)),
        (b'{"status": {"allowed": false}}', Opinion(None)),
        (b'{"status": {"allowed": true, "denied": true}}', None),
        (b'{"kind": "Other"}', None),
        (b"[]", None),
        (b"no", None),
    ],
)
def test_answers(answer: bytes, opinion: Any):
    if opinion is not None:
        assert opinion_of(answer) == opinion
        return
    with pytest.raises(Unanswered):
        opinion_of(answer)


class Hook:
    """A webhook that answers by the user's name."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.is_down = False

    async def post(self, body: bytes) -> bytes:
        if self.is_down:
            raise Unanswered("down")
        spec = orjson.loads(body)["spec"]
        self.asked.append(spec)
        says = {
            "jane": {"allowed": True, "reason": "she may"},
            "eve": {"allowed": False, "denied": True, "reason": "no"},
        }
        return orjson.dumps({"status": says.get(spec["user"], {"allowed": False})})


def with_hook(api: Any, beside: Path, *, last: bool = False, **more: Any) -> Hook:
    """Let an API server ask a webhook before, or after, the others."""
    found = Hook()
    [made] = compiled(configuration(hook(**more)), "x", beside)
    assert isinstance(made, Webhook)
    step = WebhookAuthorizer(made, found.post, api.clock, structlog.get_logger())
    steps = (NODE, RBAC, step) if last else (step, NODE, RBAC)
    api.server.authorizer = Authorizer(api.cache, steps)
    return found


def test_a_webhook_decides_before_roles(beside: Path):
    @with_api()
    async def check(api: Any) -> None:
        found = with_hook(api, beside)
        assert (await api.get(f"{PODS}?fieldSelector=spec.nodeName=w1", identity=JANE))[0] == 200
        assert found.asked[0] == {
            "user": "jane", "groups": ["dev", "system:authenticated"],
            "resourceAttributes": {
                "verb": "list", "version": "v1", "resource": "pods", "namespace": "default",
                "fieldSelector": {"rawSelector": "spec.nodeName=w1"},
            },
        }  # fmt: skip
        status, answer = await api.get(PODS, identity=authenticated("eve"))
        assert (status, answer["message"].endswith('in the namespace "default": no')) == (403, True)
        assert (await api.get(PODS, identity=authenticated("bob")))[0] == 403
        assert (await api.get("/apis", identity=authenticated("bob")))[0] == 200, "RBAC lets everybody discover"
        assert found.asked[-1]["nonResourceAttributes"] == {"path": "/apis", "verb": "get"}
        count = len(found.asked)
        assert (await api.get(PODS))[0] == 200 and len(found.asked) == count, "system:masters are not asked for"

    check()


def test_answers_are_remembered_for_a_while(beside: Path):
    @with_api()
    async def check(api: Any) -> None:
        found = with_hook(api, beside, authorizedTTL="1m", cacheUnauthorizedRequests=False)
        for identity, times in ((JANE, 1), (authenticated("bob"), 2)):
            found.asked.clear()
            await api.get(PODS, identity=identity)
            await api.get(PODS, identity=identity)
            assert len(found.asked) == times
        api.clock.advance(61)
        found.asked.clear()
        await api.get(PODS, identity=JANE)
        assert len(found.asked) == 1

    check()


@pytest.mark.parametrize(("policy", "status"), [("NoOpinion", 200), ("Deny", 500)])
def test_one_that_does_not_answer(policy: str, status: int, beside: Path):
    @with_api()
    async def check(api: Any) -> None:
        found = with_hook(api, beside, failurePolicy=policy)
        found.is_down = True
        assert (await api.get("/apis", identity=authenticated("bob")))[0] == status
        status_of_pods, answer = await api.get(PODS, identity=authenticated("bob"))
        assert (status_of_pods, answer["message"]) == (500, "Internal error occurred: down")
        review = {"spec": {"user": "bob", "resourceAttributes": {"verb": "get", "resource": "pods"}}}
        said = (await api.must("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review))["status"]
        assert said == {"allowed": False, "evaluationError": "down"} | ({"denied": True} if policy == "Deny" else {})

    check()


def test_conditions_and_reviews(beside: Path):
    @with_api()
    async def check(api: Any) -> None:
        conditions = [{"expression": "request.resourceAttributes.namespace == 'default'"}]
        found = with_hook(
            api, beside, last=True, matchConditions=conditions, matchConditionSubjectAccessReviewVersion="v1"
        )
        reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

        async def may(user: str, namespace: str) -> dict[str, Any]:
            attributes = {"verb": "get", "resource": "pods", "namespace": namespace}
            review = {"spec": {"user": user, "resourceAttributes": attributes}}
            return (await api.must("POST", reviews, review))["status"]

        assert await may("jane", "default") == {"allowed": True, "reason": "she may"}
        assert await may("eve", "default") == {"allowed": False, "denied": True, "reason": "no"}
        assert await may("jane", "other") == {"allowed": False}
        assert len(found.asked) == 2
        assert (await may(Identity("x").user, "default"))["allowed"] is False

    check()


def test_one_condition_that_does_not_hold_decides_whatever_the_others_do(beside: Path):
    @with_api()
    async def check(api: Any) -> None:
        conditions = [
            {"expression": "request.resourceAttributes.namespace == 'nowhere'"},  # nothing to ask of for a path
            {"expression": "request.user == 'jane'"},
        ]
        found = with_hook(
            api, beside, failurePolicy="Deny", matchConditions=conditions,
            matchConditionSubjectAccessReviewVersion="v1",
        )  # fmt: skip
        assert (await api.get("/apis", identity=authenticated("bob")))[0] == 200
        assert (await api.get("/api/v1/nodes", identity=JANE))[0] == 403, "an empty namespace is one to compare with"
        assert (await api.get("/apis", identity=JANE))[0] == 500
        assert found.asked == []

    check()


def test_a_put_and_an_apply_that_create_are_asked_for_as_such(beside: Path):
    @with_api()
    async def check(api: Any) -> None:
        found = with_hook(api, beside)
        leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "one"}, "spec": {}}
        assert (await api.put(f"{leases}/one", lease, identity=JANE))[0] == 201
        assert [spec["resourceAttributes"]["verb"] for spec in found.asked] == ["update", "create"]
        found.asked.clear()
        status, _ = await api.call(
            "PATCH", f"{leases}/two?fieldManager=x", lease | {"metadata": {"name": "two"}}, identity=JANE,
            content_type="application/apply-patch+yaml",
        )  # fmt: skip
        assert status == 201
        assert [spec["resourceAttributes"]["verb"] for spec in found.asked] == ["patch", "create"]

    check()
