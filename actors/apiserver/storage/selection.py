"""Which objects a list or a watch wants: a label selector and a field selector, as the query gives them.

Neighbours: `channel` and `verbs.list` ask about entries; `actors.api.selectors` parses.
"""

from collections.abc import Mapping

from actors.api import errors, selectors
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.storage.entry import Entry, Fields

COMMON_FIELDS = ("metadata.name", "metadata.namespace")


class Selection:
    """`text` is the same for equal selections; `pins` are the fields that must have one value."""

    __slots__ = ("_fields", "_labels", "_source", "is_everything", "pins", "text")

    def __init__(
        self,
        text: str,
        labels: selectors.Selector,
        fields: tuple[selectors.FieldRequirement, ...],
        source: Fields,
    ) -> None:
        self.text = text
        self._labels = labels
        self._fields = fields
        self._source = source
        self.pins: Mapping[str, str] = {one.field: one.value for one in fields if one.equal}
        self.is_everything = labels.is_empty and not fields

    def matches(self, entry: Entry) -> bool:
        if self.is_everything:
            return True
        labels, fields = entry.traits(self._source)
        for required in self._fields:
            if (fields[required.field] == required.value) is not required.equal:
                return False
        return self._labels.is_empty or self._labels.matches(labels)


EVERYTHING = Selection("", selectors.EVERYTHING, (), {})


def parse(resource: Resource, query: Mapping[str, str], source: Fields) -> Selection:
    """Read labelSelector and fieldSelector of a query; `source` are the fields of the resource's cache.

    Raises ApiError BadRequest for a selector that is none, and for a field that the resource cannot be selected by.
    """
    label_text, field_text = query.get("labelSelector", ""), query.get("fieldSelector", "")
    if not label_text and not field_text:
        return EVERYTHING
    try:
        labels = selectors.parse_label_selector(label_text)
        fields = selectors.parse_field_selector(field_text)
    except selectors.SelectorError as error:
        raise errors.bad_request(str(error)) from error
    for required in fields:
        if required.field not in resource.selectable_fields and required.field not in COMMON_FIELDS:
            raise errors.bad_request(_unknown_field(resource, required.field))
    return Selection(f"{label_text}\n{field_text}", labels, fields, source)


def _unknown_field(resource: Resource, field: str) -> str:
    """Say that a field selects nothing here; clients add what they asked for."""
    if resource.selectable_fields or resource.custom is not None:
        return f"field label not supported: {field}"
    known = ", ".join(f'"{name}"' for name in COMMON_FIELDS)
    return f'"{field}" is not a known field selector: only {known}'


def pinned_name(field_text: str) -> str:
    """The name that a field selector asks for, for the authorizer; empty when it asks for none or is none."""
    return pinned_value(field_text, "metadata.name")


def pinned_value(field_text: str, field: str) -> str:
    """The one value of a field that a field selector asks for; empty when it asks for none or is none."""
    if field not in field_text:
        return ""
    try:
        fields = selectors.parse_field_selector(field_text)
    except selectors.SelectorError:
        return ""
    return next((one.value for one in fields if one.equal and one.field == field), "")
