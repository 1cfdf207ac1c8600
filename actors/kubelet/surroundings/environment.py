"""The environment variables of a container, and the expansion of $(VAR) in commands and variables.

Pure: objects that are referred to come through `Lookup`, files through `env_files`. What is missing raises
`ConfigError`, which the pod's status and an event tell. Precedence, lowest first: services, envFrom in order, env in
order.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet.surroundings import env_files
from actors.kubelet.surroundings.downward import ConfigError, field_value, resource_value
from actors.kubelet.surroundings.env_files import EnvFiles

Lookup = Callable[
    [str, str], dict[str, Any] | None
]  # ("configmaps" | "secrets", name) -> object in the pod's namespace

_REFERENCE = re.compile(r"\$(\$|\(([^()]+)\))")
_KINDS = {"configMapRef": "configmaps", "secretRef": "secrets"}
_KEY_KINDS = {"configMapKeyRef": "configmaps", "secretKeyRef": "secrets"}
_SINGULAR = {"configmaps": "configmap", "secrets": "secret"}


def no_files(volume: str, path: str) -> None:
    """What volumes hold where there are none."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an environment is made of besides the pod."""

    lookup: Lookup
    services: Sequence[dict[str, Any]] = ()  # of the pod's namespace, and the API's own
    pod_ips: Sequence[str] = ()
    host_ips: Sequence[str] = ()
    allocatable: Mapping[str, str] | None = None
    env_file: env_files.Read = no_files


def environment(pod: pods.Pod, container: pods.ContainerDict, around: Surroundings) -> list[tuple[str, str]]:
    """Return the variables of a container, in a stable order."""
    services = service_variables(pod, around.services)
    variables: dict[str, str] = {}
    files = EnvFiles(around.env_file)
    for source in container.get("envFrom") or ():
        variables |= _all_of(source, around.lookup)
    for entry in container.get("env") or ():
        value = _value(pod, container, entry, around, files, services | variables)
        if value is not None:
            variables[entry["name"]] = value
    return list((services | variables).items())


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace $(NAME) by its value; $$ is a dollar; an unknown name stays as it is written."""

    def replace(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(replace, text)


def expand_strictly(text: str, variables: Mapping[str, str]) -> str:
    """Replace $(NAME) by its value where nothing may stay unexpanded; ConfigError names what is missing."""
    names = {match[2] for match in _REFERENCE.finditer(text) if match[2]}
    missing = sorted(name for name in names if not variables.get(name))
    if missing:
        raise ConfigError(f"missing value for {', '.join(missing)}")
    return expand(text, variables)


def expand_all(texts: Iterable[str], variables: Mapping[str, str]) -> list[str]:
    return [expand(text, variables) for text in texts]


def references(pod: pods.Pod) -> set[tuple[str, str]]:
    """Return the (kind, name) of every ConfigMap and Secret that the pod's environment names."""
    found: set[tuple[str, str]] = set()
    for container in pods.all_containers(pod):
        for source in container.get("envFrom") or ():
            found |= {(kind, source[field]["name"]) for field, kind in _KINDS.items() if source.get(field)}
        for entry in container.get("env") or ():
            origin = entry.get("valueFrom") or {}
            found |= {(kind, origin[field]["name"]) for field, kind in _KEY_KINDS.items() if origin.get(field)}
    return found


def data_of(kind: str, found: dict[str, Any]) -> dict[str, bytes]:
    """Return the data of a ConfigMap or Secret as bytes."""
    if kind == "secrets":
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    text = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    return text | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}


def _texts_of(kind: str, found: dict[str, Any]) -> dict[str, str]:
    """Return what variables may be made of: all but what a ConfigMap has as binary data, which is no text."""
    if kind == "configmaps":
        return found.get("data") or {}
    return {key: value.decode(errors="replace") for key, value in data_of(kind, found).items()}


