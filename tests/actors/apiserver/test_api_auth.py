"""Who may do what: RBAC, the node authorizer, tokens, reviews, impersonation, and that nobody grants what they lack."""

import pytest

from actors.api.config import ClusterConfig, NodeConfig
from actors.api.errors import ApiError
from actors.apiserver.auth import x509
from actors.apiserver.auth.bus_identity import BusIdentities
from actors.apiserver.auth.impersonation import impersonated
from actors.apiserver.auth.pod_graph import referenced
from actors.apiserver.auth.rules import Attributes, Rule, compile_rules, uncovered
from actors.apiserver.auth.tokens import StaticTokens
from actors.apiserver.call import ANONYMOUS, AUTHENTICATED, Identity
from tests.actors.apiserver.api_harness import config_map, pod, with_account, with_api

RBAC = "/apis/rbac.authorization.k8s.io/v1"
CMS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
JANE = Identity("jane", (AUTHENTICATED,))
KUBELET = Identity("system:node:w1", ("system:nodes", AUTHENTICATED), nodes=frozenset({"w1"}))


def role(name: str, rules: list[dict], kind: str = "Role") -> dict:
    return {"kind": kind, "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}, "rules": rules}


def binding(name: str, role_kind: str, role_name: str, *subjects: dict, kind: str = "RoleBinding") -> dict:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role_name}
    body = {"kind": kind, "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
    return body | {"roleRef": reference, "subjects": list(subjects)}


def user(name: str) -> dict:
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}


async def grant(api, name: str, role_name: str, *subjects: dict, cluster: bool = False) -> None:
    where = "clusterrolebindings" if cluster else "namespaces/default/rolebindings"
    kind = "ClusterRoleBinding" if cluster else "RoleBinding"
    await api.must("POST", f"{RBAC}/{where}", binding(name, "ClusterRole", role_name, *subjects, kind=kind))
    await api.server.barrier.fresh()


@pytest.mark.parametrize(
    ("rule", "asked", "allowed"),
    [
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, Attributes("get", "", "pods"), True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, Attributes("get", "", "pods", "log"), False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}, Attributes("get", "", "pods", "log"), True),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, Attributes("x", "y", "z", "a"), True),
        (
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]},
            Attributes("get", "", "pods", name="b"),
            False,
        ),
        (
            {"verbs": ["get"], "nonResourceURLs": ["/x/*"]},
            Attributes("get", path="/x/y", is_resource=False),
            True,
        ),
        ({"verbs": ["get"], "nonResourceURLs": ["/x"]}, Attributes("get", path="/x/y", is_resource=False), False),
    ],
)
def test_rule(rule, asked, allowed):
    assert Rule(rule).allows(asked) is allowed


def test_coverage_of_rules():
    held = compile_rules([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "configmaps"]}])
    inside = compile_rules([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}])
    outside = compile_rules([{"verbs": ["get", "delete"], "apiGroups": [""], "resources": ["pods"]}])
    assert uncovered(inside, held) == []
    assert uncovered(outside, held) == [{"verbs": ["delete"], "apiGroups": [""], "resources": ["pods"]}]
    assert uncovered(compile_rules([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]), held)


@with_api()
async def test_nobody_may_do_anything_unless_granted(api):
    status, answer = await api.get(CMS, identity=JANE)
    assert status == 403 and answer["message"] == (
        'configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" '
        'in the namespace "default"'
    )
    await grant(api, "jane", "view", user("jane"))
    assert (await api.get(CMS, identity=JANE))[0] == 200
    assert (await api.get("/api/v1/configmaps", identity=JANE))[0] == 403
    assert (await api.get("/api/v1/namespaces/default/secrets", identity=JANE))[0] == 403
    assert (await api.post(CMS, config_map("a"), identity=JANE))[0] == 403
    await api.must("DELETE", f"{RBAC}/namespaces/default/rolebindings/jane")
    await api.server.barrier.fresh()
    assert (await api.get(CMS, identity=JANE))[0] == 403


