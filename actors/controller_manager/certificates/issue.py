"""The cluster's authority: makes a certificate of an approved request.

The certificate has the request's subject, key and alternative names, the usages of the spec, and nothing else. It ends
after what the spec asks for, a year at most, and never after the authority itself.

Neighbours: `signing` asks; `actors.cluster.pki` makes the authority's files. Pure but for the random serial number.
"""

import base64
import datetime
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from actors.controller_manager.certificates.signers import alternative_names, request_of

MAX_LIFETIME_S = 365 * 24 * 3600  # Kubernetes' --cluster-signing-duration
MIN_LIFETIME_S = 600
BACKDATE_S = 300  # for clients whose clock is behind

_EXTENDED = {"client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "server auth": ExtendedKeyUsageOID.SERVER_AUTH}


class Authority:
    def __init__(self, certificate_pem: bytes, key_pem: bytes) -> None:
        self._certificate = x509.load_pem_x509_certificate(certificate_pem)
        self._key = cast(CertificateIssuerPrivateKeyTypes, serialization.load_pem_private_key(key_pem, password=None))

    @classmethod
    def of_files(cls, directory: Path) -> "Authority":
        return cls((directory / "ca.crt").read_bytes(), (directory / "ca.key").read_bytes())

    def issue(self, csr: dict[str, Any], now_s: float) -> str:
        """Return the certificate for a CertificateSigningRequest, in PEM and base64. Raises signers.Unreadable."""
        spec, request = csr["spec"], request_of(csr)
        usages = set(spec.get("usages") or ())
        now = datetime.datetime.fromtimestamp(int(now_s), datetime.UTC)
        start = max(now - datetime.timedelta(seconds=BACKDATE_S), self._certificate.not_valid_before_utc)
        end = min(now + datetime.timedelta(seconds=_lifetime_s(spec)), self._certificate.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self._certificate.subject)
            .public_key(cast(CertificatePublicKeyTypes, request.public_key()))
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(usages), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_EXTENDED[u] for u in sorted(usages & _EXTENDED.keys())]), False)
            .add_extension(self._key_identifier(), critical=False)
        )
        names = alternative_names(request)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return base64.b64encode(certificate.public_bytes(serialization.Encoding.PEM)).decode()

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def _lifetime_s(spec: dict[str, Any]) -> int:
    wanted = spec.get("expirationSeconds")
    return MAX_LIFETIME_S if wanted is None else max(MIN_LIFETIME_S, min(MAX_LIFETIME_S, wanted))


def _key_usage(usages: set[str]) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature="digital signature" in usages, key_encipherment="key encipherment" in usages,
        content_commitment=False, data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
