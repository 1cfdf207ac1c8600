"""Configurations of authentication and authorization: given in the cluster's config, or in a file of Kubernetes' form.

Neighbours: `jwt_issuers` and `authorization_config` compile them; the audit policy is read by `audit.policy`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from actors.api.config import AccessConfig

MAX_BYTES = 1 << 20  # of a file


class BadConfiguration(Exception):
    """The text says where it is wrong, and what was expected."""


def source_of(config: AccessConfig, data_dir: Path, key: str) -> tuple[Any, str]:
    """Return a configuration as it was given, and its name in errors. Raises BadConfiguration."""
    if config.config and config.config_file:
        raise BadConfiguration(f"apiserver.{key}: config and config_file exclude each other")
    if config.config:
        return config.config, f"apiserver.{key}.config"
    path = data_dir / config.config_file
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadConfiguration(f"{path}: a configuration has at most {MAX_BYTES} bytes")
        return yaml.safe_load(path.read_bytes()), str(path)
    except OSError as error:
        raise BadConfiguration(f"the configuration {path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadConfiguration(f"{path}: not YAML: {error}") from error


def checked_kind(source: Any, name: str, kind: str, versions: Sequence[str], known: Sequence[str]) -> Mapping[str, Any]:
    """Return the fields of a configuration of a kind. Raises BadConfiguration."""
    found = fields_of(source, name, ("apiVersion", "kind", *known))
    if found.get("kind") != kind or found.get("apiVersion") not in versions:
        raise BadConfiguration(f"{name}: expected {versions[0]}, kind {kind}")
    return found


def fields_of(source: Any, at: str, known: Sequence[str]) -> Mapping[str, Any]:
    """Return a mapping that has no other fields than these. Raises BadConfiguration."""
    if source is None:
        return {}
    if not isinstance(source, dict):
        raise BadConfiguration(f"{at}: expected a mapping")
    if unknown := sorted(str(one) for one in source.keys() - set(known)):
        raise BadConfiguration(f"{at}: unknown field {unknown[0]}")
    return source
