"""The kubelet's specs as CRI messages. Pure; `replies` is the way back."""

import math
from collections.abc import Sequence

from actors.kubelet.containerd.proto import cri_pb2 as cri
from actors.kubelet.runtime import (
    ContainerSecurity,
    ContainerSpec,
    ImageAuth,
    Mount,
    NamespaceMode,
    PortMapping,
    Propagation,
    Resources,
    SandboxSpec,
    Seccomp,
)

_NAMESPACE = {
    NamespaceMode.POD: cri.POD,
    NamespaceMode.CONTAINER: cri.CONTAINER,
    NamespaceMode.NODE: cri.NODE,
}
_PROPAGATION = {
    Propagation.PRIVATE: cri.PROPAGATION_PRIVATE,
    Propagation.HOST_TO_CONTAINER: cri.PROPAGATION_HOST_TO_CONTAINER,
    Propagation.BIDIRECTIONAL: cri.PROPAGATION_BIDIRECTIONAL,
}
_PROFILE = {
    "RuntimeDefault": cri.SecurityProfile.RuntimeDefault,
    "Unconfined": cri.SecurityProfile.Unconfined,
    "Localhost": cri.SecurityProfile.Localhost,
}
_PROTOCOL = {"TCP": cri.TCP, "UDP": cri.UDP, "SCTP": cri.SCTP}

# The paths of /proc and /sys that Kubernetes hides from, or makes read-only in, a container with procMount Default.
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

REQUESTED_IMAGE = "io.kubus.image"  # on the image spec: the reference that the pod asked for, kept beside the id


def sandbox_config(spec: SandboxSpec, cgroup_parent: str, default_seccomp: Seccomp) -> cri.PodSandboxConfig:
    """Return the config of a sandbox; containers of it are created with the same one."""
    config = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(
            name=spec.pod_name, uid=spec.pod_uid, namespace=spec.pod_namespace, attempt=spec.attempt
        ),
        hostname=spec.hostname,
        log_directory=spec.log_directory,
        labels=dict(spec.labels),
        annotations=dict(spec.annotations),
        linux=cri.LinuxPodSandboxConfig(
            cgroup_parent=cgroup_parent,
            security_context=_sandbox_security(spec, default_seccomp),
            sysctls=dict(spec.sysctls),
        ),
    )
    if spec.dns is not None:
        config.dns_config.servers.extend(spec.dns.servers)
        config.dns_config.searches.extend(spec.dns.searches)
        config.dns_config.options.extend(spec.dns.options)
    for mapping in spec.port_mappings:
        config.port_mappings.add(
            protocol=_PROTOCOL[mapping.protocol],
            container_port=mapping.container_port,
            host_port=mapping.host_port,
            host_ip=mapping.host_ip,
        )
    return config


def port_mappings(config: cri.PodSandboxConfig) -> list[PortMapping]:
    """Return the port mappings that a sandbox was made with."""
    names = {number: name for name, number in _PROTOCOL.items()}
    return [
        PortMapping(names[item.protocol], item.container_port, item.host_port, item.host_ip)
        for item in config.port_mappings
    ]


def _namespaces(network: NamespaceMode, pid: NamespaceMode, ipc: NamespaceMode) -> cri.NamespaceOption:
    return cri.NamespaceOption(network=_NAMESPACE[network], pid=_NAMESPACE[pid], ipc=_NAMESPACE[ipc])


def _namespaces_of(spec: ContainerSpec, sandbox: cri.PodSandboxConfig) -> cri.NamespaceOption:
    """Return a container's namespaces: those of its sandbox, except that it may see another container's processes."""
    options = sandbox.linux.security_context.namespace_options
    if not spec.target_id or options.pid != cri.CONTAINER:
        return options
    return cri.NamespaceOption(network=options.network, ipc=options.ipc, pid=cri.TARGET, target_id=spec.target_id)


def _sandbox_security(spec: SandboxSpec, default_seccomp: Seccomp) -> cri.LinuxSandboxSecurityContext:
    security = spec.security
    context = cri.LinuxSandboxSecurityContext(
        namespace_options=_namespaces(spec.network, spec.pid, spec.ipc),
        readonly_rootfs=security.readonly_rootfs,
        supplemental_groups=list(security.supplemental_groups),
        privileged=security.privileged,
        seccomp=_profile(security.seccomp or default_seccomp),
    )
    if security.run_as_user is not None:
        context.run_as_user.value = security.run_as_user
        if security.run_as_group is not None:
            context.run_as_group.value = security.run_as_group
    return context


