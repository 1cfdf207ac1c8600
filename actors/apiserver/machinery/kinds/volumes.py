"""Volumes and where they are mounted."""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.resource_lists import amount_causes

MAX_FILE_MODE = 0o777
_MODES = range(MAX_FILE_MODE + 1)
_HOST_PATH_TYPES = (
    "", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"
)  # fmt: skip
_MEDIUMS = ("", "Memory", "HugePages")
_REQUIRED = {
    "hostPath": ("path",), "secret": ("secretName",), "configMap": ("name",), "nfs": ("server", "path"),
    "persistentVolumeClaim": ("claimName",), "csi": ("driver",), "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",), "iscsi": ("targetPortal", "iqn"), "ephemeral": ("volumeClaimTemplate",),
}  # fmt: skip
_RECURSIVE_READ_ONLY = ("Disabled", "IfPossible", "Enabled")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PROPAGATIONS = ("None", "HostToContainer", "Bidirectional")


def volumes_causes(volumes: list[dict] | None, path: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, volume in enumerate(volumes or ()):
        at, name = f"{path}[{i}]", volume.get("name", "")
        if not name:
            causes.append(field.required(f"{at}.name"))
        else:
            causes += field.messages(f"{at}.name", name, names.dns_label(name))
        if name in seen:
            causes.append(field.duplicate(f"{at}.name", name))
        seen.add(name)
        causes += _source_causes(volume, at)
    return causes


def _source_causes(volume: dict[str, Any], at: str) -> list[Cause]:
    sources = [name for name in volume if name != "name"]
    if not sources:
        return [field.required(at, "must specify a volume type")]
    causes = [field.forbidden(f"{at}.{name}", "may not specify more than 1 volume type") for name in sources[1:]]
    name = sources[0]
    source, where = volume[name], f"{at}.{name}"
    for needed in _REQUIRED.get(name, ()):
        if not source.get(needed):
            causes.append(field.required(f"{where}.{needed}"))
    causes += _mode_causes(source, "defaultMode", where)
    causes += items_causes(source.get("items"), f"{where}.items", downward=name == "downwardAPI")
    if name == "hostPath":
        causes += field.one_of(f"{where}.type", source.get("type", ""), _HOST_PATH_TYPES)
        if ".." in source.get("path", "").split("/"):
            causes.append(field.invalid(f"{where}.path", source["path"], "must not contain '..'"))
    if name == "emptyDir":
        causes += _empty_dir_causes(source, where)
    if name == "image":
        causes += _image_causes(source, where, of_pod=at.startswith("spec.volumes"))
    if name == "projected":
        causes += _projected_causes(source.get("sources"), where)
    if name == "nfs" and not source.get("path", "/").startswith("/"):
        causes.append(field.invalid(f"{where}.path", source["path"], "must be an absolute path"))
    return causes


def _image_causes(source: dict[str, Any], where: str, *, of_pod: bool) -> list[Cause]:
    """A template may leave the image to whoever makes pods of it."""
    causes = []
    if of_pod and not source.get("reference"):
        causes.append(field.required(f"{where}.reference"))
    if "pullPolicy" in source:
        causes += field.one_of(f"{where}.pullPolicy", source["pullPolicy"], _PULL_POLICIES)
    return causes


def _empty_dir_causes(source: dict[str, Any], where: str) -> list[Cause]:
    causes = []
    if "sizeLimit" in source:
        causes += amount_causes(source["sizeLimit"], f"{where}.sizeLimit")
    medium = source.get("medium", "")
    if not medium.startswith("HugePages-"):
        causes += field.one_of(f"{where}.medium", medium, _MEDIUMS)
    return causes


def _projected_causes(sources: list[dict] | None, path: str) -> list[Cause]:
    causes: list[Cause] = []
    taken: set[str] = set()
    for i, source in enumerate(sources or ()):
        at = f"{path}.sources[{i}]"
        for more in list(source)[1:]:
            causes.append(field.forbidden(f"{at}.{more}", "may not specify more than 1 volume type"))
        for name, part in source.items():
            where = f"{at}.{name}"
            if name in ("secret", "configMap") and not part.get("name"):
                causes.append(field.required(f"{where}.name"))
            causes += items_causes(part.get("items"), f"{where}.items", downward=name == "downwardAPI")
            if name == "serviceAccountToken":
                causes += _token_causes(part, where)
            paths = [item.get("path", "") for item in part.get("items") or ()]
            paths += [part["path"]] if part.get("path") else []
            if any(one in taken for one in paths):
                causes.append(field.invalid(path, part.get("name", ""), "conflicting duplicate paths"))
            taken.update(paths)
    return causes


def _token_causes(part: dict[str, Any], where: str) -> list[Cause]:
    causes = []
    if part.get("expirationSeconds", 3600) < 600:
        detail = "may not specify a duration less than 10 minutes"
        causes.append(field.invalid(f"{where}.expirationSeconds", part["expirationSeconds"], detail))
    if not part.get("path"):
        causes.append(field.required(f"{where}.path"))
    return causes + relative_path_causes(part.get("path", ""), f"{where}.path")


def items_causes(items: list[dict] | None, path: str, downward: bool = False) -> list[Cause]:
    """Return what is wrong with the files that a volume is told to hold."""
    causes = []
    for i, item in enumerate(items or ()):
        at = f"{path}[{i}]"
        if not downward and not item.get("key"):
            causes.append(field.required(f"{at}.key"))
        if not item.get("path"):
            causes.append(field.required(f"{at}.path"))
        causes += relative_path_causes(item.get("path", ""), f"{at}.path")
        causes += _mode_causes(item, "mode", at)
        if downward and not ("fieldRef" in item) ^ ("resourceFieldRef" in item):
            causes.append(field.required(at, "one of fieldRef and resourceFieldRef is required"))
        elif "resourceFieldRef" in item and not item["resourceFieldRef"].get("containerName"):
            causes.append(field.required(f"{at}.resourceFieldRef.containerName"))
    return causes


def relative_path_causes(path: str, at: str) -> list[Cause]:
    if path.startswith("/"):
        return [field.invalid(at, path, "must be a relative path")]
    if ".." in path.split("/"):
        return [field.invalid(at, path, "must not contain '..'")]
    return []


def no_backsteps_causes(path: str, at: str) -> list[Cause]:
    """A path, absolute or not, that goes nowhere up."""
    return [field.invalid(at, path, "must not contain '..'")] if ".." in path.split("/") else []


def _mode_causes(source: dict[str, Any], name: str, where: str) -> list[Cause]:
    mode = source.get(name)
    if mode is None or mode in _MODES:
        return []
    return [field.invalid(f"{where}.{name}", mode, "must be a number between 0 and 0777 (octal), both inclusive")]


def mounts_causes(container: dict[str, Any], volumes: dict[str, dict], path: str) -> list[Cause]:
    """Return what is wrong with the volume mounts and devices of a container; `volumes` are the pod's, by name."""
    causes: list[Cause] = []
    seen: set[str] = set()
    for i, mount in enumerate(container.get("volumeMounts") or ()):
        at, name, where = f"{path}.volumeMounts[{i}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            causes.append(field.required(f"{at}.name"))
        elif name not in volumes:
            causes.append(field.not_found(f"{at}.name", name))
        if not where:
            causes.append(field.required(f"{at}.mountPath"))
        elif where in seen:
            causes.append(field.invalid(f"{at}.mountPath", where, "must be unique"))
        seen.add(where)
        causes += _mount_form_causes(mount, at)
        privileged = (container.get("securityContext") or {}).get("privileged")
        if mount.get("mountPropagation") == "Bidirectional" and not privileged:
            detail = "Bidirectional mount propagation is available only to privileged containers"
            causes.append(field.forbidden(f"{at}.mountPropagation", detail))
    return causes + _device_causes(container, volumes, path, seen)


def _mount_form_causes(mount: dict[str, Any], at: str) -> list[Cause]:
    causes = relative_path_causes(mount.get("subPath", ""), f"{at}.subPath")
    causes += relative_path_causes(mount.get("subPathExpr", ""), f"{at}.subPathExpr")
    if mount.get("subPath") and mount.get("subPathExpr"):
        detail = "subPathExpr and subPath are mutually exclusive"
        causes.append(field.invalid(f"{at}.subPathExpr", mount["subPathExpr"], detail))
    if mount.get("mountPropagation"):
        causes += field.one_of(f"{at}.mountPropagation", mount["mountPropagation"], _PROPAGATIONS)
    if mount.get("recursiveReadOnly"):
        causes += _recursive_causes(mount, f"{at}.recursiveReadOnly")
    return causes


def _recursive_causes(mount: dict[str, Any], where: str) -> list[Cause]:
    mode = mount["recursiveReadOnly"]
    causes = field.one_of(where, mode, _RECURSIVE_READ_ONLY)
    if mode in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            causes.append(field.forbidden(where, "may only be specified when readOnly is true"))
        if mount.get("mountPropagation") not in (None, "None"):
            detail = "may only be specified when mountPropagation is None or not specified"
            causes.append(field.forbidden(where, detail))
    return causes


def _device_causes(container: dict[str, Any], volumes: dict[str, dict], path: str, mounted: set[str]) -> list[Cause]:
    """`mounted` are the paths at which something is mounted."""
    causes = []
    taken: set[str] = set()
    for i, device in enumerate(container.get("volumeDevices") or ()):
        at, name = f"{path}.volumeDevices[{i}]", device.get("name", "")
        if not name:
            causes.append(field.required(f"{at}.name"))
        elif name not in volumes:
            causes.append(field.not_found(f"{at}.name", name))
        elif not volumes[name].keys() & {"persistentVolumeClaim", "ephemeral"}:
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            causes.append(field.invalid(f"{at}.name", name, detail))
        where = device.get("devicePath")
        if not where:
            causes.append(field.required(f"{at}.devicePath"))
            continue
        if where in taken:
            causes.append(field.invalid(f"{at}.devicePath", where, "must be unique"))
        if where in mounted:
            causes.append(field.invalid(f"{at}.devicePath", where, "must not already exist in volumeMounts"))
        causes += no_backsteps_causes(where, f"{at}.devicePath")
        taken.add(where)
    return causes
