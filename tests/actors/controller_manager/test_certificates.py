"""Certificate signing requests: what each signer signs, what is approved without a human, and what goes when."""

import base64
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from actors.api.config import ClusterConfig, NodeConfig
from actors.api.meta import rfc3339
from actors.cluster.pki import prepare
from actors.controller_manager.actions import Delete, RequeueAfter
from actors.controller_manager.certificates.approving import approve, permissions_asked, review_of
from actors.controller_manager.certificates.cleaning import reconcile as clean
from actors.controller_manager.certificates.issue import Authority
from actors.controller_manager.certificates.signers import API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, why_not_signed
from actors.controller_manager.certificates.signing import reconcile
from tests.actors.apiserver.certificates_of import new_key, request_pem, signing_request

NOW = 1_800_000_000.0
CLIENT, SERVING = ("digital signature", "client auth"), ("digital signature", "key encipherment", "server auth")
NODE, NODES = "system:node:w1", ("system:nodes",)
NAMES = (x509.DNSName("w1"), x509.IPAddress(ipaddress.ip_address("10.0.0.1")))
APPROVED = {"type": "Approved", "status": "True", "lastUpdateTime": rfc3339(NOW)}


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    config = ClusterConfig(nodes={"m1": NodeConfig(roles=["apiserver"])})
    return Authority.of_files(prepare(tmp_path_factory.mktemp("pki"), config).directory)


def request(signer: str, pem: bytes, usages: tuple[str, ...] = CLIENT, *conditions: dict, **spec) -> dict:
    made = signing_request("x", signer, pem, usages, **spec)
    made["metadata"] |= {"uid": "u", "creationTimestamp": rfc3339(NOW)}
    return {**made, "status": {"conditions": list(conditions)} if conditions else {}}


@pytest.mark.parametrize(
    ("signer", "pem", "usages", "signed"),
    [
        (API_CLIENT, request_pem("jane", ("developers",)), CLIENT, True),
        (API_CLIENT, request_pem("jane"), ("server auth",), False),
        (API_CLIENT, request_pem("jane"), (*CLIENT, "cert sign"), False),
        (KUBELET_CLIENT, request_pem(NODE, NODES), CLIENT, True),
        (KUBELET_CLIENT, request_pem(NODE, NODES), (*CLIENT, "key encipherment"), True),
        (KUBELET_CLIENT, request_pem(NODE, NODES), SERVING, False),
        (KUBELET_CLIENT, request_pem("jane", NODES), CLIENT, False),
        (KUBELET_CLIENT, request_pem(NODE, ("system:nodes", "system:masters")), CLIENT, False),
        (KUBELET_CLIENT, request_pem(NODE, NODES, NAMES), CLIENT, False),
        (KUBELET_SERVING, request_pem(NODE, NODES, NAMES), SERVING, True),
        (KUBELET_SERVING, request_pem(NODE, NODES), SERVING, False),
        (KUBELET_SERVING, request_pem(NODE, NODES, (x509.RFC822Name("a@b.example"),)), SERVING, False),
    ],
)
def test_signers_sign_what_they_are_for(authority, signer, pem, usages, signed):
    csr = request(signer, pem, usages, APPROVED)
    assert (why_not_signed(csr) == "") is signed
    (write,) = reconcile(csr, authority, NOW)
    assert write.subresource == "status"
    status = write.obj["status"]
    if signed:
        assert "certificate" in status and len(status["conditions"]) == 1
    else:
        assert "certificate" not in status and status["conditions"][1]["type"] == "Failed"
    assert reconcile(write.obj, authority, NOW) == []


def test_nothing_is_signed_that_is_not_approved_or_not_ours(authority):
    pem = request_pem("jane")
    assert reconcile(request(API_CLIENT, pem), authority, NOW) == []
    assert reconcile(request(API_CLIENT, pem, CLIENT, {"type": "Denied", "status": "True"}), authority, NOW) == []
    assert reconcile(request("example.com/other", pem, CLIENT, APPROVED), authority, NOW) == []
    assert reconcile(request("kubernetes.io/legacy-unknown", pem, CLIENT, APPROVED), authority, NOW) == []


@pytest.mark.parametrize(("asked_s", "lifetime_s"), [(None, 365 * 86400), (3600, 3600), (10**9, 365 * 86400)])
def test_a_certificate_is_what_was_asked_for(authority, asked_s, lifetime_s):
    key = new_key()
    spec = {} if asked_s is None else {"expirationSeconds": asked_s}
    csr = request(API_CLIENT, request_pem("jane", ("a", "b"), NAMES, key), CLIENT, APPROVED, **spec)
    made = x509.load_pem_x509_certificate(base64.b64decode(authority.issue(csr, NOW)))
    made.verify_directly_issued_by(authority._certificate)
    assert made.subject.rfc4514_string() == "O=b,O=a,CN=jane"
    assert made.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    ) == key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert made.not_valid_after_utc.timestamp() == min(
        NOW + lifetime_s, authority._certificate.not_valid_after_utc.timestamp()
    )
    assert made.not_valid_before_utc.timestamp() <= NOW
    usages = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == list(NAMES)


def test_only_kubelets_client_requests_are_approved_without_a_human():
    pem = request_pem(NODE, NODES)
    own = request(KUBELET_CLIENT, pem, username=NODE, groups=["system:nodes"])
    assert permissions_asked(own) == ["selfnodeclient", "nodeclient"]
    joining = request(KUBELET_CLIENT, pem, username="system:bootstrap:abcdef")
    assert permissions_asked(joining) == ["nodeclient"]
    for other in (
        request(API_CLIENT, pem),
        request(KUBELET_SERVING, request_pem(NODE, NODES, NAMES), SERVING, username=NODE),
        request(KUBELET_CLIENT, request_pem("jane"), username="jane"),
        request(KUBELET_CLIENT, pem, CLIENT, APPROVED),
    ):
        assert permissions_asked(other) == []
    review = review_of(own, "selfnodeclient")["spec"]
    assert (review["user"], review["groups"]) == (NODE, ["system:nodes"])
    assert review["resourceAttributes"]["subresource"] == "selfnodeclient"
    (write,) = approve(own, "selfnodeclient", NOW)
    assert write.subresource == "approval" and write.obj["status"]["conditions"][0]["reason"] == "AutoApproved"


@pytest.mark.parametrize(
    ("conditions", "certificate", "after_s"),
    [
        ((), "", 24 * 3600),
        ((APPROVED,), "", 24 * 3600),
        ((APPROVED,), "eA==", 3600),
        (({**APPROVED, "type": "Denied"},), "", 3600),
        ((APPROVED, {**APPROVED, "type": "Failed"}), "", 3600),
    ],
)
def test_requests_go_when_they_have_come_to_their_end(conditions, certificate, after_s):
    csr = request(API_CLIENT, request_pem("jane"), CLIENT, *conditions)
    csr["status"] = {"conditions": list(conditions), "certificate": certificate}
    (early,) = clean(csr, NOW + after_s - 5)
    assert isinstance(early, RequeueAfter) and 5 <= early.delay_s < 7
    (late,) = clean(csr, NOW + after_s)
    assert isinstance(late, Delete) and late.uid == "u"


def test_a_request_goes_with_its_certificate(authority):
    csr = request(API_CLIENT, request_pem("jane"), CLIENT, APPROVED, expirationSeconds=600)
    csr["status"]["certificate"] = authority.issue(csr, NOW)
    assert isinstance(clean(csr, NOW + 599)[0], RequeueAfter)
    assert isinstance(clean(csr, NOW + 600)[0], Delete)
