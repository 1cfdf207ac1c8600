"""kubectl's client-side apply and the annotation in which it keeps what it applied last.

Who changes from `kubectl apply` to `kubectl apply --server-side` owns the fields twice: as updater of before, and as
applier of now. So the first apply by "kubectl" takes, without being forced, every field that the annotation says the
client-side apply has set and that is still as it was set. As long as the annotation is there, it is kept up to date, so
that going back works too. Another field manager is left alone.

Neighbours: `request` wraps an apply in this.
"""

from typing import Any

import orjson

from actors.apiserver.machinery.apply import field_set, tracking
from actors.apiserver.machinery.apply.field_set import EMPTY, Fields
from actors.apiserver.machinery.apply.types import Granular
from actors.apiserver.machinery.apply.values import fields_of
from actors.apiserver.machinery.metadata import annotation_causes

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"


def may_be_taken(of: Granular, live: dict[str, Any]) -> Fields:
    """Return the fields that the last client-side apply set and that nobody has changed since."""
    text = (live["metadata"].get("annotations") or {}).get(ANNOTATION)
    if not text:
        return EMPTY
    try:
        last = orjson.loads(text)
    except orjson.JSONDecodeError:
        return EMPTY  # the annotation is the client's, and a damaged one says nothing
    if type(last) is not dict or last.get("apiVersion") != live["apiVersion"] or type(last.get("metadata")) is not dict:
        return EMPTY
    taken, removed = of.compare(last, live)
    changed = field_set.union(taken or EMPTY, removed or EMPTY)
    return field_set.difference(fields_of(of, last), changed)


def renew(obj: dict[str, Any], config: dict[str, Any]) -> None:
    """Write the configuration into the object's annotation, if it has one; drop an annotation that got too large."""
    annotations = obj["metadata"].get("annotations") or {}
    if not annotations.get(ANNOTATION):
        return
    metadata = {name: part for name, part in config["metadata"].items() if name != tracking.MANAGED_FIELDS}
    if ANNOTATION in (metadata.get("annotations") or {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != ANNOTATION}
    text = orjson.dumps({**config, "metadata": metadata}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    renewed = {**annotations, ANNOTATION: text}
    if annotation_causes(renewed, ""):
        del renewed[ANNOTATION]
    obj["metadata"]["annotations"] = renewed
