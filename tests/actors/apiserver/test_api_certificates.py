"""CertificateSigningRequests: form, the true requester, and who may approve and sign."""

import base64

import pytest

from actors.apiserver.call import AUTHENTICATED, Identity
from tests.actors.apiserver.api_harness import with_api
from tests.actors.apiserver.certificates_of import request_pem, signing_request

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
JANE = Identity("jane", ("developers", AUTHENTICATED), "7", {"scopes": ["a"]})
APPROVED = {"type": "Approved", "status": "True", "reason": "Test"}
DENIED = {"type": "Denied", "status": "True", "reason": "Test"}
PEM = request_pem("jane", ("developers",))


def wrong_requests() -> list[tuple[dict, str]]:
    good = signing_request("x", CLIENT_SIGNER, PEM)["spec"]
    return [
        ({**good, "request": base64.b64encode(b"hello").decode()}, "spec.request"),
        ({**good, "usages": []}, "spec.usages"),
        ({**good, "usages": ["digital signature", "digital signature"]}, "spec.usages[1]"),
        ({**good, "usages": ["flying"]}, "spec.usages[0]"),
        ({**good, "signerName": "kubernetes.io"}, "spec.signerName"),
        ({**good, "signerName": "kubernetes.io/legacy-unknown"}, "spec.signerName"),
        ({**good, "expirationSeconds": 599}, "spec.expirationSeconds"),
    ]


@pytest.mark.parametrize(("spec", "where"), wrong_requests())
def test_wrong_requests_are_refused_with_the_field(spec, where):
    @with_api()
    async def check(api):
        status, answer = await api.post(CSRS, {**signing_request("x", CLIENT_SIGNER, PEM), "spec": spec})
        assert status == 422, answer
        assert [cause["field"] for cause in answer["details"]["causes"]] == [where]

    check()


@with_api()
async def test_a_request_names_who_really_asked_and_its_spec_never_changes(api):
    """Certificates API [Privileged:ClusterAdmin] should support CSR API operations [Conformance]"""
    forged = signing_request("a", CLIENT_SIGNER, PEM, username="admin", groups=["system:masters"])
    made = await api.must("POST", CSRS, forged)
    assert made["spec"]["username"] == "admin" and made["status"] == {}
    await api.must(
        "PATCH", f"{CSRS}/a", {"metadata": {"labels": {"a": "b"}}}, content_type="application/merge-patch+json"
    )
    status, changed = await api.patch(f"{CSRS}/a", {"spec": {"usages": ["server auth"]}})
    assert status == 200 and changed["spec"] == made["spec"]
    status, changed = await api.patch(f"{CSRS}/a", {"status": {"conditions": [APPROVED]}})
    assert status == 200 and changed["status"] == {}
    assert (await api.get(f"{CSRS}?fieldSelector=spec.signerName={CLIENT_SIGNER}"))[1]["items"]
    assert (await api.get(f"{CSRS}?fieldSelector=spec.signerName=other/x"))[1]["items"] == []


@with_api()
async def test_approval_changes_conditions_only_and_they_stay(api):
    """Certificates API [Privileged:ClusterAdmin] should support CSR API operations [Conformance]"""
    made = await api.must("POST", CSRS, signing_request("a", CLIENT_SIGNER, PEM))
    approval = f"{CSRS}/a/approval"
    body = {
        **made,
        "spec": {**made["spec"], "usages": ["any"]},
        "status": {"conditions": [APPROVED], "certificate": "eA=="},
    }
    status, approved = await api.put(approval, body)
    assert status == 200, approved
    assert approved["spec"] == made["spec"] and "certificate" not in approved["status"]
    assert [c["type"] for c in approved["status"]["conditions"]] == ["Approved"]
    assert (await api.get(approval))[1]["status"] == approved["status"]
    status, answer = await api.patch(approval, {"status": {"conditions": [APPROVED, DENIED]}})
    assert status == 422 and "mutually exclusive" in answer["message"]
    status, answer = await api.patch(approval, {"status": {"conditions": []}})
    assert status == 422 and "may not remove" in answer["message"]
    # A write to the status leaves the approval as it is.
    status, answer = await api.patch(f"{CSRS}/a/status", {"status": {"conditions": [DENIED]}})
    assert status == 200 and [c["type"] for c in answer["status"]["conditions"]] == ["Approved"]
    status, answer = await api.patch(f"{CSRS}/a/status", {"status": {"certificate": base64.b64encode(b"x").decode()}})
    assert status == 422 and answer["details"]["causes"][0]["field"] == "status.certificate"


@with_api()
async def test_only_who_may_approve_on_the_signer_approves(api):
    await api.must("POST", CSRS, signing_request("a", CLIENT_SIGNER, PEM))
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rules = [{"verbs": ["get", "update", "patch", "create"], "apiGroups": ["certificates.k8s.io"], "resources": ["*"]}]
    role = {
        "kind": "ClusterRole",
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": "csr"},
        "rules": rules,
    }
    await api.must("POST", f"{rbac}/clusterroles", role)
    binding = {
        "kind": "ClusterRoleBinding",
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": "csr"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "csr"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}],
    }
    await api.must("POST", f"{rbac}/clusterrolebindings", binding)
    await api.server.barrier.fresh()
    wanted = {"status": {"conditions": [APPROVED]}}
    status, answer = await api.patch(f"{CSRS}/a/approval", wanted, identity=JANE)
    assert status == 403 and "not permitted to approve" in answer["message"]
    rules.append(
        {
            "verbs": ["approve"],
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["signers"],
            "resourceNames": ["kubernetes.io/*"],
        }
    )
    await api.must("PUT", f"{rbac}/clusterroles/csr", role)
    await api.server.barrier.fresh()
    assert (await api.patch(f"{CSRS}/a/approval", wanted, identity=JANE))[0] == 200
    failed = {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    status, answer = await api.patch(f"{CSRS}/a/status", failed, identity=JANE)
    assert status == 403 and "not permitted to sign" in answer["message"]
    made = await api.must("POST", CSRS, signing_request("b", CLIENT_SIGNER, PEM), identity=JANE)
    assert {k: made["spec"][k] for k in ("username", "uid", "groups", "extra")} == {
        "username": "jane", "uid": "7", "groups": ["developers", AUTHENTICATED], "extra": {"scopes": ["a"]},
    }  # fmt: skip


@with_api()
async def test_nobody_asks_for_a_master_certificate(api):
    wanted = signing_request("a", CLIENT_SIGNER, request_pem("eve", ("system:masters",)))
    status, answer = await api.post(CSRS, wanted)
    assert status == 403 and "system:masters" in answer["message"]
