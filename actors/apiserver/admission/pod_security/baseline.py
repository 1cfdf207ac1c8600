"""The checks of the baseline level, in the order of their names in Kubernetes, which is that of messages."""

from collections.abc import Iterable
from typing import Any

from actors.apiserver.admission.pod_security.findings import (
    Check,
    Finding,
    Object,
    containers,
    context,
    has_own_users,
    named,
    plural,
    quoted,
    setters,
)

DEFAULT_CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
     "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)  # fmt: skip
SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
SECCOMP_TYPES = frozenset({"Localhost", "RuntimeDefault"})
_APPARMOR_TYPES = frozenset({"", "RuntimeDefault", "Localhost"})
_APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_SYSCTLS = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
}  # name -> since which minor version
_ENGINE_TYPE_SINCE = 31  # of the SELinux type container_engine_t
_HOSTS_SINCE = 34
_OWN_USERS_SINCE = 35


def app_armor(metadata: Object, spec: Object, minor: int) -> Finding | None:
    said: list[str] = []
    bad = [one["name"] for one in containers(spec) if not _is_allowed_profile(one)]
    pod_is_bad = not _is_allowed_profile(spec)
    values: list[str] = []
    for part in (spec, *containers(spec)):
        kind = (context(part).get("appArmorProfile") or {}).get("type", "")
        if kind not in _APPARMOR_TYPES and kind not in values:
            values.append(kind)
    if values:
        said.append(f"{setters(pod_is_bad, bad)} must not set AppArmor profile type to {quoted(sorted(values))}")
    annotations = metadata.get("annotations") or {}
    forbidden = sorted(
        f'{key}="{value}"'
        for key, value in annotations.items()
        if key.startswith(_APPARMOR_ANNOTATION)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    )
    if forbidden:
        said.append(f"{plural('annotation', 'annotations', len(forbidden))} {', '.join(forbidden)}")
    if not said:
        return None
    count = len(values) + len(forbidden)
    return Finding(plural("forbidden AppArmor profile", "forbidden AppArmor profiles", count), "; ".join(said))


def _is_allowed_profile(part: Object) -> bool:
    return (context(part).get("appArmorProfile") or {}).get("type", "") in _APPARMOR_TYPES


def capabilities(metadata: Object, spec: Object, minor: int) -> Finding | None:
    bad, added = [], set()
    for one in containers(spec):
        beyond = set((context(one).get("capabilities") or {}).get("add") or ()) - DEFAULT_CAPABILITIES
        if beyond:
            bad.append(one["name"])
            added |= beyond
    if not bad:
        return None
    detail = f"{named(bad)} must not include {quoted(sorted(added))} in securityContext.capabilities.add"
    return Finding("non-default capabilities", detail)


def host_namespaces(metadata: Object, spec: Object, minor: int) -> Finding | None:
    used = [f"{name}=true" for name in ("hostIPC", "hostNetwork", "hostPID") if spec.get(name)]
    return Finding("host namespaces", ", ".join(used)) if used else None


def host_path_volumes(metadata: Object, spec: Object, minor: int) -> Finding | None:
    bad = [volume["name"] for volume in spec.get("volumes") or () if "hostPath" in volume]
    return Finding("hostPath volumes", f"{plural('volume', 'volumes', len(bad))} {quoted(bad)}") if bad else None


def host_ports(metadata: Object, spec: Object, minor: int) -> Finding | None:
    bad: list[str] = []
    ports: set[str] = set()
    for one in containers(spec):
        used = {str(port["hostPort"]) for port in one.get("ports") or () if port.get("hostPort")}
        if used:
            bad.append(one["name"])
            ports |= used
    if not bad:
        return None
    words = f"{plural('uses', 'use', len(bad))} {plural('hostPort', 'hostPorts', len(ports))}"
    return Finding("hostPort", f"{named(bad)} {words} {', '.join(sorted(ports))}")


