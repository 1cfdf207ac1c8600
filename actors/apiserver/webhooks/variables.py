"""What expressions of conditions and policies may look at: the object, what it was, the request, who asks.

Neighbours: `conditions`, `policies`.
"""

from typing import Any

from actors.apiserver.admission.attributes import Admission

Object = dict[str, Any]

_LEFT_OUT = frozenset({"uid", "object", "oldObject"})


def variables_of(asked: Admission, request: Object) -> dict[str, Any]:
    """Return the variables for a review's request."""
    about = {name: part for name, part in request.items() if name not in _LEFT_OUT and part is not None}
    return {
        "object": request["object"],
        "oldObject": request["oldObject"],
        "request": about,
        "authorizer": None,
    }
