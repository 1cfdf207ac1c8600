"""Certificates: a request names its true requester, and approving or signing needs a permission on the signer.

The spec's user is whoever created the request, whatever the body says. Writing `approval` needs the verb `approve`,
giving a certificate (or Failed) the verb `sign`, on the signer: signers.certificates.k8s.io, by its name or `domain/*`.
Nobody gets a client certificate for system:masters this way.

Source: Kubernetes' plugins CertificateApproval, CertificateSigning and CertificateSubjectRestriction. Neighbours:
`chain`; the form of the object is `machinery.kinds.certificates`'.
"""

from typing import TYPE_CHECKING, Any

from cryptography.x509.oid import NameOID

from actors.api import errors
from actors.apiserver.auth.rules import Attributes
from actors.apiserver.call import MASTERS
from actors.apiserver.machinery.kinds.certificates import GROUP, parse_request

if TYPE_CHECKING:
    from actors.apiserver.admission.attributes import Admission

RESOURCE = f"certificatesigningrequests.{GROUP}"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"


def admit_create(asked: "Admission", obj: dict[str, Any]) -> None:
    """Write the requester into the spec. Raises ApiError for a certificate that nobody may ask for."""
    spec, who = obj.setdefault("spec", {}), asked.identity
    for name in ("username", "uid", "groups", "extra"):
        spec.pop(name, None)
    spec["username"] = who.user
    if who.uid:
        spec["uid"] = who.uid
    spec["groups"] = list(who.groups)
    if who.extra:
        spec["extra"] = {key: list(values) for key, values in who.extra.items()}
    if spec.get("signerName") == CLIENT_SIGNER and MASTERS in _organizations(spec.get("request") or ""):
        why = f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed"
        raise errors.forbidden(RESOURCE, obj["metadata"].get("name", ""), why)


def admit_update(asked: "Admission", obj: dict[str, Any], old: dict[str, Any]) -> None:
    """Ask for the signer's permission. Raises ApiError."""
    status, before = obj.get("status") or {}, old.get("status") or {}
    if asked.subresource == "approval":
        _check(asked, "approve", old)
    elif asked.subresource == "status" and (
        status.get("certificate") != before.get("certificate") or _failures(status) != _failures(before)
    ):
        _check(asked, "sign", old)


def _check(asked: "Admission", verb: str, request: dict[str, Any]) -> None:
    if asked.identity.is_master:
        return
    signer = request["spec"].get("signerName", "")
    authorizer = asked.parts.authorizer
    for name in (signer, f"{signer.partition('/')[0]}/*"):
        if authorizer.allows(asked.identity, Attributes(verb, GROUP, "signers", name=name)):
            return
    why = f'user not permitted to {verb} requests with signerName "{signer}"'
    raise errors.forbidden(RESOURCE, request["metadata"]["name"], why)


def _failures(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [c for c in status.get("conditions") or () if c.get("type") == "Failed"]


def _organizations(encoded: str) -> list[str]:
    """The groups that the wanted certificate would stand for; none when it is no request, which validation tells."""
    try:
        subject = parse_request(encoded).subject
    except ValueError:
        return []
    return [str(one.value) for one in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
