"""In which form an answer is wanted, out of the Accept header: the object, a Table, or its metadata only.

What verbs write is JSON; `encodings` makes other encodings of it, and looks at the header before this does. A client
that takes nothing we have gets 406. kubectl asks for Tables first, then for plain JSON.

Neighbours: `verbs` ask; `representation` makes the forms.
"""

from dataclasses import dataclass
from functools import lru_cache

from actors.api import errors

OBJECT = "Object"
TABLE = "Table"
METADATA = "PartialObjectMetadata"
METADATA_LIST = "PartialObjectMetadataList"

JSON_TYPES = frozenset({"application/json", "application/*", "*/*"})
_FORMS = frozenset({TABLE, METADATA, METADATA_LIST})
_META_GROUP = "meta.k8s.io"
_OFFERED = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_OFFERED_OF_WATCH = ("application/json", "application/vnd.kubernetes.protobuf;stream=watch")


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


def offered(is_watch: bool = False) -> str:
    """Say what could have been had."""
    return f"only the following media types are accepted: {', '.join(_OFFERED_OF_WATCH if is_watch else _OFFERED)}"


def choices(accept: str) -> list[tuple[str, dict[str, str]]]:
    """Return the media types of an Accept header with their parameters, the dearest first."""
    found = []
    for choice in accept.split(","):
        media, *parameters = (part.strip() for part in choice.split(";"))
        fields = dict(p.split("=", 1) for p in parameters if "=" in p)
        found.append((_weight(fields.pop("q", "1")), media.lower(), fields))
    found.sort(key=lambda one: -one[0])
    return [(media, fields) for weight, media, fields in found if weight > 0]


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


@lru_cache(maxsize=256)
def negotiate(accept: str, has_table: bool = True) -> Wanted:
    """Return the first form of those accepted that we have; ApiError NotAcceptable when there is none."""
    if not accept or accept == "application/json":
        return PLAIN
    forms = _FORMS if has_table else _FORMS - {TABLE}
    for media, fields in choices(accept):
        if media not in JSON_TYPES:
            continue
        form = fields.get("as", "")
        if not form:
            return PLAIN
        if form in forms and fields.get("g") == _META_GROUP and fields.get("v") in ("v1", "v1beta1"):
            return Wanted(form, fields["v"])
    raise errors.not_acceptable(offered())


@lru_cache(maxsize=64)
def wants_aggregated_discovery(accept: str) -> bool:
    """Tell whether aggregated discovery, in the version that we have, is accepted before plain discovery."""
    for media, fields in choices(accept):
        if media not in JSON_TYPES:
            continue
        if "as" not in fields:
            return False
        if (fields["as"], fields.get("g"), fields.get("v")) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2"):
            return True
    return False
