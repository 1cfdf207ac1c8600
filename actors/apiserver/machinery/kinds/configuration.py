"""ConfigMap, Secret, ServiceAccount."""

import base64
from typing import Any

import orjson
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.resource import Strategy

MAX_DATA_BYTES = 1024 * 1024  # of all values of one ConfigMap or Secret; Kubernetes' limit

_NEEDED_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_ENFORCE_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"
_SERVICE_ACCOUNT_NAME = "kubernetes.io/service-account.name"


def _frozen_causes(obj: dict[str, Any], old: dict[str, Any], parts: tuple[str, ...]) -> list[Cause]:
    """An object that was made immutable keeps its data, and stays immutable."""
    if not old.get("immutable"):
        return []
    detail = "field is immutable when `immutable` is set"
    causes = [] if obj.get("immutable") else [field.forbidden("immutable", detail)]
    return causes + [field.forbidden(part, detail) for part in parts if (obj.get(part) or {}) != (old.get(part) or {})]


def _size_of_base64(text: str) -> int:
    return len(text) // 4 * 3 - text.count("=", -2)


class ConfigMapStrategy(Strategy):
    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
        causes, size = [], 0
        for key, value in data.items():
            if wrong := names.config_key(key):
                causes += field.messages(f"data[{key}]", key, wrong)
            if key in binary:
                causes.append(field.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
            size += len(value) if value.isascii() else len(value.encode())
        for key, value in binary.items():
            if wrong := names.config_key(key):
                causes += field.messages(f"binaryData[{key}]", key, wrong)
            size += _size_of_base64(value or "")
        if size > MAX_DATA_BYTES:
            causes.append(field.too_long("", MAX_DATA_BYTES))
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return _frozen_causes(obj, old, ("data", "binaryData"))


class SecretStrategy(Strategy):
    def default(self, obj: dict[str, Any]) -> None:
        if not obj.get("type"):
            obj["type"] = "Opaque"
        written = obj.pop("stringData", None)
        if written:
            data = obj.setdefault("data", {})
            for key, value in written.items():
                data[key] = base64.b64encode(value.encode()).decode()

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        data = obj.get("data") or {}
        causes, size = [], 0
        for key, value in data.items():
            if wrong := names.config_key(key):
                causes += field.messages(f"data[{key}]", key, wrong)
            size += _size_of_base64(value or "")
        if size > MAX_DATA_BYTES:
            causes.append(field.too_long("data", MAX_DATA_BYTES))
        return causes + self._type_causes(obj, obj["type"], data)

    def _type_causes(self, obj: dict[str, Any], kind: str, data: dict[str, str]) -> list[Cause]:
        causes = [field.required(f"data[{key}]") for key in _NEEDED_KEYS.get(kind, ()) if key not in data]
        if kind == "kubernetes.io/service-account-token":
            annotations = obj["metadata"].get("annotations") or {}
            if not annotations.get(_SERVICE_ACCOUNT_NAME):
                causes.append(field.required(f"metadata.annotations[{_SERVICE_ACCOUNT_NAME}]"))
        if kind == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
            causes += [field.required("data[username]"), field.required("data[password]")]
        for key in (".dockercfg", ".dockerconfigjson"):
            if key in _NEEDED_KEYS.get(kind, ()) and key in data and not _is_json(data[key]):
                causes.append(field.invalid(f"data[{key}]", "<secret contents redacted>", "must be valid JSON"))
        return causes

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        if obj["type"] != "kubernetes.io/tls":
            return []
        data = obj.get("data") or {}
        wrong = tls_pair_error(base64.b64decode(data.get("tls.crt") or ""), base64.b64decode(data.get("tls.key") or ""))
        return [wrong] if wrong else []

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        causes = [] if obj["type"] == old.get("type") else [field.immutable("type", obj["type"])]
        return causes + _frozen_causes(obj, old, ("data",))


def tls_pair_error(certificate: bytes, key: bytes) -> str:
    """Return why no server could use a certificate with its key; "" when one could."""
    for part, text in (("certificate", certificate), ("key", key)):
        if b"-----BEGIN " not in text:
            return f"tls: failed to find any PEM data in {part} input"
    try:
        public = x509.load_pem_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        return f"x509: malformed certificate: {error}"
    try:
        own = serialization.load_pem_private_key(key, None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "tls: failed to parse private key"
    der = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return "" if own.public_bytes(*der) == public.public_bytes(*der) else "tls: private key does not match public key"


def _is_json(text: str | None) -> bool:
    try:
        orjson.loads(base64.b64decode(text or ""))
    except ValueError:
        return False
    return True


class ServiceAccountStrategy(Strategy):
    """Nothing beyond metadata and types."""

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        annotations = obj["metadata"].get("annotations") or {}
        if annotations.get(_ENFORCE_MOUNTABLE) != "true":
            return []
        detail = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        return [f"metadata.annotations[{_ENFORCE_MOUNTABLE}]: {detail}"]
