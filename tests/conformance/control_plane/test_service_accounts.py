"""sig-auth: service accounts, their tokens and their certificate authority, and questions about permissions."""

import base64

import pytest

from tests.cluster import eventually
from tests.conformance.access import Api, Object
from tests.conformance.pods import Space
from tests.conformance.watching import watching

pytestmark = pytest.mark.timeout(60)

ACCOUNTS, ROOT_CA = "serviceaccounts", "kube-root-ca.crt"
RBAC = "rbac.authorization.k8s.io/v1"


def account(name: str, **fields: Object) -> Object:
    metadata = {"name": name, "labels": {"of": name}}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, **fields}


def test_its_life(space: Space, api: Api):
    """ServiceAccount lifecycle test"""
    with watching(api, space.path(ACCOUNTS), labelSelector="of=life") as watch:
        space.create(ACCOUNTS, account("life"))
        assert watch.until("ADDED", "life")["metadata"]["labels"] == {"of": "life"}
        patched = space.patch(ACCOUNTS, "life", {"automountServiceAccountToken": False})
        assert patched["automountServiceAccountToken"] is False
        listed = api.json("GET", f"/api/v1/{ACCOUNTS}", labelSelector="of=life")["items"]
        assert [(item["metadata"]["name"], item["automountServiceAccountToken"]) for item in listed] == [
            ("life", False)
        ]
        space.delete_all(ACCOUNTS, "of=life")
        watch.until("DELETED", "life")


def test_it_is_updated(space: Space):
    """ServiceAccount, update a ServiceAccount"""
    space.create(ACCOUNTS, account("updated", automountServiceAccountToken=False))
    space.modify(ACCOUNTS, "updated", lambda found: found.update(automountServiceAccountToken=True))
    assert space.get(ACCOUNTS, "updated")["automountServiceAccountToken"] is True


def test_a_token_is_made_and_reviewed(space: Space, whole: Space):
    """ServiceAccount, create and review token"""
    space.create(ACCOUNTS, account("robot"))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    token = space.api.json("POST", space.path(ACCOUNTS, "robot", "token"), request)["status"]["token"]
    assert token
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status = whole.create("authentication.k8s.io/v1/tokenreviews", review)["status"]
    assert status["authenticated"] is True and not status.get("error")
    assert status["user"]["username"] == f"system:serviceaccount:{space.name}:robot"


def test_every_namespace_has_the_root_certificate(space: Space, api: Api, whole: Space):
    """RootCA ConfigMap test"""

    def has_it(name: str) -> str:
        return Space(api, name).get("configmaps", ROOT_CA)["data"]["ca.crt"]

    authority = eventually(lambda: has_it(space.name), "it is created", 15)
    assert authority == (api.cluster.data_dir / "pki" / "ca.crt").read_text()
    for item in whole.list("namespaces"):
        if item["status"]["phase"] == "Active":
            assert eventually(lambda name=item["metadata"]["name"]: has_it(name), "it is there", 15) == authority
    space.delete("configmaps", ROOT_CA)
    assert eventually(lambda: has_it(space.name), "it is created again", 15) == authority
    space.patch("configmaps", ROOT_CA, {"data": {"ca.crt": "", "other": "x"}})
    good = {"ca.crt": authority}
    eventually(lambda: space.get("configmaps", ROOT_CA)["data"] == good, "it is put right", 15)


def test_what_is_allowed_is_so(space: Space, api: Api, whole: Space):
    """SubjectReview, API Operations"""
    space.create(ACCOUNTS, account("asker"))
    user = f"system:serviceaccount:{space.name}:asker"
    as_it = api.acting_as(user)

    def reviews(verb: str) -> list[bool]:
        attributes = {"verb": verb, "resource": "configmaps", "namespace": space.name}
        spec = {"user": user, "resourceAttributes": attributes}
        kinds = ((whole, "SubjectAccessReview"), (space, "LocalSubjectAccessReview"))
        found = []
        for place, kind in kinds:
            review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
            if place is space:
                review["metadata"] = {"namespace": space.name}
            found.append(place.create(f"authorization.k8s.io/v1/{kind.lower()}s", review)["status"]["allowed"])
        return found

    assert reviews("list") == [False, False]
    assert as_it.ask("GET", space.path("configmaps")).code == 403
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    metadata = {"metadata": {"name": "lists"}}
    space.create(f"{RBAC}/roles", {"apiVersion": RBAC, "kind": "Role", **metadata, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lists"}
    subjects = [{"kind": "ServiceAccount", "name": "asker", "namespace": space.name}]
    binding = {"apiVersion": RBAC, "kind": "RoleBinding", **metadata, "roleRef": reference, "subjects": subjects}
    space.create(f"{RBAC}/rolebindings", binding)
    assert reviews("list") == [True, True]
    assert as_it.ask("GET", space.path("configmaps")).code == 200
    assert reviews("delete") == [False, False]
    assert as_it.ask("DELETE", space.path("configmaps", ROOT_CA)).code == 403


def test_the_issuer_says_who_it_is(space: Space, api: Api):
    """OIDC Discovery (ServiceAccountIssuerDiscovery): the documents are served to every service account"""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = api.json("POST", space.path(ACCOUNTS, "default", "token"), request)["status"]["token"]
    asker = Api(api.cluster, token=token)
    found = asker.json("GET", "/.well-known/openid-configuration")
    claims = base64.urlsafe_b64decode(token.split(".")[1] + "==")
    assert f'"iss":"{found["issuer"]}"'.encode() in claims.replace(b": ", b":")
    assert asker.json("GET", "/openid/v1/jwks")["keys"]
