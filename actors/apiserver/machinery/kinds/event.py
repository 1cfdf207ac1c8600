"""Events, in their two forms. core/v1 is what is stored; events.k8s.io/v1 is converted from and to it."""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.resource import Conversion, Strategy

MAX_NOTE_BYTES = 1024
MAX_FIELD_CHARS = 128  # of reason, action and reportingInstance

_TYPES = ("Normal", "Warning")
_RENAMED = {  # the new form's name: the core form's
    "regarding": "involvedObject", "note": "message", "reportingController": "reportingComponent",
    "deprecatedSource": "source", "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp", "deprecatedCount": "count",
}  # fmt: skip
_OF_THE_FACT = (  # without the note: Kubernetes' conformance has a new one patched in
    "action", "deprecatedCount", "deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedSource", "eventTime",
    "reason", "regarding", "related", "reportingController", "reportingInstance", "type",
)  # fmt: skip
_TO_NEW = {core: new for new, core in _RENAMED.items()}
_NOT_OMITTED = {"reportingComponent": "", "reportingInstance": ""}  # Go writes them even when empty


def _to_stored(event: dict[str, Any]) -> dict[str, Any]:
    core = {_RENAMED.get(name, name): value for name, value in event.items()}
    return {**core, "apiVersion": "v1"}


def _from_stored(event: dict[str, Any]) -> dict[str, Any]:
    new = {_TO_NEW.get(name, name): value for name, value in event.items()}
    return {**new, "apiVersion": "events.k8s.io/v1"}


AS_CORE = Conversion("", "v1", _to_stored, _from_stored)


def _namespace_causes(obj: dict[str, Any], regarding: str) -> list[Cause]:
    namespace, other = obj["metadata"].get("namespace", ""), (obj.get(regarding) or {}).get("namespace", "")
    if namespace == other or (not other and namespace == "default"):
        return []
    return [field.invalid(f"{regarding}.namespace", other, "does not match event.namespace")]


class EventStrategy(Strategy):
    """core/v1. Old clients are held to little; a client that sets eventTime to all that the new form demands."""

    allow_create_on_update = True
    regarding, controller, note = "involvedObject", "reportingComponent", "message"

    def default(self, obj: dict[str, Any]) -> None:
        for name, value in _NOT_OMITTED.items():
            obj.setdefault(name, value)

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        causes = _namespace_causes(obj, self.regarding)
        if obj.get("eventTime") is None and self.note == "message":
            return causes
        return causes + self._strict_causes(obj)

    def _strict_causes(self, obj: dict[str, Any]) -> list[Cause]:
        causes = [] if obj.get("eventTime") else [field.required("eventTime")]
        controller = obj.get(self.controller, "")
        if not controller:
            causes.append(field.required(self.controller))
        else:
            causes += field.messages(self.controller, controller, names.qualified_name(controller))
        for name in ("reportingInstance", "action", "reason"):
            value = obj.get(name, "")
            if not value:
                causes.append(field.required(name))
            elif len(value) > MAX_FIELD_CHARS:
                causes.append(field.invalid(name, value, f"can have at most {MAX_FIELD_CHARS} characters"))
        causes += field.one_of("type", obj.get("type", ""), _TYPES)
        if len(obj.get(self.note, "").encode()) > MAX_NOTE_BYTES:
            causes.append(field.invalid(self.note, "", f"can have at most {MAX_NOTE_BYTES} bytes"))
        return causes


class NewEventStrategy(EventStrategy):
    """events.k8s.io/v1."""

    regarding, controller, note = "regarding", "reportingController", "note"

    def default(self, obj: dict[str, Any]) -> None:
        pass

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        """What happened does not change; only how often."""
        return [field.immutable(name, obj.get(name)) for name in _OF_THE_FACT if obj.get(name) != old.get(name)]