@with_api()
async def test_what_was_allowed_once_is_allowed_to_the_same_and_for_no_other_name(api):
    rules = [{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"]}]
    role = {"kind": "ClusterRole", "apiVersion": f"{RBAC[6:]}", "metadata": {"name": "one"}, "rules": rules}
    await api.must("POST", f"{RBAC}/clusterroles", role)
    await grant(api, "jane", "one", user("jane"))
    for name in ("a", "b"):
        await api.must("POST", CMS, config_map(name))
    for _ in range(2):
        assert [(await api.get(f"{CMS}/{name}", identity=JANE))[0] for name in ("a", "b")] == [200, 403]
    await grant(api, "jane-all", "view", user("jane"))
    for _ in range(2):
        assert [(await api.get(f"{CMS}/{name}", identity=JANE))[0] for name in ("a", "b")] == [200, 200]
        assert (await api.get("/api/v1/namespaces/default/secrets/a", identity=JANE))[0] == 403
    assert (await api.get(f"{CMS}/a", identity=Identity("john", JANE.groups)))[0] == 403


@with_api()
async def test_aggregated_roles_hold_what_they_select(api):
    await grant(api, "jane", "view", user("jane"), cluster=True)
    assert (await api.get("/apis/coordination.k8s.io/v1/leases", identity=JANE))[0] == 403
    more = role("leases", [{"verbs": ["list"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}])
    more["kind"] = "ClusterRole"
    more["metadata"]["labels"] = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    await api.must("POST", f"{RBAC}/clusterroles", more)
    await api.server.barrier.fresh()
    assert (await api.get("/apis/coordination.k8s.io/v1/leases", identity=JANE))[0] == 200
    editor = Identity("ed", (AUTHENTICATED,))
    await grant(api, "ed", "edit", user("ed"), cluster=True)
    assert (await api.get("/apis/coordination.k8s.io/v1/leases", identity=editor))[0] == 200


@with_api()
async def test_anonymous_sees_health_and_version_only(api):
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        assert (await api.get(path, identity=ANONYMOUS))[0] == 200
    for path in ("/api", "/metrics", CMS, "/openapi/v3"):
        assert (await api.get(path, identity=ANONYMOUS))[0] == 401, path
    assert (await api.get("/metrics", identity=JANE))[0] == 403
    assert (await api.get("/apis", identity=JANE))[0] == 200


@with_api()
async def test_nobody_grants_what_they_do_not_have(api):
    await grant(api, "jane", "admin", user("jane"))
    assert (await api.get(f"{RBAC}/namespaces/default/roles", identity=JANE))[0] == 200
    rules = [{"verbs": ["get"], "apiGroups": [""], "resources": ["nodes"]}]
    status, answer = await api.post(f"{RBAC}/namespaces/default/roles", role("r", rules), identity=JANE)
    assert status == 403 and "attempting to grant RBAC permissions not currently held" in answer["message"]
    rules = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
    assert (await api.post(f"{RBAC}/namespaces/default/roles", role("r", rules), identity=JANE))[0] == 201
    bindings = f"{RBAC}/namespaces/default/rolebindings"
    body = binding("b", "ClusterRole", "cluster-admin", user("jane"))
    assert (await api.post(bindings, body, identity=JANE))[0] == 403
    body = binding("b", "ClusterRole", "view", user("joe"))
    assert (await api.post(bindings, body, identity=JANE))[0] == 201


@with_api()
async def test_components_may_do_their_work(api):
    identities = BusIdentities(api.server.config)
    allowed = {
        "scheduler@m1": [("list", "", "pods", ""), ("create", "", "pods", "binding"), ("create", "", "events", "")],
        "controller-manager@m1": [("create", "apps", "replicasets", ""), ("delete", "", "configmaps", "")],
        "proxy@w1": [("watch", "", "services", ""), ("watch", "discovery.k8s.io", "endpointslices", "")],
        "kubelet@w1": [("create", "", "nodes", ""), ("watch", "", "services", "")],
        "kubelet@sim": [("watch", "", "pods", ""), ("list", "", "nodes", "")],
    }
    refused = {
        "scheduler@m1": ("list", "", "secrets", ""),
        "proxy@w1": ("list", "", "secrets", ""),
        "kubelet@w1": ("list", "", "secrets", ""),
        "kubelet@sim": ("list", "", "secrets", ""),
    }
    for name, asked in allowed.items():
        identity = identities.of(name, name.partition("@")[0])
        for verb, group, resource, subresource in asked:
            attributes = Attributes(verb, group, resource, subresource, "default")
            assert api.server.authorizer.allows(identity, attributes), (name, attributes)
    for name, asked in refused.items():
        identity = identities.of(name, name.partition("@")[0])
        assert not api.server.authorizer.allows(identity, Attributes(*asked, "default")), name
    assert identities.of("state@m1", "state") is None


@with_api()
async def test_kubelet_reads_only_what_its_pods_name(api):
    await with_account(api)
    secrets = "/api/v1/namespaces/default/secrets"
    for name in ("mine", "other"):
        await api.must("POST", secrets, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}})
    volume = [{"name": "v", "secret": {"secretName": "mine"}}]
    await api.must("POST", PODS, pod("a", "w1", volumes=volume))
    await api.must("POST", PODS, pod("b", "w2", volumes=[{"name": "v", "secret": {"secretName": "other"}}]))
    await api.server.barrier.fresh()
    assert (await api.get(f"{secrets}/mine", identity=KUBELET))[0] == 200
    assert (await api.get(f"{secrets}/other", identity=KUBELET))[0] == 403
    assert (await api.get(secrets, identity=KUBELET))[0] == 403
    assert (await api.get(f"{secrets}?fieldSelector=metadata.name=mine", identity=KUBELET))[0] == 200
    await api.must("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    await api.server.barrier.fresh()
    assert (await api.get(f"{secrets}/mine", identity=KUBELET))[0] == 403


@with_api()
async def test_kubelet_writes_only_its_own(api):
    await with_account(api)
    node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "w1"}}
    assert (await api.post("/api/v1/nodes", node, identity=KUBELET))[0] == 201
    node["metadata"] = {"name": "w2"}
    assert (await api.post("/api/v1/nodes", node, identity=KUBELET))[0] == 403
    await api.must("POST", PODS, pod("a", "w1"))
    await api.must("POST", PODS, pod("b", "w2"))
    await api.server.barrier.fresh()
    status = {"status": {"phase": "Running"}}
    assert (await api.patch(f"{PODS}/a/status", status, identity=KUBELET))[0] == 200
    assert (await api.patch(f"{PODS}/b/status", status, identity=KUBELET))[0] == 403
    assert (await api.post(PODS, pod("c", "w1"), identity=KUBELET))[0] == 403
    taint = {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}
    assert (await api.patch("/api/v1/nodes/w1", taint, identity=KUBELET))[0] == 403


