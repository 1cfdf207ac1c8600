"""Registry credentials out of a pod's image pull secrets: which of them fit an image. Pure."""

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any

from actors.kubelet.images import split_reference
from actors.kubelet.runtime import ImageAuth
from actors.kubelet.surroundings.environment import data_of

DEFAULT_REGISTRY = "docker.io"
_ALIASES = {"index.docker.io": DEFAULT_REGISTRY, "registry-1.docker.io": DEFAULT_REGISTRY}


def auths_for(reference: str, secrets: Iterable[dict[str, Any]]) -> list[ImageAuth]:
    """Return the credentials for an image, the most specific first. A malformed secret gives none."""
    image = repository_of(reference)
    found: list[tuple[int, ImageAuth]] = []
    for secret in secrets:
        for location, entry in _entries(secret).items():
            where = _location(location)
            if image == where or image.startswith(where.rstrip("/") + "/"):
                found.append((len(where), _auth(location, entry)))
    return [auth for _, auth in sorted(found, key=lambda item: -item[0])]


def repository_of(reference: str) -> str:
    """Return registry/path of an image reference, with the registry that is meant where none is written."""
    name, _, _ = split_reference(reference)
    first, slash, _ = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        return f"{DEFAULT_REGISTRY}/{name}"
    return name


def _entries(secret: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return server -> credentials of either format of a pull secret."""
    data = data_of("secrets", secret)
    try:
        if ".dockerconfigjson" in data:
            entries = json.loads(data[".dockerconfigjson"]).get("auths") or {}
        elif ".dockercfg" in data:
            entries = json.loads(data[".dockercfg"])
        else:
            return {}
    except (ValueError, AttributeError):
        return {}
    return {str(where): entry for where, entry in entries.items() if isinstance(entry, dict)}


def _location(server: str) -> str:
    """Return a server entry without its scheme and API version, as images write registries."""
    where = server.partition("://")[2] or server
    where = where.rstrip("/")
    for version in ("/v1", "/v2"):
        where = where.removesuffix(version)
    host, slash, path = where.partition("/")
    return _ALIASES.get(host, host) + slash + path


def _auth(server: str, entry: dict[str, Any]) -> ImageAuth:
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if not username and entry.get("auth"):
        try:
            username, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            username = password = ""
    return ImageAuth(
        username=username,
        password=password,
        server_address=server,
        identity_token=str(entry.get("identitytoken") or ""),
        registry_token=str(entry.get("registrytoken") or ""),
    )
