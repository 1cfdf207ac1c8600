"""`authorizer`: whether a user may do something, asked from within a policy.

    authorizer.group('apps').resource('deployments').namespace('web').check('create').allowed()
    authorizer.path('/healthz').check('get').reason()
    authorizer.serviceAccount('web', 'builder').group('').resource('pods').check('get').allowed()

Every value on the way is one message, whose text is the JSON of what has been said so far. Who decides is not in there:
the evaluation happens within `deciding`, on one thread, and asks what was given there.

Source: Kubernetes' CEL library for authorization checks. Neighbours: `policies` and `webhooks` offer the variable.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import orjson

from actors.apiserver.cel import opaque
from actors.apiserver.cel.library.declaring import AUTHORIZER, BOOL, STRING, declare, method

Question = dict[str, str]
Decide = Callable[[Question], tuple[bool, str]]  # -> (allowed, reason)

_DECIDE: ContextVar[Decide] = ContextVar("who decides")
_OUTCOME = "outcome"


@contextmanager
def deciding(decide: Decide) -> Iterator[None]:
    """Let `decide` answer the checks of evaluations within."""
    token = _DECIDE.set(decide)
    try:
        yield
    finally:
        _DECIDE.reset(token)


def authorizer(**said: str) -> Any:
    """Return the value of the variable; `said` is what is known already, as of the request's resource."""
    return opaque.make("Authorizer", orjson.dumps(said).decode())


def _with(*names: str) -> Callable[..., Any]:
    def add(value: Any, *texts: str) -> Any:
        return authorizer(**_said(value), **dict(zip(names, texts, strict=True)))

    return add


def _said(value: Any) -> Question:
    return orjson.loads(opaque.text_of(value))


def _check(value: Any, verb: str) -> Any:
    said = _said(value)
    if not said.keys() & {"resource", "path"}:
        raise ValueError("neither a resource nor a path was given")
    allowed, reason = _DECIDE.get()({**said, "verb": verb})
    return authorizer(outcome="yes" if allowed else "no", reason=reason)


def _is_allowed(value: Any) -> bool:
    return _said(value).get(_OUTCOME) == "yes"


def functions() -> list[Any]:
    steps = {
        "group": ("group",),
        "resource": ("resource",),
        "subresource": ("subresource",),
        "namespace": ("namespace",),
        "name": ("name",),
        "path": ("path",),
        "fieldSelector": ("fieldSelector",),
        "labelSelector": ("labelSelector",),
        "serviceAccount": ("accountNamespace", "accountName"),
    }
    return [
        *(
            declare(name, method(f"authorizer_{name}", AUTHORIZER, [AUTHORIZER, *[STRING] * len(keys)], _with(*keys)))
            for name, keys in steps.items()
        ),
        declare("check", method("authorizer_check", AUTHORIZER, [AUTHORIZER, STRING], _check)),
        declare("allowed", method("decision_allowed", BOOL, [AUTHORIZER], _is_allowed)),
        declare(
            "reason", method("decision_reason", STRING, [AUTHORIZER], lambda value: _said(value).get("reason", ""))
        ),
        declare("errored", method("decision_errored", BOOL, [AUTHORIZER], lambda value: False)),
        declare("error", method("decision_error", STRING, [AUTHORIZER], lambda value: "")),
    ]
