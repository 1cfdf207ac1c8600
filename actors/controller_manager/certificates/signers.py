"""What each of Kubernetes' signers signs: whose name, which usages, which alternative names.

`kubernetes.io/legacy-unknown` is none of these: it signs anything, promises nothing, and v1 of the API refuses it. A
signer that is not listed belongs to somebody else, and is left alone.

Source: the documentation's page on certificate signing requests, Kubernetes signers. Pure.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

Object = dict[str, Any]

RESOURCE = "certificatesigningrequests.certificates.k8s.io"
API_CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
SIGNERS = frozenset((API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING))

NODES, NODE_PREFIX = "system:nodes", "system:node:"
_ENCIPHER, _SIGN, _CLIENT, _SERVER = "key encipherment", "digital signature", "client auth", "server auth"


class Unreadable(Exception):
    """A spec.request is no PKCS#10 request in PEM."""


def request_of(csr: Object) -> x509.CertificateSigningRequest:
    """Return what a CertificateSigningRequest holds. Raises Unreadable."""
    try:
        return x509.load_pem_x509_csr(base64.b64decode(csr["spec"].get("request") or "", validate=True))
    except (binascii.Error, ValueError) as error:
        raise Unreadable(str(error)) from error


def why_not_signed(csr: Object) -> str:
    """Return why the signer of a request does not sign it, or nothing. Raises Unreadable."""
    spec, request = csr["spec"], request_of(csr)
    usages = frozenset(spec.get("usages") or ())
    if not request.is_signature_valid:
        return "the signature of the request does not fit its key"
    if spec["signerName"] == API_CLIENT:
        return _why_no_client(request, usages)
    if why := _why_no_node(request):
        return why
    if spec["signerName"] == KUBELET_CLIENT:
        if usages not in ({_SIGN, _CLIENT}, {_SIGN, _CLIENT, _ENCIPHER}):
            return "usages did not match [digital signature, client auth] with or without key encipherment"
        return "alternative names are not allowed" if alternative_names(request) else ""
    return _why_no_serving(request, usages)


def is_kubelet_client(csr: Object) -> bool:
    """Is this a well-formed request of a kubelet for its client certificate?"""
    if csr["spec"].get("signerName") != KUBELET_CLIENT:
        return False
    try:
        return not why_not_signed(csr)
    except Unreadable:
        return False


def common_name(request: x509.CertificateSigningRequest) -> str:
    return next(iter(_names(request, NameOID.COMMON_NAME)), "")


def alternative_names(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(extension.value)


def _why_no_client(request: x509.CertificateSigningRequest, usages: frozenset[str]) -> str:
    if _CLIENT not in usages or not usages <= {_ENCIPHER, _SIGN, _CLIENT}:
        return "usages did not include client auth, or others than key encipherment and digital signature"
    return _why_no_leaf(request)


def _why_no_node(request: x509.CertificateSigningRequest) -> str:
    if _names(request, NameOID.ORGANIZATION_NAME) != [NODES]:
        return f"the organization must be {NODES} alone"
    name = common_name(request)
    if not name.startswith(NODE_PREFIX) or name == NODE_PREFIX:
        return f"the common name must begin with {NODE_PREFIX}"
    return _why_no_leaf(request)


def _why_no_serving(request: x509.CertificateSigningRequest, usages: frozenset[str]) -> str:
    if usages not in ({_SIGN, _SERVER}, {_SIGN, _SERVER, _ENCIPHER}):
        return "usages did not match [digital signature, server auth] with or without key encipherment"
    names = alternative_names(request)
    if not names:
        return "at least one DNS name or IP address is required"
    if not all(isinstance(name, x509.DNSName | x509.IPAddress) for name in names):
        return "only DNS names and IP addresses are allowed as alternative names"
    return ""


def _why_no_leaf(request: x509.CertificateSigningRequest) -> str:
    """Nobody is made an authority."""
    try:
        constraints = request.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS).value
    except x509.ExtensionNotFound:
        return ""
    is_authority = isinstance(constraints, x509.BasicConstraints) and constraints.ca
    return "an authority's certificate is not given" if is_authority else ""


def _names(request: x509.CertificateSigningRequest, kind: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in request.subject.get_attributes_for_oid(kind)]


def has_condition(csr: Object, kinds: Iterable[str]) -> bool:
    wanted = frozenset(kinds)
    return any(c.get("type") in wanted for c in (csr.get("status") or {}).get("conditions") or ())
