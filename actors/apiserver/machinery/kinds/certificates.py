"""CertificateSigningRequest: who asks for which certificate, and what has become of it.

The spec is what was asked for and never changes; the main resource writes no status. `approval` may add the conditions
Approved and Denied, `status` the condition Failed and the certificate. Who may do either, and that the spec names the
true requester, is `admission.certificates`' to see to.

Source: certificates.k8s.io/v1's documentation and types.
"""

import base64
import binascii
import re
from typing import Any

from cryptography import x509

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.with_status import WithStatus

GROUP = "certificates.k8s.io"
LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"
APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
MIN_EXPIRATION_S = 600  # Kubernetes' minimum
MAX_SIGNER_NAME = 571  # of a signerName: a DNS subdomain of 253, a slash, a path of 317; Kubernetes' limit
USAGES = frozenset(
    (
        "signing", "digital signature", "content commitment", "key encipherment", "key agreement", "data encipherment",
        "cert sign", "crl sign", "encipher only", "decipher only", "any", "server auth", "client auth", "code signing",
        "email protection", "s/mime", "ipsec end system", "ipsec tunnel", "ipsec user", "timestamping", "ocsp signing",
        "microsoft sgc", "netscape sgc",
    )
)  # fmt: skip
_FROZEN = (APPROVED, DENIED)
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----\s*", re.DOTALL)


class CertificateSigningRequestStrategy(WithStatus):
    tracks_generation = False

    def validate_name(self, name: str, prefix: bool = False) -> list[str]:
        return names.path_segment(name, prefix)

    def prepare_for_update(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        super().prepare_for_update(obj, old)
        obj["spec"] = old["spec"]

    def prepare_for_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        """A status may gain a certificate and Failed; Approved and Denied stay as they are."""
        status = obj.get("status") or {}
        super().prepare_for_status_update(obj, old)
        frozen = [c for c in _conditions(old) if c.get("type") in _FROZEN]
        others = [c for c in status.get("conditions") or () if c.get("type") not in _FROZEN]
        obj["status"] = {**status}
        _put_conditions(obj["status"], frozen + others)

    def prepare_for_subresource_update(self, subresource: str, obj: dict[str, Any], old: dict[str, Any]) -> None:
        """`approval`: nothing but the conditions is taken from the writer."""
        conditions = _conditions(obj)
        super().prepare_for_status_update(obj, old)
        obj["status"] = {**(old.get("status") or {})}
        _put_conditions(obj["status"], conditions)

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj.get("spec") or {}
        causes = _request_causes(spec.get("request") or "")
        causes += _usage_causes(spec.get("usages") or [])
        causes += signer_name_causes("spec.signerName", spec.get("signerName", ""))
        if spec.get("signerName") == LEGACY_UNKNOWN:
            detail = "the legacy signerName is not allowed via this API version"
            causes.append(field.invalid("spec.signerName", LEGACY_UNKNOWN, detail))
        expiration = spec.get("expirationSeconds")
        if expiration is not None and expiration < MIN_EXPIRATION_S:
            detail = f"may not specify a duration less than {MIN_EXPIRATION_S} seconds (10 minutes)"
            causes.append(field.invalid("spec.expirationSeconds", expiration, detail))
        return causes

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        causes = _condition_causes(obj)
        certificate = (obj.get("status") or {}).get("certificate") or ""
        before = (old.get("status") or {}).get("certificate") or ""
        if certificate != before:
            if before:
                causes.append(field.forbidden("status.certificate", "certificate is immutable once set"))
            causes += _certificate_causes(certificate)
        return causes

    def validate_subresource_update(self, subresource: str, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        causes = _condition_causes(obj)
        for kind in (APPROVED, DENIED, FAILED):
            if [c for c in _conditions(old) if c.get("type") == kind] and not _has(obj, kind):
                causes.append(
                    field.forbidden("status.conditions", f"updates may not remove a condition of type {kind}")
                )
        return causes


def signer_name_causes(path: str, name: str) -> list[Cause]:
    """A signer is domain/path: a DNS subdomain of at least two labels, and a path of DNS subdomain characters."""
    if not name:
        return [field.required(path)]
    if len(name) > MAX_SIGNER_NAME:
        return [field.too_long(path, MAX_SIGNER_NAME)]
    domain, slash, rest = name.partition("/")
    if not slash or "/" in rest or not rest or "." not in domain:
        detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [field.invalid(path, name, detail)]
    causes = field.messages(path, domain, names.dns_subdomain(domain))
    return causes + field.messages(path, rest, names.dns_subdomain(rest))


def parse_request(encoded: str) -> x509.CertificateSigningRequest:
    """Return the PKCS#10 request of a spec.request. ValueError saying what it is instead."""
    try:
        pem = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"must be base64: {error}") from error
    block = _PEM_BLOCK.search(pem)
    if block is None or block[1] not in (b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"):
        raise ValueError("PEM block type must be CERTIFICATE REQUEST")
    return x509.load_pem_x509_csr(block[0])


def _request_causes(encoded: str) -> list[Cause]:
    try:
        good = parse_request(encoded).is_signature_valid
    except ValueError as error:
        return [field.invalid("spec.request", encoded, str(error))]
    return [] if good else [field.invalid("spec.request", encoded, "the signature does not fit the key")]


def _usage_causes(usages: list[str]) -> list[Cause]:
    if not usages:
        return [field.required("spec.usages")]
    causes = []
    for i, usage in enumerate(usages):
        causes += field.one_of(f"spec.usages[{i}]", usage, USAGES)
        if usage in usages[:i]:
            causes.append(field.duplicate(f"spec.usages[{i}]", usage))
    return causes


def _condition_causes(obj: dict[str, Any]) -> list[Cause]:
    causes, seen = [], set()
    for i, condition in enumerate(_conditions(obj)):
        kind, at = condition.get("type", ""), f"status.conditions[{i}]"
        if not kind:
            causes.append(field.required(f"{at}.type"))
        elif kind in seen:
            causes.append(field.duplicate(f"{at}.type", kind))
        seen.add(kind)
        allowed = ("True",) if kind in (APPROVED, DENIED, FAILED) else ("True", "False", "Unknown")
        causes += field.needed_one_of(f"{at}.status", condition.get("status"), allowed)
    if {APPROVED, DENIED} <= seen:
        causes.append(
            field.invalid("status.conditions", DENIED, "Approved and Denied conditions are mutually exclusive")
        )
    return causes


def _certificate_causes(encoded: str) -> list[Cause]:
    try:
        blocks = list(_PEM_BLOCK.finditer(base64.b64decode(encoded, validate=True)))
        if not blocks or any(block[1] != b"CERTIFICATE" for block in blocks):
            return [
                field.invalid("status.certificate", "<certificate data>", "must contain CERTIFICATE PEM blocks only")
            ]
        for block in blocks:
            x509.load_pem_x509_certificate(block[0])
    except ValueError as error:
        return [field.invalid("status.certificate", "<certificate data>", str(error))]
    return []


def _conditions(obj: dict[str, Any]) -> list[dict[str, Any]]:
    return (obj.get("status") or {}).get("conditions") or []


def _has(obj: dict[str, Any], kind: str) -> bool:
    return any(c.get("type") == kind for c in _conditions(obj))


def _put_conditions(status: dict[str, Any], conditions: list[dict[str, Any]]) -> None:
    if conditions:
        status["conditions"] = conditions
    else:
        status.pop("conditions", None)