@with_api()
async def test_kubelet_lists_only_what_selects_its_own(api):
    await with_account(api)
    for name in ("w1", "w2"):
        await api.must("POST", "/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name}})
        await api.must("POST", PODS, pod(f"on-{name}", name))
    await api.server.barrier.fresh()
    answers = {
        "/api/v1/pods": 403,
        "/api/v1/pods?fieldSelector=spec.nodeName=w2": 403,
        "/api/v1/pods?fieldSelector=spec.nodeName!=w2": 403,
        "/api/v1/pods?fieldSelector=spec.nodeName=w1": 200,
        "/api/v1/nodes": 403,
        "/api/v1/nodes/w2": 403,
        "/api/v1/nodes/w1": 200,
        "/api/v1/nodes?fieldSelector=metadata.name=w1": 200,
        f"{PODS}/on-w1": 200,
        f"{PODS}/on-w2": 403,
    }
    assert {path: (await api.get(path, identity=KUBELET))[0] for path in answers} == answers


@with_api()
async def test_kubelet_reads_the_volumes_of_its_claims(api):
    await with_account(api)
    volume = {
        "kind": "PersistentVolume",
        "apiVersion": "v1",
        "metadata": {"name": "pv"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/x"},
            "claimRef": {"namespace": "default", "name": "mine"},
        },
    }
    await api.must("POST", "/api/v1/persistentvolumes", volume)
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "mine"}}]
    await api.must("POST", PODS, pod("a", "w2", volumes=volumes))
    await api.server.barrier.fresh()
    assert (await api.get("/api/v1/persistentvolumes/pv", identity=KUBELET))[0] == 403
    await api.must("POST", PODS, pod("b", "w1", volumes=volumes))
    await api.server.barrier.fresh()
    assert (await api.get("/api/v1/persistentvolumes/pv", identity=KUBELET))[0] == 200


