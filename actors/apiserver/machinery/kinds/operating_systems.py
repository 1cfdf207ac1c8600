"""What a pod may ask for on Linux, and what on Windows: neither has the other's settings.

A pod that names its operating system is held to it; one that does not may be of either.
"""

from typing import Any

from actors.api.errors import Cause
from actors.apiserver.machinery import field

_SYSTEMS = ("linux", "windows")
_OF_LINUX_PODS = (
    "appArmorProfile", "fsGroup", "fsGroupChangePolicy", "runAsGroup", "runAsUser", "seLinuxChangePolicy",
    "seLinuxOptions", "seccompProfile", "supplementalGroups", "supplementalGroupsPolicy", "sysctls",
)  # fmt: skip
_OF_LINUX_CONTAINERS = (
    "allowPrivilegeEscalation", "appArmorProfile", "capabilities", "privileged", "procMount", "readOnlyRootFilesystem",
    "runAsGroup", "runAsUser", "seLinuxOptions", "seccompProfile",
)  # fmt: skip
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")

Object = dict[str, Any]


def operating_system_causes(spec: Object, path: str) -> list[Cause]:
    """Return what does not fit the operating system that a pod names, and what does not fit any."""
    causes = _host_process_causes(spec, path)
    if not spec.get("os"):
        return causes
    name = spec["os"].get("name", "")
    causes += field.needed_one_of(f"{path}.os.name", name, _SYSTEMS)
    if name == "linux":
        for at, security in _securities(spec, path):
            if security.get("windowsOptions"):
                causes.append(field.forbidden(f"{at}.windowsOptions", "windows options cannot be set for a linux pod"))
    if name == "windows":
        causes += _windows_causes(spec, path)
    return causes


def _windows_causes(spec: Object, path: str) -> list[Cause]:
    detail = "cannot be set for a windows pod"
    whole = ("hostPID", "hostIPC", "hostUsers", "shareProcessNamespace")
    causes = [field.forbidden(f"{path}.{name}", detail) for name in whole if spec.get(name) is not None]
    own = f"{path}.securityContext"
    for at, security in _securities(spec, path):
        names = _OF_LINUX_PODS if at == own else _OF_LINUX_CONTAINERS
        causes += [field.forbidden(f"{at}.{name}", detail) for name in names if security.get(name) is not None]
    return causes


def _securities(spec: Object, path: str) -> list[tuple[str, Object]]:
    """The security contexts of a pod and of its containers, with their paths."""
    found = [(f"{path}.securityContext", spec.get("securityContext") or {})]
    for kind in _CONTAINERS:
        for i, container in enumerate(spec.get(kind) or ()):
            found.append((f"{path}.{kind}[{i}].securityContext", container.get("securityContext") or {}))
    return found


def _host_process_causes(spec: Object, path: str) -> list[Cause]:
    """All containers of a pod are processes of a Windows host, or none; the host's network is theirs then."""
    of_pod = _is_host_process(spec.get("securityContext") or {})
    own = [
        (at, of_pod if given is None else given)
        for at, security in _securities(spec, path)[1:]
        for given in (_is_host_process(security),)
    ]
    causes = []
    if of_pod and any(is_process is False for _, is_process in own):
        detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        causes.append(field.invalid(path, "", detail))
    if any(is_process for _, is_process in own) and not spec.get("hostNetwork"):
        detail = "hostNetwork must be true if pod contains any hostProcess containers"
        causes.append(field.invalid(f"{path}.hostNetwork", False, detail))
    return causes


def _is_host_process(security: Object) -> bool | None:
    given: bool | None = (security.get("windowsOptions") or {}).get("hostProcess")
    return given
