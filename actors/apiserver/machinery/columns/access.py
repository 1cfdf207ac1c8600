"""Certificate signing requests, flow schemas, priority levels."""

from actors.apiserver.machinery.columns.cells import AGE, NAME, NONE, UNSET, computed, number, read, text
from actors.apiserver.machinery.durations import human_duration
from actors.apiserver.machinery.resource import Column


def _requested_duration(obj: dict) -> str:
    seconds = read(obj, "spec.expirationSeconds")
    return NONE if seconds is None else human_duration(seconds)


def _condition(obj: dict) -> str:
    """Denied, Approved, Failed and Issued, as far as they apply; Pending before."""
    types = [c.get("type", "") for c in read(obj, "status.conditions", [])]
    shown = ["Denied"] if "Denied" in types else ["Approved"] if "Approved" in types else ["Pending"]
    if "Failed" in types:
        shown.append("Failed")
    if read(obj, "status.certificate"):
        shown.append("Issued")
    return ",".join(shown)


CERTIFICATE_SIGNING_REQUEST: tuple[Column, ...] = (
    NAME,
    AGE,
    text("SignerName", "spec.signerName"),
    text("Requestor", "spec.username", ""),
    computed("RequestedDuration", _requested_duration),
    computed("Condition", _condition),
)


def _missing_level(obj: dict) -> str:
    found = [c.get("status", "?") for c in read(obj, "status.conditions", []) if c.get("type") == "Dangling"]
    return found[0] if found else "?"


FLOW_SCHEMA: tuple[Column, ...] = (
    NAME,
    text("PriorityLevel", "spec.priorityLevelConfiguration.name"),
    number("MatchingPrecedence", "spec.matchingPrecedence"),
    text("DistinguisherMethod", "spec.distinguisherMethod.type"),
    AGE,
    computed("MissingPL", _missing_level),
)


def _of_limited(name: str, path: str) -> Column:
    def value(obj: dict) -> str:
        found = read(obj, f"spec.limited.{path}")
        return NONE if found is None else str(found)

    return computed(name, value)


PRIORITY_LEVEL: tuple[Column, ...] = (
    NAME,
    text("Type", "spec.type", UNSET),
    _of_limited("NominalConcurrencyShares", "nominalConcurrencyShares"),
    _of_limited("Queues", "limitResponse.queuing.queues"),
    _of_limited("HandSize", "limitResponse.queuing.handSize"),
    _of_limited("QueueLengthLimit", "limitResponse.queuing.queueLengthLimit"),
    AGE,
)