def host_probes(metadata: Object, spec: Object, minor: int) -> Finding | None:
    if minor < _HOSTS_SINCE:
        return None
    bad: set[str] = set()
    hosts: set[str] = set()
    for one in containers(spec):
        lifecycle = one.get("lifecycle") or {}
        handlers = [one.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
        used = _hosts([*handlers, lifecycle.get("postStart"), lifecycle.get("preStop")])
        if used:
            bad.add(one["name"])
            hosts |= used
    if not bad:
        return None
    what = plural("probe or lifecycle host", "probe or lifecycle hosts", len(hosts))
    detail = f"{named(sorted(bad))} {plural('uses', 'use', len(bad))} {what} {quoted(sorted(hosts))}"
    return Finding("probe or lifecycle host", detail)


def _hosts(handlers: Iterable[Any]) -> set[str]:
    found = set()
    for handler in handlers:
        for kind in ("httpGet", "tcpSocket"):
            host = ((handler or {}).get(kind) or {}).get("host")
            if host:
                found.add(host)
    return found


def privileged(metadata: Object, spec: Object, minor: int) -> Finding | None:
    bad = [one["name"] for one in containers(spec) if context(one).get("privileged")]
    return Finding("privileged", f"{named(bad)} must not set securityContext.privileged=true") if bad else None


def proc_mount(metadata: Object, spec: Object, minor: int) -> Finding | None:
    if has_own_users(spec) and minor >= _OWN_USERS_SINCE:
        return None
    return proc_mount_restricted(metadata, spec, minor)


def proc_mount_restricted(metadata: Object, spec: Object, minor: int) -> Finding | None:
    bad: list[str] = []
    values: set[str] = set()
    for one in containers(spec):
        value = context(one).get("procMount")
        if value not in (None, "Default"):
            bad.append(one["name"])
            values.add(value)
    if not bad:
        return None
    return Finding("procMount", f"{named(bad)} must not set securityContext.procMount to {quoted(sorted(values))}")


def selinux(metadata: Object, spec: Object, minor: int) -> Finding | None:
    allowed = SELINUX_TYPES | {"container_engine_t"} if minor >= _ENGINE_TYPE_SINCE else SELINUX_TYPES
    pod_is_bad, bad = False, []
    types: set[str] = set()
    set_user = set_role = False
    for part in (spec, *containers(spec)):
        options = context(part).get("seLinuxOptions") or {}
        kind, user, role = options.get("type") or "", options.get("user"), options.get("role")
        if kind in allowed and not user and not role:
            continue
        if kind not in allowed:
            types.add(kind)
        set_user, set_role = set_user or bool(user), set_role or bool(role)
        if part is spec:
            pod_is_bad = True
        else:
            bad.append(part["name"])
    if not pod_is_bad and not bad:
        return None
    said = [f"{plural('type', 'types', len(types))} {quoted(sorted(types))}"] if types else []
    said += ["user may not be set"] if set_user else []
    said += ["role may not be set"] if set_role else []
    detail = f"{setters(pod_is_bad, bad)} set forbidden securityContext.seLinuxOptions: {'; '.join(said)}"
    return Finding("seLinuxOptions", detail)


def seccomp(metadata: Object, spec: Object, minor: int) -> Finding | None:
    pod_is_bad, bad = False, []
    values: set[str] = set()
    for part in (spec, *containers(spec)):
        profile = context(part).get("seccompProfile")
        if profile is None or profile.get("type") in SECCOMP_TYPES:
            continue
        values.add(profile.get("type", ""))
        if part is spec:
            pod_is_bad = True
        else:
            bad.append(part["name"])
    if not values:
        return None
    who = setters(pod_is_bad, bad)
    detail = f"{who} must not set securityContext.seccompProfile.type to {quoted(sorted(values))}"
    return Finding("seccompProfile", detail)


def sysctls(metadata: Object, spec: Object, minor: int) -> Finding | None:
    names = [one["name"] for one in context(spec).get("sysctls") or ()]
    bad = [name for name in names if name not in _SYSCTLS or minor < _SYSCTLS[name]]
    return Finding("forbidden sysctls", ", ".join(bad)) if bad else None


def windows_host_process(metadata: Object, spec: Object, minor: int) -> Finding | None:
    bad = [one["name"] for one in containers(spec) if _is_host_process(one)]
    who = setters(_is_host_process(spec), bad)
    return (
        Finding("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true") if who else None
    )


def _is_host_process(part: Object) -> bool:
    return bool((context(part).get("windowsOptions") or {}).get("hostProcess"))


CHECKS: tuple[Check, ...] = (
    app_armor, capabilities, host_namespaces, host_path_volumes, host_ports, host_probes, privileged, proc_mount,
    seccomp, selinux, sysctls, windows_host_process,
)  # fmt: skip
