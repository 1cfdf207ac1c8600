"""Namespace, Node, Lease."""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.placement import taints_causes
from actors.apiserver.machinery.kinds.resource_lists import amount_causes
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.metadata import finalizer_causes
from actors.apiserver.machinery.resource import Strategy

NAME_LABEL = "kubernetes.io/metadata.name"


class NamespaceStrategy(WithStatus):
    """The finalizers in the spec belong to the finalize subresource."""

    tracks_generation = False

    def validate_name(self, name: str, prefix: bool = False) -> list[str]:
        return names.dns_label(name, prefix)

    def default(self, obj: dict[str, Any]) -> None:
        """The label with the name is always right, whatever the writer gave or took away."""
        if name := obj["metadata"].get("name"):
            obj["metadata"]["labels"] = {**(obj["metadata"].get("labels") or {}), NAME_LABEL: name}

    def initial_status(self, obj: dict[str, Any]) -> dict[str, Any]:
        return {"phase": "Active"}

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        super().prepare_for_create(obj)
        finalizers = (obj.get("spec") or {}).get("finalizers") or []
        if "kubernetes" not in finalizers:
            finalizers = [*finalizers, "kubernetes"]
        obj["spec"] = {"finalizers": finalizers}

    def prepare_for_update(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        super().prepare_for_update(obj, old)
        obj["spec"] = old.get("spec") or {}

    def prepare_for_subresource_update(self, subresource: str, obj: dict[str, Any], old: dict[str, Any]) -> None:
        assert subresource == "finalize", subresource
        obj["status"] = old.get("status") or {}
        obj.setdefault("spec", {})

    def validate_subresource_update(self, subresource: str, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return finalizer_causes(obj["spec"].get("finalizers"), "spec.finalizers")

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        return finalizer_causes((obj.get("spec") or {}).get("finalizers"), "spec.finalizers")

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        phase = obj["status"].get("phase")
        if not obj["metadata"].get("deletionTimestamp") and phase != "Active":
            detail = "may only be 'Active' if `deletionTimestamp` is empty"
            return [field.invalid("status.Phase", phase, detail)]
        if obj["metadata"].get("deletionTimestamp") and phase != "Terminating":
            detail = "may only be 'Terminating' if `deletionTimestamp` is not empty"
            return [field.invalid("status.Phase", phase, detail)]
        return []


class NodeStrategy(WithStatus):
    """A kubelet creates its Node with a status, which is kept."""

    tracks_generation = False
    metadata_with_status = ("annotations", "labels", "managedFields")

    def default(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        if spec.get("podCIDR") and not spec.get("podCIDRs"):
            spec["podCIDRs"] = [spec["podCIDR"]]
        elif spec.get("podCIDRs") and not spec.get("podCIDR"):
            spec["podCIDR"] = spec["podCIDRs"][0]
        status = obj.get("status")
        if status and status.get("capacity"):
            allocatable = status.setdefault("allocatable", {})
            for name, amount in status["capacity"].items():
                allocatable.setdefault(name, amount)

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        obj.setdefault("status", {})

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj.get("spec") or {}
        causes = taints_causes(spec.get("taints"), "spec.taints")
        blocks = spec.get("podCIDRs") or []
        for i, block in enumerate(blocks):
            causes += field.messages(f"spec.podCIDRs[{i}]", block, names.cidr(block))
        if blocks and spec.get("podCIDR") != blocks[0]:
            causes.append(field.invalid("spec.podCIDRs", blocks, "first value must match `podCIDR`"))
        families = [":" in block for block in blocks]
        if len(blocks) > 2 or len(set(families)) < len(families):
            detail = "may specify no more than one CIDR for each IP family"
            causes.append(field.invalid("spec.podCIDRs", blocks, detail))
        return causes + self._capacity_causes(obj.get("status") or {})

    def _capacity_causes(self, status: dict[str, Any]) -> list[Cause]:
        causes = []
        for kind in ("capacity", "allocatable"):
            for name, amount in (status.get(kind) or {}).items():
                causes += amount_causes(amount, f"status.{kind}[{name}]")
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        spec, before = obj.get("spec") or {}, old.get("spec") or {}
        causes = []
        for name, shown in (("podCIDRs", "podCIDR"), ("providerID", "providerID")):
            if before.get(name) and spec.get(name) != before[name]:
                detail = f'node updates may not change {shown} except from "" to valid'
                causes.append(field.forbidden(f"spec.{name}", detail))
        return causes

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return self._capacity_causes(obj.get("status") or {})


class LeaseStrategy(Strategy):
    allow_create_on_update = True
    allow_unconditional_update = False

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj.get("spec") or {}
        causes = []
        if spec.get("leaseDurationSeconds", 1) <= 0:
            causes.append(
                field.invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], "must be greater than 0")
            )
        causes += field.non_negative("spec.leaseTransitions", spec.get("leaseTransitions"))
        return causes