def _value(
    pod: pods.Pod,
    container: pods.ContainerDict,
    entry: dict[str, Any],
    around: Surroundings,
    files: EnvFiles,
    known: Mapping[str, str],
) -> str | None:
    """Return one variable's value; None where an optional reference is missing."""
    origin = entry.get("valueFrom")
    if not origin:
        return expand(entry.get("value") or "", known)
    if origin.get("fieldRef"):
        return field_value(pod, origin["fieldRef"]["fieldPath"], around.pod_ips, around.host_ips)
    if origin.get("resourceFieldRef"):
        return resource_value(pod, container["name"], origin["resourceFieldRef"], around.allocatable or {})
    if origin.get("fileKeyRef"):
        return _key_of_file(origin["fileKeyRef"], files)
    for field, kind in _KEY_KINDS.items():
        if origin.get(field):
            return _key_of(kind, origin[field], around.lookup)
    raise ConfigError(f"environment variable {entry['name']} has an unknown source")


def _key_of(kind: str, ref: dict[str, Any], lookup: Lookup) -> str | None:
    found = lookup(kind, ref["name"])
    if found is None:
        if ref.get("optional"):
            return None
        raise ConfigError(f'{_SINGULAR[kind]} "{ref["name"]}" not found')
    data = _texts_of(kind, found)
    if ref["key"] not in data:
        if ref.get("optional"):
            return None
        what = "ConfigMap" if kind == "configmaps" else "Secret"
        raise ConfigError(f"couldn't find key {ref['key']} in {what} {found['metadata']['namespace']}/{ref['name']}")
    return data[ref["key"]]


def _key_of_file(ref: dict[str, Any], files: EnvFiles) -> str | None:
    found = files.variables(ref["volumeName"], ref["path"])
    value = None if found is None else found.get(ref["key"])
    if value is not None or ref.get("optional"):
        return value
    if found is None:
        raise ConfigError(f'env file "{ref["path"]}" not found in volume "{ref["volumeName"]}"')
    raise ConfigError(f'environment variable key "{ref["key"]}" not found in file "{ref["path"]}"')


def _all_of(source: dict[str, Any], lookup: Lookup) -> dict[str, str]:
    """Return what one envFrom entry brings, under its prefix."""
    for field, kind in _KINDS.items():
        ref = source.get(field)
        if not ref:
            continue
        found = lookup(kind, ref["name"])
        if found is None:
            if ref.get("optional"):
                return {}
            raise ConfigError(f'{_SINGULAR[kind]} "{ref["name"]}" not found')
        prefix = source.get("prefix") or ""
        values = _texts_of(kind, found).items()
        return {prefix + key: value for key, value in sorted(values) if "=" not in key}
    return {}


# -- services ---------------------------------------------------------------------------------------------------------


def service_variables(pod: pods.Pod, services: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the variables that lead to services: of the pod's namespace if it wants them, and always to the API."""
    wants_all = pod["spec"].get("enableServiceLinks", True)
    variables: dict[str, str] = {}
    for service in sorted(services, key=lambda item: (item["metadata"]["namespace"], item["metadata"]["name"])):
        metadata = service["metadata"]
        is_api = (metadata["namespace"], metadata["name"]) == ("default", "kubernetes")
        if is_api or (wants_all and metadata["namespace"] == pods.namespace(pod)):
            variables |= _of_service(service)
    return variables


def _of_service(service: dict[str, Any]) -> dict[str, str]:
    address, ports = service["spec"].get("clusterIP"), service["spec"].get("ports") or ()
    if not address or address == "None" or not ports:
        return {}
    name = service["metadata"]["name"].upper().replace("-", "_")
    host = f"[{address}]" if ":" in address else address
    variables = {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": str(ports[0]["port"])}
    for index, port in enumerate(ports):
        if port.get("name"):
            variables[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
        protocol = (port.get("protocol") or "TCP").lower()
        url, prefix = f"{protocol}://{host}:{port['port']}", f"{name}_PORT_{port['port']}_{protocol.upper()}"
        if index == 0:
            variables[f"{name}_PORT"] = url
        variables |= {
            prefix: url,
            f"{prefix}_PROTO": protocol,
            f"{prefix}_PORT": str(port["port"]),
            f"{prefix}_ADDR": address,
        }
    return variables
