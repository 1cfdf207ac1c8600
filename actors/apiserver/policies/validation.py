"""Validating policies: what they find wrong with a write, and what comes of it by their bindings' actions.

All policies are evaluated before the first denial is told, so that warnings and audit annotations of the others are
not lost. An expression that has no value counts as what the failurePolicy says: a failed validation, or nothing.

Source: Kubernetes' validating admission policy. Neighbours: `bound` says what is for a write, `expressions` evaluates.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from actors.api.errors import ApiError
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.cel.errors import CelError, OutOfBudget
from actors.apiserver.policies.bound import BoundPolicy
from actors.apiserver.policies.configuration import Binding, Policy, Validation
from actors.apiserver.policies.expressions import Evaluation
from actors.apiserver.policies.parameters import Misconfigured
from actors.apiserver.webhooks.conditions import ConditionFailed

MAX_MESSAGE_BYTES = 5 * 1024  # of a messageExpression's text; a longer one is not used, as in Kubernetes
MAX_ANNOTATION_BYTES = 10 * 1024  # of an audit annotation's value; a longer one is cut
AUDIT_KEY = "validation.policy.admission.k8s.io/validation_failure"
_CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """`binding` is "" when the policy as a whole could not be evaluated."""

    policy: str
    binding: str
    message: str
    reason: str = "Invalid"
    index: int = 0


async def validate(policies: Iterable[BoundPolicy], asked: Admission, obj: Object | None, old: Object | None) -> None:
    """Evaluate policies; warn, annotate, and raise ApiError for the first denial."""
    denied: list[Failure] = []
    for bound in policies:
        request: Object | None = None
        for binding in bound.active(asked, obj, old):
            request = request or await bound.request(asked, bound.view(asked), obj, old)
            for failure in _failures(bound, binding, asked, request):
                _act(asked, binding, failure, denied)
    if denied:
        raise refusal(asked, denied[0])


def refusal(asked: Admission, failure: Failure) -> ApiError:
    """Return the error of a denial: worded as forbidden, with the reason and code that the validation asks for."""
    by = f"ValidatingAdmissionPolicy '{failure.policy}' with binding '{failure.binding}' denied request"
    message = f"{by}: {failure.message}"
    error = asked.forbidden(message)
    details = error.details | {"causes": [{"message": message}]}
    return ApiError(_CODES.get(failure.reason, 422), failure.reason, error.message, details)


def _act(asked: Admission, binding: Binding, failure: Failure, denied: list[Failure]) -> None:
    if "Deny" in binding.actions:
        denied.append(failure)
    if "Warn" in binding.actions:
        asked.warnings.append(
            f"Validation failed for ValidatingAdmissionPolicy '{failure.policy}' with binding '{failure.binding}': "
            f"{failure.message}"
        )
    if "Audit" in binding.actions:
        told = orjson.loads(asked.annotations.get(AUDIT_KEY) or b"[]")
        told.append(
            {
                "message": failure.message,
                "policy": failure.policy,
                "binding": failure.binding,
                "expressionIndex": failure.index,
                "validationActions": sorted(binding.actions),
            }
        )
        asked.annotations[AUDIT_KEY] = orjson.dumps(told).decode()


def _failures(bound: BoundPolicy, binding: Binding, asked: Admission, request: Object) -> Iterator[Failure]:
    policy = bound.policy
    try:
        for evaluation in bound.evaluations(asked, request, binding):
            for i, validation in enumerate(policy.validations):
                failure = _evaluate(policy, binding, evaluation, validation, i)
                if failure is not None:
                    yield failure
            yield from _annotate(policy, binding, evaluation.afresh(), asked)
    except (Misconfigured, ConditionFailed, OutOfBudget) as error:
        if policy.fails_closed:
            yield Failure(policy.name, binding.name, str(error))


def _evaluate(
    policy: Policy, binding: Binding, evaluation: Evaluation, validation: Validation, index: int
) -> Failure | None:
    expression = validation.expression.strip()
    try:
        value = evaluation.value(validation.expression)
    except OutOfBudget:
        raise
    except CelError as error:
        if not policy.fails_closed:
            return None
        message = f"expression '{expression}' resulted in error: {error}"
        return Failure(policy.name, binding.name, message, index=index)
    if value is True:
        return None
    message = _message(evaluation, validation) or f"failed expression: {expression}"
    return Failure(policy.name, binding.name, message, validation.reason or "Invalid", index)


def _message(evaluation: Evaluation, validation: Validation) -> str:
    """Return what is to be told: the message expression's text where it has a fitting one, else the message."""
    if validation.message_expression:
        try:
            text = evaluation.value(validation.message_expression)
        except OutOfBudget:
            raise
        except CelError:
            text = ""
        if isinstance(text, str) and _is_tellable(text.strip()):
            return text.strip()
    return validation.message.strip()


def _is_tellable(text: str) -> bool:
    return bool(text) and "\n" not in text and len(text.encode()) <= MAX_MESSAGE_BYTES


def _annotate(policy: Policy, binding: Binding, evaluation: Evaluation, asked: Admission) -> Iterator[Failure]:
    for key, expression in policy.annotations:
        try:
            value = evaluation.value(expression)
        except OutOfBudget:
            raise
        except CelError as error:
            if policy.fails_closed:
                message = f"valueExpression '{expression.strip()}' resulted in error: {error}"
                yield Failure(policy.name, binding.name, message)
            continue
        if value is None:
            continue
        if not isinstance(value, str):
            if policy.fails_closed:
                message = f"valueExpression '{expression.strip()}' resulted in unsupported return type"
                yield Failure(policy.name, binding.name, f"{message}, must be string or null")
            continue
        if value.strip():
            asked.annotations[f"{policy.name}/{key}"] = value.strip()[:MAX_ANNOTATION_BYTES]