def _profile(profile: Seccomp | None) -> cri.SecurityProfile:
    """Return a profile; none is Unconfined, the kubelet's default."""
    if profile is None:
        return cri.SecurityProfile(profile_type=cri.SecurityProfile.Unconfined)
    return cri.SecurityProfile(profile_type=_PROFILE[profile.kind], localhost_ref=profile.path)


def container_config(spec: ContainerSpec, sandbox: cri.PodSandboxConfig) -> cri.ContainerConfig:
    """Return the config of a container in a sandbox, whose namespaces it takes over."""
    config = cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=spec.name, attempt=spec.attempt),
        image=cri.ImageSpec(image=spec.image_id or spec.image, annotations={REQUESTED_IMAGE: spec.image}),
        command=list(spec.command),
        args=list(spec.args),
        working_dir=spec.working_dir,
        labels=dict(spec.labels),
        annotations=dict(spec.annotations),
        log_path=spec.log_path,
        stdin=spec.stdin,
        stdin_once=spec.stdin_once,
        tty=spec.tty,
        linux=cri.LinuxContainerConfig(
            resources=linux_resources(spec.resources),
            security_context=_container_security(spec.security, _namespaces_of(spec, sandbox)),
        ),
    )
    config.envs.extend(cri.KeyValue(key=key, value=value) for key, value in spec.env)
    config.mounts.extend(_mount(mount) for mount in spec.mounts)
    config.devices.extend(
        cri.Device(host_path=item.host_path, container_path=item.container_path, permissions=item.permissions)
        for item in spec.block_devices
    )
    config.CDI_devices.extend(cri.CDIDevice(name=name) for name in spec.devices)
    return config


def _mount(mount: Mount) -> cri.Mount:
    return cri.Mount(
        container_path=mount.container_path,
        host_path=mount.host_path,
        readonly=mount.readonly,
        propagation=_PROPAGATION[mount.propagation],
    )


def _container_security(
    security: ContainerSecurity, namespaces: cri.NamespaceOption
) -> cri.LinuxContainerSecurityContext:
    context = cri.LinuxContainerSecurityContext(
        capabilities=cri.Capability(
            add_capabilities=list(security.add_capabilities), drop_capabilities=list(security.drop_capabilities)
        ),
        privileged=security.privileged,
        namespace_options=namespaces,
        readonly_rootfs=security.readonly_rootfs,
        supplemental_groups=list(security.supplemental_groups),
        no_new_privs=security.no_new_privileges,
        masked_paths=_paths(security.masked_paths, MASKED_PATHS, security.privileged),
        readonly_paths=_paths(security.readonly_paths, READONLY_PATHS, security.privileged),
        seccomp=_profile(security.seccomp),
    )
    if security.apparmor is not None:
        context.apparmor.CopyFrom(_profile(security.apparmor))
    if security.run_as_user is not None:
        context.run_as_user.value = security.run_as_user
    if security.run_as_group is not None:
        context.run_as_group.value = security.run_as_group
    return context


def _paths(wanted: Sequence[str] | None, default: Sequence[str], privileged: bool) -> list[str]:
    if wanted is not None:
        return list(wanted)
    return [] if privileged else list(default)


def linux_resources(resources: Resources) -> cri.LinuxContainerResources:
    """Return a container's cgroup parameters. Swap is held at the memory limit: a container gets none of its own."""
    message = cri.LinuxContainerResources(
        cpu_shares=resources.cpu_shares,
        cpu_quota=resources.cpu_quota_us,
        cpu_period=resources.cpu_period_us if resources.cpu_quota_us else 0,
        memory_limit_in_bytes=resources.memory_limit_bytes,
        memory_swap_limit_in_bytes=resources.memory_limit_bytes,
        oom_score_adj=resources.oom_score_adj,
    )
    message.hugepage_limits.extend(
        cri.HugepageLimit(page_size=size, limit=limit) for size, limit in sorted(resources.hugepage_limits.items())
    )
    return message


def auth_config(auth: ImageAuth) -> cri.AuthConfig:
    return cri.AuthConfig(
        username=auth.username,
        password=auth.password,
        auth=auth.auth,
        server_address=auth.server_address,
        identity_token=auth.identity_token,
        registry_token=auth.registry_token,
    )


def whole_seconds(duration_s: float) -> int:
    """Return the CRI's whole seconds for a duration, rounded up: a grace of 0.5 s must not become none."""
    return max(0, math.ceil(duration_s))
