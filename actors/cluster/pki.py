"""The cluster's keys and certificates: one CA, a serving and an admin certificate, a key that signs tokens.

A second CA is for API servers behind the cluster's own: only a client certificate of that one, the front proxy's, is
believed when it says who somebody else is.

`prepare` makes what is missing under DATA/pki and leaves what is good alone, so that it can run at every start. A
certificate is made anew when it nears its end, when its CA is another one, or when the wanted names have changed; the
CA and the token key are never replaced, for every kubeconfig and token out there depends on them.

Private keys are files of mode 0600 that appear complete or not at all. A file that is there but cannot be read as what
it should be raises `PkiError` naming it: replacing a damaged key silently would lock everybody out.

Neighbours: `kubeconfig` embeds the admin certificate; the API server actor only reads the files.
"""

import datetime
import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from actors.api.addresses import is_unspecified
from actors.api.config import ClusterConfig

CA_LIFETIME_DAYS = 3650  # ten years, as kubeadm's CA
LEAF_LIFETIME_DAYS = 365  # one year, as kubeadm's certificates; renewed at a start within RENEW_BEFORE_DAYS of the end
RENEW_BEFORE_DAYS = 60
BACKDATE_S = 300  # a certificate is valid from a little before now, for clients whose clock is behind
KEY_MODE = 0o600
CERTIFICATE_MODE = 0o644

ADMIN_USER = "kubernetes-admin"
FRONT_PROXY_USER = "front-proxy-client"
ADMIN_GROUP = "system:masters"


class PkiError(Exception):
    """A file of the PKI is damaged or does not fit the others."""


@dataclass(frozen=True, slots=True)
class Pki:
    """Where the files are."""

    directory: Path

    @property
    def ca_crt(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.directory / "ca.key"

    @property
    def sa_key(self) -> Path:
        return self.directory / "sa.key"

    @property
    def sa_pub(self) -> Path:
        return self.directory / "sa.pub"

    def crt(self, name: str) -> Path:
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.directory / f"{name}.key"


def prepare(data_dir: Path, config: ClusterConfig) -> Pki:
    """Make what is missing under `data_dir`/pki; return where everything is. Raises PkiError, OSError."""
    pki = Pki(Path(data_dir) / "pki")
    pki.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    ca_key = _key(pki.ca_key)
    ca = _authority(pki.ca_crt, "kubus-ca", ca_key, now)
    serving = _name("kube-apiserver")
    _leaf(pki, "apiserver", serving, ExtendedKeyUsageOID.SERVER_AUTH, ca, ca_key, now, serving_names(config))
    admin = _name(ADMIN_USER, [ADMIN_GROUP])
    _leaf(pki, "admin", admin, ExtendedKeyUsageOID.CLIENT_AUTH, ca, ca_key, now)
    _front_proxy(pki, now)
    _token_key(pki)
    if config.state.etcd is not None:
        _etcd(Pki(pki.directory / "etcd"), config, now)
    return pki


def issue_client(pki: Pki, user: str, groups: Iterable[str]) -> tuple[bytes, bytes]:
    """Return (certificate, key) in PEM of a new client certificate for a user and its groups."""
    ca_key = _key(pki.ca_key)
    ca = _load_certificate(pki.ca_crt)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = _sign(_name(user, groups), key, ExtendedKeyUsageOID.CLIENT_AUTH, ca, ca_key, now, [])
    return certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key)


def serving_names(config: ClusterConfig) -> list[str]:
    """The DNS names and addresses that clients may know the API server by."""
    domain = config.network.domain
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{domain}"]
    names += ["localhost", "127.0.0.1", "::1"]
    names.append(str(next(ipaddress.ip_network(config.network.service_cidr).hosts())))
    hosts = [config.apiserver.bind, config.balancer.bind, *(node.address for node in config.nodes.values())]
    names += [host for host in hosts if host and not is_unspecified(host)]
    names += config.apiserver.extra_names
    return list(dict.fromkeys(names))


def _name(user: str, groups: Iterable[str] = ()) -> x509.Name:
    """The subject that stands for a user and its groups: CN and one O each."""
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    attributes += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name(attributes)


def _front_proxy(pki: Pki, now: datetime.datetime) -> None:
    key = _key(pki.key("front-proxy-ca"))
    ca = _authority(pki.crt("front-proxy-ca"), "front-proxy-ca", key, now)
    subject = _name(FRONT_PROXY_USER)
    _leaf(pki, "front-proxy-client", subject, ExtendedKeyUsageOID.CLIENT_AUTH, ca, key, now)


