"""What expressions may look at, of conditions and of policies: the object, what it was, the request, and who may what.

Importing this loads the expression language. Neighbours: `conditions`, `policies`.
"""

from typing import Any

from actors.apiserver.admission.attributes import Admission
from actors.apiserver.auth.rules import Attributes
from actors.apiserver.call import AUTHENTICATED, Identity
from actors.apiserver.cel.library.authorizing import Question, authorizer

Object = dict[str, Any]

NAMES = ("authorizer", "authorizer.requestResource", "object", "oldObject", "request")
_LEFT_OUT = frozenset({"uid", "object", "oldObject"})


def inputs_of(asked: Admission, request: Object) -> Object:
    """Return the variables of `NAMES`. `request` is a review's."""
    about = {name: part for name, part in request.items() if name not in _LEFT_OUT and part is not None}
    return {
        "object": request["object"],
        "oldObject": request["oldObject"],
        "request": about,
        "authorizer": authorizer(),
        "authorizer.requestResource": authorizer(**_request_resource(asked)),
    }


def decide(asked: Admission, question: Question) -> tuple[bool, str]:
    """Answer a check of `authorizer`, for who writes or for a service account."""
    identity = asked.identity
    if "accountName" in question:
        namespace, name = question.get("accountNamespace", ""), question["accountName"]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        identity = Identity(f"system:serviceaccount:{namespace}:{name}", groups)
    if "path" in question:
        attributes = Attributes(question["verb"], path=question["path"], is_resource=False)
    else:
        attributes = Attributes(
            question["verb"],
            question.get("group", ""),
            question["resource"],
            question.get("subresource", ""),
            question.get("namespace", ""),
            question.get("name", ""),
        )
    return asked.parts.authorizer.allows(identity, attributes), ""


def _request_resource(asked: Admission) -> Question:
    said = {
        "group": asked.resource.group,
        "resource": asked.resource.plural,
        "subresource": asked.subresource,
        "namespace": asked.namespace,
        "name": asked.name,
    }
    return {name: text for name, text in said.items() if text}
