"""Pod: defaults, quality of service, what may change after creation, graceful deletion, binding."""

import copy
from typing import Any

from actors.api import errors, names
from actors.api.errors import Cause
from actors.api.qos import qos_class
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.placement import merge_label_keys, tolerations_causes
from actors.apiserver.machinery.kinds.pod_defaults import DEFAULT_GRACE_PERIOD_S, default_container, default_pod
from actors.apiserver.machinery.kinds.pod_resize import resize_causes
from actors.apiserver.machinery.kinds.pod_spec import pod_spec_causes
from actors.apiserver.machinery.kinds.pod_warnings import name_warnings, pod_warnings
from actors.apiserver.machinery.kinds.with_status import WithStatus

_FINISHED = ("Succeeded", "Failed")
_UPDATE_DETAIL = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


class PodStrategy(WithStatus):
    metadata_with_status = ("annotations", "labels", "managedFields")

    def default(self, obj: dict[str, Any]) -> None:
        default_pod(obj)

    def settle(self, obj: dict[str, Any]) -> None:
        merge_label_keys(obj["spec"], obj["metadata"].get("labels") or {})

    def initial_status(self, obj: dict[str, Any]) -> dict[str, Any]:
        return {"phase": "Pending", "qosClass": qos_class(obj["spec"])}

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        return pod_spec_causes(obj["spec"])

    def validate_create(self, obj: dict[str, Any]) -> list[Cause]:
        spec, causes = obj["spec"], []
        if spec.get("ephemeralContainers"):
            causes.append(field.forbidden("spec.ephemeralContainers", "cannot be set on create"))
        if spec.get("nodeName") and spec.get("schedulingGates"):
            detail = "cannot be set until all schedulingGates have been cleared"
            causes.append(field.forbidden("spec.nodeName", detail))
        mirror = "kubernetes.io/config.mirror"
        if mirror in (obj["metadata"].get("annotations") or {}) and not spec.get("nodeName"):
            detail = "must set spec.nodeName if mirror pod annotation is set"
            causes.append(field.invalid(f"metadata.annotations[{mirror}]", "", detail))
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        spec, before = obj["spec"], old["spec"]
        if spec == before:
            return []
        causes = _deadline_causes(spec, before)
        causes += _toleration_causes(spec.get("tolerations") or [], before.get("tolerations") or [])
        causes += _count_causes(spec, before)
        if not causes and _frozen(spec, before) != before:
            causes.append(field.forbidden("spec", _UPDATE_DETAIL + _difference(_frozen(spec, before), before)))
        return causes

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        metadata = obj["metadata"]
        return name_warnings(metadata.get("name", ""), "the Pod's hostname") + pod_warnings(obj["spec"], metadata)

    def update_warnings(self, obj: dict[str, Any], old: dict[str, Any]) -> list[str]:
        """People seldom write pods that are there already."""
        return []

    def default_grace_period_s(self, obj: dict[str, Any]) -> int:
        """Return 0 for a pod that no kubelet runs: nothing is there to be graceful to."""
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        if not spec.get("nodeName") or status.get("phase") in _FINISHED:
            return 0
        period = spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_PERIOD_S)
        return period if period >= 0 else 1

    def deletes_at_once(self, obj: dict[str, Any]) -> bool:
        return self.default_grace_period_s(obj) == 0

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        status, before = obj["status"], old.get("status") or {}
        nominated, causes = status.get("nominatedNodeName", ""), []
        if nominated and nominated != before.get("nominatedNodeName"):
            causes += field.messages("status.nominatedNodeName", nominated, names.dns_subdomain(nominated))
        for name in ("podIPs", "hostIPs"):
            addresses = [one.get("ip", "") for one in status.get(name) or ()]
            if addresses != [one.get("ip", "") for one in before.get(name) or ()]:
                causes += _address_causes(addresses, f"status.{name}")
        return causes

    def prepare_for_subresource_update(self, subresource: str, obj: dict[str, Any], old: dict[str, Any]) -> None:
        """A write to ephemeralcontainers or resize changes only those parts of the spec."""
        given, spec = obj.get("spec") or {}, copy.deepcopy(old["spec"])
        if subresource == "ephemeralcontainers":
            spec.pop("ephemeralContainers", None)
            if containers := given.get("ephemeralContainers"):
                spec["ephemeralContainers"] = containers
                for container in containers:
                    default_container(container)
        else:
            assert subresource == "resize", subresource
            for kind in ("containers", "initContainers"):
                for container, wanted in zip(spec.get(kind) or (), given.get(kind) or (), strict=False):
                    container["resources"] = wanted.get("resources") or {}
            if spec.get("resources") or given.get("resources"):
                spec["resources"] = given.get("resources") or {}
        obj["spec"], obj["status"] = spec, old.get("status") or {}
        if spec != old["spec"]:
            obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def validate_subresource_update(self, subresource: str, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        causes = pod_spec_causes(obj["spec"])
        if subresource == "ephemeralcontainers":
            before, after = (spec.get("ephemeralContainers") or [] for spec in (old["spec"], obj["spec"]))
            if after[: len(before)] != before:
                detail = "existing ephemeral containers may not be changed or removed\n"
                causes.append(field.forbidden("spec.ephemeralContainers", detail))
        elif resized := resize_causes(obj["spec"], old["spec"]):
            causes += resized
        elif qos_class(obj["spec"]) != qos_class(old["spec"]):
            detail = "Pod QOS Class may not change as a result of resizing"
            causes.append(field.invalid("spec", qos_class(obj["spec"]), detail))
        return causes


def _address_causes(addresses: list[str], path: str) -> list[Cause]:
    """Return what is wrong with the addresses of a pod or its node: one of each family at the most."""
    causes: list[Cause] = []
    for i, address in enumerate(addresses):
        causes += field.messages(f"{path}[{i}]", address, names.ip_address(address))
    if not causes and len({":" in address for address in addresses}) < len(addresses):
        causes.append(field.invalid(path, addresses, "may specify no more than one IP for each IP family"))
    return causes


def _deadline_causes(spec: dict, before: dict) -> list[Cause]:
    after, was, path = (
        spec.get("activeDeadlineSeconds"),
        before.get("activeDeadlineSeconds"),
        "spec.activeDeadlineSeconds",
    )
    if was is not None and after is None:
        return [field.invalid(path, after, "must not update from a positive integer to nil value")]
    if was is not None and after > was:
        return [field.invalid(path, after, f"must be less than or equal to previous value {was}")]
    return []


def _toleration_causes(after: list[dict], before: list[dict]) -> list[Cause]:
    """Every old toleration must still be there; only its tolerationSeconds may differ."""

    def identity(toleration: dict) -> frozenset:
        return frozenset((key, value) for key, value in toleration.items() if key != "tolerationSeconds")

    kept = {identity(toleration) for toleration in after}
    if any(identity(toleration) not in kept for toleration in before):
        return [
            field.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
        ]
    return tolerations_causes(after, "spec.tolerations")


def _count_causes(spec: dict, before: dict) -> list[Cause]:
    causes = []
    for kind in ("containers", "initContainers"):
        if len(spec.get(kind) or ()) != len(before.get(kind) or ()):
            causes.append(field.forbidden(f"spec.{kind}", "pod updates may not add or remove containers"))
    return causes


def _frozen(spec: dict, before: dict) -> dict:
    """Return the new spec with all that may change put back: what is left must equal the old spec."""
    frozen = dict(spec)
    for name in ("activeDeadlineSeconds", "tolerations"):
        _put_back(frozen, before, name)
    if before.get("terminationGracePeriodSeconds", 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        _put_back(frozen, before, "terminationGracePeriodSeconds")
    for kind in ("containers", "initContainers"):
        if kind in spec and kind in before:
            frozen[kind] = [
                {**container, "image": was.get("image", "")}
                for container, was in zip(spec[kind], before[kind], strict=True)
            ]
    if before.get("schedulingGates"):
        _thaw_gated(frozen, before)
    return frozen


def _thaw_gated(frozen: dict, before: dict) -> None:
    """A pod that waits at its gates may lose gates, and may be told more narrowly where to run."""
    gates = {gate.get("name") for gate in frozen.get("schedulingGates") or ()}
    if gates <= {gate.get("name") for gate in before["schedulingGates"]}:
        _put_back(frozen, before, "schedulingGates")
    selector = frozen.get("nodeSelector") or {}
    if (before.get("nodeSelector") or {}).items() <= selector.items():
        _put_back(frozen, before, "nodeSelector")
    if not (before.get("affinity") or {}).get("nodeAffinity"):
        _put_back(frozen, before, "affinity")


def _put_back(frozen: dict, before: dict, name: str) -> None:
    if name in before:
        frozen[name] = before[name]
    else:
        frozen.pop(name, None)


def _difference(after: dict, before: dict) -> str:
    """Return which fields of the spec differ, for the message."""
    changed = [name for name in sorted({*after, *before}) if after.get(name) != before.get(name)]
    return "; changed: " + ", ".join(f"spec.{name}" for name in changed)


def bind(pod: dict[str, Any], binding: dict[str, Any], now: str) -> dict[str, Any]:
    """Return the pod bound to the node that a Binding names; ApiError when it cannot be.

    Annotations and labels of the Binding are added, and the condition PodScheduled becomes true at `now`.
    """
    name, target = pod["metadata"]["name"], binding.get("target") or {}
    causes = []
    if target.get("kind") not in (None, "", "Node"):
        causes.append(field.not_supported("target.kind", target["kind"], ("Node", "<empty>")))
    if not target.get("name"):
        causes.append(field.required("target.name"))
    if causes:
        raise errors.invalid("Binding", name, causes)
    why = ""
    if pod["metadata"].get("deletionTimestamp"):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
    elif pod["spec"].get("nodeName"):
        why = f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
    elif pod["spec"].get("schedulingGates"):
        why = f"pod {name} has non-empty .spec.schedulingGates"
    wanted_uid = (binding.get("metadata") or {}).get("uid")
    if wanted_uid and wanted_uid != pod["metadata"].get("uid"):
        why = (
            f"Precondition failed: UID in precondition: {wanted_uid}, UID in object meta: {pod['metadata'].get('uid')}"
        )
    if why:
        raise errors.conflict("pods/binding", name, why)
    return _bound(pod, binding, now)


def _bound(pod: dict[str, Any], binding: dict[str, Any], now: str) -> dict[str, Any]:
    metadata = dict(pod["metadata"])
    for kind in ("annotations", "labels"):
        if added := (binding.get("metadata") or {}).get(kind):
            metadata[kind] = {**(metadata.get(kind) or {}), **added}
    status = dict(pod.get("status") or {})
    conditions = [c for c in status.get("conditions") or () if c.get("type") != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": now}
    generation = metadata.get("generation")
    if generation is not None:
        scheduled["observedGeneration"] = generation
    status["conditions"] = [*conditions, scheduled]
    return {
        **pod, "metadata": metadata, "spec": {**pod["spec"], "nodeName": binding["target"]["name"]}, "status": status
    }  # fmt: skip