@with_api()
async def test_access_reviews_tell_why(api):
    await grant(api, "jane", "view", user("jane"))
    spec = {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}
    body = {"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": spec}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert (await api.must("POST", path, body))["status"] == {
        "allowed": True,
        "reason": 'RBAC: allowed by RoleBinding "jane/default" of ClusterRole "view" to User "jane"',
    }
    node = {"user": "system:node:w1", "groups": ["system:nodes"]}
    pinned = {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["w1"]}]}
    spec = {**node, "resourceAttributes": {"verb": "list", "resource": "pods", "fieldSelector": pinned}}
    assert (await api.must("POST", path, {**body, "spec": spec}))["status"]["allowed"]
    pinned["requirements"][0]["values"] = ["w2"]
    assert not (await api.must("POST", path, {**body, "spec": spec}))["status"]["allowed"]
    spec = {"user": "jane", "nonResourceAttributes": {"path": "/"}}
    local = {**body, "kind": "LocalSubjectAccessReview", "spec": spec}
    path = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews"
    assert (await api.post(path, local))[0] == 422


def test_names_in_a_pod():
    spec = {
        "serviceAccountName": "sa",
        "imagePullSecrets": [{"name": "pull"}],
        "volumes": [
            {"name": "a", "configMap": {"name": "cm"}},
            {"name": "b", "projected": {"sources": [{"secret": {"name": "proj"}}]}},
        ],
        "containers": [
            {
                "name": "c",
                "envFrom": [{"secretRef": {"name": "from"}}],
                "env": [{"name": "x", "valueFrom": {"configMapKeyRef": {"name": "ref", "key": "k"}}}],
            }
        ],
    }
    assert set(referenced({"spec": spec})) == {
        ("serviceaccounts", "sa"), ("secrets", "pull"), ("configmaps", "cm"), ("secrets", "proj"),
        ("secrets", "from"), ("configmaps", "ref"),
    }  # fmt: skip


def test_simulated_kubelet_speaks_for_all_its_nodes():
    config = ClusterConfig(nodes={"sim": NodeConfig(roles=["kubelet"], count=2)})
    assert BusIdentities(config).of("kubelet@sim", "kubelet").nodes == {"sim", "sim-0", "sim-1"}


def test_client_certificates():
    certificate = {"subject": ((("organizationName", "dev"),), (("commonName", "jane"),))}
    assert x509.identity(certificate) == Identity("jane", ("dev", AUTHENTICATED))
    assert x509.identity({"subject": ((("organizationName", "dev"),),)}) is None
    kubelet = {"subject": ((("commonName", "system:node:w1"),), (("organizationName", "system:nodes"),))}
    found = x509.identity(kubelet, b"der")
    assert found.nodes == {"w1"} and found.extra[x509.CREDENTIAL_ID][0].startswith("X509SHA256=")
    assert x509.identity(None) is None


def test_static_tokens(tmp_path):
    file = tmp_path / "tokens.csv"
    file.write_text('secret,jane,1,"dev,ops"\nother,joe,2\n')
    tokens = StaticTokens(file)
    assert tokens.authenticate("secret") == Identity("jane", ("dev", "ops", AUTHENTICATED), "1")
    assert tokens.authenticate("nope") is None
    file.write_text("only-a-token\n")
    with pytest.raises(ValueError, match=r"tokens.csv, line 1"):
        StaticTokens(file)


async def token(api, account: str = "default", **spec) -> tuple[int, dict]:
    body = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec}
    return await api.post(f"/api/v1/namespaces/default/serviceaccounts/{account}/token", body)


@with_api()
async def test_token_lives_as_long_as_its_account(api):
    await with_account(api)
    status, made = await token(api)
    assert status == 201 and made["spec"]["expirationSeconds"] == 3600
    text = made["status"]["token"]
    await api.server.barrier.fresh()
    identity = api.server.tokens.authenticate(text)
    assert identity.user == "system:serviceaccount:default:default"
    assert identity.groups == ("system:serviceaccounts", "system:serviceaccounts:default", AUTHENTICATED)
    await api.must("DELETE", "/api/v1/namespaces/default/serviceaccounts/default")
    await with_account(api)
    await api.server.barrier.fresh()
    assert api.server.tokens.authenticate(text) is None