def _etcd(pki: Pki, config: ClusterConfig, now: datetime.datetime) -> None:
    """Make what the state's gRPC face and its clients need. The authority is one of its own: it signs nobody who may
    not read and change everything, unlike the cluster's, which signs for whoever the API lets it."""
    assert config.state.etcd is not None
    pki.directory.mkdir(mode=0o755, exist_ok=True)
    ca_key = _key(pki.ca_key)
    ca = _authority(pki.ca_crt, "etcd-ca", ca_key, now)
    names = ["localhost", "127.0.0.1", "::1", config.state.etcd.bind]
    names += [node.address for node in config.nodes.values() if "state" in node.roles]
    names += config.apiserver.extra_names
    known = list(dict.fromkeys(name for name in names if name and not is_unspecified(name)))
    _leaf(pki, "server", _name("etcd-server"), ExtendedKeyUsageOID.SERVER_AUTH, ca, ca_key, now, known)
    _leaf(pki, "client", _name("etcd-client"), ExtendedKeyUsageOID.CLIENT_AUTH, ca, ca_key, now)


def _authority(path: Path, name: str, key: ec.EllipticCurvePrivateKey, now: datetime.datetime) -> x509.Certificate:
    if path.exists():
        ca = _load_certificate(path)
        if ca.public_key() != key.public_key():
            raise PkiError(f"{path} is not the certificate of {path.with_suffix('.key')}")
        return ca
    subject = _name(name)
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ca = (
        _begin(subject, subject, key, now, CA_LIFETIME_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_file(path, ca.public_bytes(serialization.Encoding.PEM), CERTIFICATE_MODE)
    return ca


def _leaf(
    pki: Pki,
    name: str,
    subject: x509.Name,
    purpose: x509.ObjectIdentifier,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    now: datetime.datetime,
    names: Iterable[str] = (),
) -> None:
    """Make NAME.key and NAME.crt unless a good pair is there."""
    key = _key(pki.key(name))
    wanted = _alternative_names(names)
    if pki.crt(name).exists() and _is_good(_load_certificate(pki.crt(name)), key, ca, wanted, subject, now):
        return
    certificate = _sign(subject, key, purpose, ca, ca_key, now, wanted)
    write_file(pki.crt(name), certificate.public_bytes(serialization.Encoding.PEM), CERTIFICATE_MODE)


def _is_good(
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    names: list[x509.GeneralName],
    subject: x509.Name,
    now: datetime.datetime,
) -> bool:
    if certificate.public_key() != key.public_key() or certificate.subject != subject:
        return False
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, ValueError, TypeError):
        return False
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        present = set(extension.value)
    except x509.ExtensionNotFound:
        present = set()
    return present == set(names) and certificate.not_valid_after_utc - now > datetime.timedelta(days=RENEW_BEFORE_DAYS)


def _sign(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    purpose: x509.ObjectIdentifier,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    now: datetime.datetime,
    names: list[x509.GeneralName],
) -> x509.Certificate:
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = (
        _begin(subject, ca.subject, key, now, LEAF_LIFETIME_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(authority, critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ca_key, hashes.SHA256())


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=BACKDATE_S))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _alternative_names(names: Iterable[str]) -> list[x509.GeneralName]:
    result: list[x509.GeneralName] = []
    for name in names:
        try:
            result.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            result.append(x509.DNSName(name))
    return result


def _token_key(pki: Pki) -> None:
    """Make the key that signs service account tokens: ES256, for a signature then costs microseconds."""
    key = _key(pki.sa_key)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    if not pki.sa_pub.exists() or pki.sa_pub.read_bytes() != public:
        write_file(pki.sa_pub, public, CERTIFICATE_MODE)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Load the key at `path`, or make one there."""
    if path.exists():
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError) as error:
            raise PkiError(f"{path} is not a private key in PEM: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise PkiError(f"{path} holds a key of another kind than EC")
        if path.stat().st_mode & 0o077:
            path.chmod(KEY_MODE)
        return key
    key = ec.generate_private_key(ec.SECP256R1())
    write_file(path, _private_pem(key), KEY_MODE)
    return key


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise PkiError(f"{path} is not a certificate in PEM: {error}") from error


def write_file(path: Path, content: bytes, mode: int) -> None:
    """Write a file that is there complete, durable and with its mode, or not at all."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
