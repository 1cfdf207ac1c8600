"""In which form an answer is wanted, out of the Accept header: the object, a Table, or its metadata only.

Only JSON is written. A client that also takes Protobuf gets JSON when it takes that too; one that takes nothing we have
gets 406. kubectl asks for Tables first, then for plain JSON.

Neighbours: `verbs` ask; `representation` makes the forms.
"""

from dataclasses import dataclass
from functools import lru_cache

from actors.api import errors

OBJECT = "Object"
TABLE = "Table"
METADATA = "PartialObjectMetadata"
METADATA_LIST = "PartialObjectMetadataList"

_JSON_TYPES = frozenset({"application/json", "application/*", "*/*"})
_FORMS = frozenset({TABLE, METADATA, METADATA_LIST})
_META_GROUP = "meta.k8s.io"
OFFERED = "application/json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`form` of the answer, and the API version of a meta.k8s.io form."""

    form: str = OBJECT
    version: str = "v1"

    @property
    def content_type(self) -> str:
        if self.form == OBJECT:
            return "application/json"
        return f"application/json;as={self.form};v={self.version};g={_META_GROUP}"


PLAIN = Wanted()


@lru_cache(maxsize=256)
def negotiate(accept: str, has_table: bool = True) -> Wanted:
    """Return the first form of those accepted that we have; ApiError NotAcceptable when there is none."""
    if not accept or accept == "application/json":
        return PLAIN
    forms = _FORMS if has_table else _FORMS - {TABLE}
    for choice in accept.split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        if media.lower() not in _JSON_TYPES:
            continue
        fields = dict(p.split("=", 1) for p in parameters if "=" in p)
        form = fields.get("as", "")
        if not form:
            return PLAIN
        if form in forms and fields.get("g") == _META_GROUP and fields.get("v") in ("v1", "v1beta1"):
            return Wanted(form, fields["v"])
    raise errors.not_acceptable(
        f"only the following media types are accepted: {OFFERED}, "
        f"{OFFERED};as=Table;v=v1;g=meta.k8s.io, {OFFERED};as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    )


@lru_cache(maxsize=64)
def wants_aggregated_discovery(accept: str) -> bool:
    """Tell whether aggregated discovery, in the version that we have, is accepted before plain discovery."""
    for choice in accept.split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        if media.lower() not in _JSON_TYPES:
            continue
        fields = dict(p.split("=", 1) for p in parameters if "=" in p)
        if "as" not in fields:
            return False
        if (fields["as"], fields.get("g"), fields.get("v")) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2"):
            return True
    return False
