"""The effective security context of a container: its own over its pod's.

Pure. Neighbours: `container_spec` and `sandbox_spec` put the result into what the runtime gets.
"""

from pathlib import Path
from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet.runtime import ContainerSecurity, Image, Seccomp
from actors.kubelet.surroundings.downward import ConfigError


def container_security(pod: pods.Pod, container: pods.ContainerDict, seccomp_root: Path) -> ContainerSecurity:
    """Return what a container runs as. `seccomp_root` is the folder of Localhost profiles."""
    whole, own = _of(pod["spec"]), _of(container)
    capabilities = own.get("capabilities") or {}
    unmasked = own.get("procMount") == "Unmasked"
    return ContainerSecurity(
        run_as_user=_over("runAsUser", own, whole),
        run_as_group=_over("runAsGroup", own, whole),
        supplemental_groups=_groups(whole),
        privileged=bool(own.get("privileged")),
        readonly_rootfs=bool(own.get("readOnlyRootFilesystem")),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False and not own.get("privileged"),
        add_capabilities=_capabilities(capabilities.get("add")),
        drop_capabilities=_capabilities(capabilities.get("drop")),
        seccomp=_profile(_over("seccompProfile", own, whole), seccomp_root),
        apparmor=_profile(_over("appArmorProfile", own, whole), None),
        masked_paths=() if unmasked else None,
        readonly_paths=() if unmasked else None,
    )


def sandbox_security(pod: pods.Pod, seccomp_root: Path) -> ContainerSecurity:
    """Return what the pod's sandbox runs as: privileged if one of its containers is."""
    whole = _of(pod["spec"])
    return ContainerSecurity(
        run_as_user=whole.get("runAsUser"),
        run_as_group=whole.get("runAsGroup"),
        supplemental_groups=_groups(whole),
        privileged=any(_of(item).get("privileged") for item in pods.all_containers(pod)),
        seccomp=_profile(whole.get("seccompProfile"), seccomp_root),
    )


def check_non_root(pod: pods.Pod, container: pods.ContainerDict, image: Image) -> None:
    """Refuse a container that must not run as root, and would."""
    own, whole = _of(container), _of(pod["spec"])
    if not _over("runAsNonRoot", own, whole):
        return
    wanted = _over("runAsUser", own, whole)
    if wanted is not None:
        if wanted == 0:
            raise ConfigError("container's runAsUser breaks non-root policy")
        return
    user = image.user.partition(":")[0]
    if user in ("", "0", "root"):
        raise ConfigError("container has runAsNonRoot and image will run as root")
    if not user.isdigit():
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root"
        )


def _of(owner: dict[str, Any]) -> dict[str, Any]:
    return owner.get("securityContext") or {}


def _over(field: str, own: dict[str, Any], whole: dict[str, Any]) -> Any:
    return own[field] if own.get(field) is not None else whole.get(field)


def _groups(whole: dict[str, Any]) -> tuple[int, ...]:
    groups = list(whole.get("supplementalGroups") or ())
    if whole.get("fsGroup") is not None:
        groups.append(whole["fsGroup"])
    return tuple(groups)


def _capabilities(names: list[str] | None) -> tuple[str, ...]:
    return tuple(name.upper().removeprefix("CAP_") for name in names or ())


def _profile(profile: dict[str, Any] | None, root: Path | None) -> Seccomp | None:
    if not profile:
        return None
    local = profile.get("localhostProfile") or ""
    if profile["type"] != "Localhost":
        return Seccomp(profile["type"])
    return Seccomp("Localhost", str(root / local) if root is not None else local)
