"""DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice: devices that pods may ask for (KEP-4381).

No driver runs here: slices are kept for those that users bring. Neighbours: `device_claims`, `device_slices` and
`device_status` say what is wrong with each.
"""

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.csi import fixed
from actors.apiserver.machinery.kinds.device_claims import claim_causes, default_claim
from actors.apiserver.machinery.kinds.device_parts import (
    MAX_CONFIGURATIONS,
    Object,
    configuration_causes,
    selector_causes,
)
from actors.apiserver.machinery.kinds.device_slices import slice_causes
from actors.apiserver.machinery.kinds.device_status import claim_status_causes
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.resource import Strategy


def _is_extended(name: str) -> bool:
    """Is it the name of a resource that is not Kubernetes' own?"""
    if "/" not in name or "kubernetes.io/" in name or name.startswith("requests."):
        return False
    return not names.qualified_name(f"requests.{name}")


class DeviceClassStrategy(WithStatus):
    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {})

    def prepare_for_create(self, obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    def validate(self, obj: Object) -> list[Cause]:
        spec = obj["spec"]
        causes = selector_causes(spec.get("selectors") or [], "spec.selectors")
        causes += field.bounded("spec.config", spec.get("config") or [], MAX_CONFIGURATIONS, configuration_causes)
        name = spec.get("extendedResourceName")
        if name is not None and not _is_extended(name):
            detail = "must be a valid extended resource name"
            causes.append(field.invalid("spec.extendedResourceName", name, detail))
        return causes


class ResourceClaimStrategy(WithStatus):
    tracks_generation = False
    ratchets = True

    def default(self, obj: Object) -> None:
        default_claim(obj.setdefault("spec", {}))

    def validate(self, obj: Object) -> list[Cause]:
        return claim_causes(obj["spec"], "spec")

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        return fixed(obj, old, ("spec",))

    def validate_status_update(self, obj: Object, old: Object) -> list[Cause]:
        return claim_status_causes(obj, old)


class ResourceClaimTemplateStrategy(Strategy):
    ratchets = True

    def default(self, obj: Object) -> None:
        default_claim(obj.setdefault("spec", {}).setdefault("spec", {}))

    def validate(self, obj: Object) -> list[Cause]:
        return claim_causes(obj["spec"]["spec"], "spec.spec")

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        return fixed(obj, old, ("spec",))


class ResourceSliceStrategy(WithStatus):
    def default(self, obj: Object) -> None:
        obj.setdefault("spec", {}).setdefault("pool", {}).setdefault("generation", 0)

    def prepare_for_create(self, obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    def validate(self, obj: Object) -> list[Cause]:
        return slice_causes(obj["spec"])

    def validate_update(self, obj: Object, old: Object) -> list[Cause]:
        causes = fixed(obj["spec"], old["spec"], ("driver", "nodeName"), "spec.")
        return causes + fixed(obj["spec"].get("pool") or {}, old["spec"].get("pool") or {}, ("name",), "spec.pool.")
