"""RuntimeClass: a way to run Pods, with what it costs and where it can be done."""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.placement import tolerations_causes
from actors.apiserver.machinery.kinds.pod_warnings import DEPRECATED_LABELS
from actors.apiserver.machinery.kinds.resource_lists import amount_causes
from actors.apiserver.machinery.resource import Strategy


class RuntimeClassStrategy(Strategy):
    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        handler = obj.get("handler", "")
        causes = field.messages("handler", handler, names.dns_label(handler)) if handler else []
        for name, amount in ((obj.get("overhead") or {}).get("podFixed") or {}).items():
            causes += amount_causes(amount, f"overhead.podFixed[{name}]")
        scheduling = obj.get("scheduling") or {}
        for key, value in (scheduling.get("nodeSelector") or {}).items():
            at = "scheduling.nodeSelector"
            causes += field.messages(at, key, names.qualified_name(key))
            causes += field.messages(at, value, names.label_value(value))
        return causes + tolerations_causes(scheduling.get("tolerations"), "scheduling.tolerations")

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        chosen = (obj.get("scheduling") or {}).get("nodeSelector") or ()
        return [f"scheduling.nodeSelector: {DEPRECATED_LABELS[key]}" for key in chosen if key in DEPRECATED_LABELS]

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        after, before = obj.get("handler"), old.get("handler")
        return [] if after == before else [field.immutable("handler", after)]