@with_api()
async def test_token_expires_and_is_not_forged(api):
    await with_account(api)
    _, made = await token(api, expirationSeconds=600)
    await api.server.barrier.fresh()
    text = made["status"]["token"]
    assert api.server.tokens.authenticate(text)
    head, claims, signature = text.split(".")
    assert api.server.tokens.authenticate(f"{head}.{claims}.{signature[::-1]}") is None
    assert api.server.tokens.authenticate("nonsense") is None
    api.clock.advance(601)
    assert api.server.tokens.authenticate(text) is None


@with_api()
async def test_bound_token_dies_with_its_pod(api):
    await with_account(api)
    made = await api.must("POST", PODS, pod("a", "w1"))
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "a", "uid": made["metadata"]["uid"]}
    _, issued = await token(api, boundObjectRef=bound)
    await api.server.barrier.fresh()
    identity = api.server.tokens.authenticate(issued["status"]["token"])
    assert identity.extra["authentication.kubernetes.io/pod-name"] == ["a"]
    await api.must("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    await api.server.barrier.fresh()
    assert api.server.tokens.authenticate(issued["status"]["token"]) is None
    assert (await token(api, boundObjectRef=bound))[0] == 404
    assert (await token(api, expirationSeconds=5))[0] == 422
    assert (await token(api, account="none"))[0] == 404


@with_api()
async def test_token_is_only_good_for_its_audience(api):
    await with_account(api)
    _, made = await token(api, audiences=["vault"])
    await api.server.barrier.fresh()
    text = made["status"]["token"]
    assert api.server.tokens.authenticate(text) is None
    review = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1"}
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    answer = await api.must("POST", path, {**review, "spec": {"token": text, "audiences": ["vault", "x"]}})
    assert answer["status"]["authenticated"] and answer["status"]["audiences"] == ["vault"]
    assert not (await api.must("POST", path, {**review, "spec": {"token": text}}))["status"]["authenticated"]


@with_api()
async def test_reviews_answer_who_and_what(api):
    await grant(api, "jane", "view", user("jane"))
    group = "/apis/authorization.k8s.io/v1"
    kind = {"apiVersion": "authorization.k8s.io/v1"}
    asked = {"verb": "list", "resource": "pods", "namespace": "default"}
    body = {**kind, "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": asked}}
    answer = await api.must("POST", f"{group}/selfsubjectaccessreviews", body, identity=JANE)
    assert answer["status"]["allowed"] is True
    body = {**kind, "kind": "SubjectAccessReview", "spec": {"user": "joe", "resourceAttributes": asked}}
    assert (await api.must("POST", f"{group}/subjectaccessreviews", body))["status"]["allowed"] is False
    assert (await api.post(f"{group}/subjectaccessreviews", body, identity=JANE))[0] == 403
    body = {**kind, "kind": "SelfSubjectRulesReview", "spec": {"namespace": "default"}}
    rules = await api.must("POST", f"{group}/selfsubjectrulesreviews", body, identity=JANE)
    assert any("pods" in rule["resources"] for rule in rules["status"]["resourceRules"])
    body = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
    answer = await api.must("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body, identity=JANE)
    assert answer["status"]["userInfo"] == {"username": "jane", "groups": [AUTHENTICATED]}


@with_api()
async def test_impersonation_is_authorized_by_name(api):
    authorizer = api.server.authorizer
    headers = [(b"impersonate-user", b"system:serviceaccount:default:bob")]
    assert impersonated(authorizer, api.identity, headers) == Identity(
        "system:serviceaccount:default:bob", ("system:serviceaccounts", "system:serviceaccounts:default", AUTHENTICATED)
    )
    for refused in (headers, [(b"impersonate-user", b"x")]):
        with pytest.raises(ApiError, match="cannot impersonate"):
            impersonated(authorizer, JANE, refused)
    with pytest.raises(ApiError, match="without a user"):
        impersonated(authorizer, api.identity, [(b"impersonate-group", b"g")])
