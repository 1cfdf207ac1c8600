"""The files of configMap, secret, downwardAPI and projected volumes: path -> bytes and mode.

Pure. Objects come through `Lookup`, service account tokens through `tokens`. A missing object or key raises
`ConfigError`, unless it is optional.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet.surroundings.downward import ConfigError, field_value, resource_value
from actors.kubelet.surroundings.environment import Surroundings, data_of

DEFAULT_MODE = 0o644
TOKEN_MODE_OF_GROUP = 0o600  # with an fsGroup or one runAsUser, only those read the token


@dataclass(frozen=True, slots=True)
class File:
    data: bytes
    mode: int
    owner: int | None = None  # a uid; None: the kubelet's


Payload = Mapping[str, File]
Tokens = Callable[[dict[str, Any]], str]  # a serviceAccountToken source -> its current token

CONTENT_SOURCES = ("configMap", "secret", "downwardAPI", "projected")
_PARTS = {"configMap": "configmaps", "secret": "secrets"}


def payload(pod: pods.Pod, volume: dict[str, Any], around: Surroundings, tokens: Tokens) -> dict[str, File]:
    """Return the files of a volume whose source is one of CONTENT_SOURCES."""
    for field in CONTENT_SOURCES:
        source = volume.get(field)
        if source is None:
            continue
        mode = source.get("defaultMode", DEFAULT_MODE)
        if field != "projected":
            return _part(pod, field, _named(field, source), mode, around, tokens)
        files: dict[str, File] = {}
        for projection in source.get("sources") or ():
            for kind, part in projection.items():
                files |= _part(pod, kind, part, mode, around, tokens)
        return files
    raise ConfigError(f"volume {volume['name']} has no source of files")


def references(pod: pods.Pod) -> set[tuple[str, str]]:
    """Return the (kind, name) of every ConfigMap and Secret that the pod's volumes name."""
    found: set[tuple[str, str]] = set()
    for volume in pod["spec"].get("volumes") or ():
        parts = [(field, _named(field, volume[field])) for field in _PARTS if volume.get(field)]
        for projection in (volume.get("projected") or {}).get("sources") or ():
            parts += list(projection.items())
        found |= {(_PARTS[kind], part["name"]) for kind, part in parts if kind in _PARTS}
    return found


def token_sources(pod: pods.Pod) -> list[dict[str, Any]]:
    """Return every serviceAccountToken source of the pod's volumes."""
    return [
        projection["serviceAccountToken"]
        for volume in pod["spec"].get("volumes") or ()
        for projection in (volume.get("projected") or {}).get("sources") or ()
        if projection.get("serviceAccountToken")
    ]


def _named(field: str, source: dict[str, Any]) -> dict[str, Any]:
    """A secret volume calls its object secretName, everything else calls it name."""
    return {**source, "name": source["secretName"]} if field == "secret" else source


def _part(
    pod: pods.Pod, kind: str, part: dict[str, Any], mode: int, around: Surroundings, tokens: Tokens
) -> dict[str, File]:
    if kind in _PARTS:
        return _of_object(_PARTS[kind], part, mode, around)
    if kind == "downwardAPI":
        return _of_downward(pod, part, mode, around)
    if kind == "serviceAccountToken":
        shared, user = (pod["spec"].get("securityContext") or {}).get("fsGroup") is not None, only_user(pod)
        is_narrow = shared or user is not None
        return {part["path"]: File(tokens(part).encode(), TOKEN_MODE_OF_GROUP if is_narrow else mode, user)}
    raise ConfigError(f"projected volume source {kind} is not supported")


def only_user(pod: pods.Pod) -> int | None:
    """Return the uid that all containers of a pod are told to run as; None when one is told none, or another."""
    of_pod = (pod["spec"].get("securityContext") or {}).get("runAsUser")
    told = {
        (container.get("securityContext") or {}).get("runAsUser", of_pod)
        for container in (*pods.init_containers(pod), *pods.containers(pod))
    }
    return told.pop() if len(told) == 1 else None


def _of_object(kind: str, part: dict[str, Any], mode: int, around: Surroundings) -> dict[str, File]:
    found = around.lookup(kind, part["name"])
    if found is None:
        if part.get("optional"):
            return {}
        raise ConfigError(f'{"configmap" if kind == "configmaps" else "secret"} "{part["name"]}" not found')
    data = data_of(kind, found)
    items = part.get("items")
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    files = {}
    for item in items:
        if item["key"] in data:
            files[item["path"]] = File(data[item["key"]], _mode(item, mode))
        elif not part.get("optional"):
            raise ConfigError(f"references non-existent {kind.removesuffix('s')} key: {item['key']}")
    return files


def _of_downward(pod: pods.Pod, part: dict[str, Any], mode: int, around: Surroundings) -> dict[str, File]:
    files = {}
    for item in part.get("items") or ():
        if item.get("fieldRef"):
            text = field_value(pod, item["fieldRef"]["fieldPath"], around.pod_ips, around.host_ips)
        else:
            text = resource_value(pod, "", item["resourceFieldRef"], around.allocatable or {})
        files[item["path"]] = File(text.encode(), _mode(item, mode))
    return files


def _mode(item: Mapping[str, Any], default: int) -> int:
    """Return the mode of one file: 0 is one, too."""
    return default if item.get("mode") is None else int(item["mode"])
