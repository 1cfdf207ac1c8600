"""What the API says no with: a Kubernetes `Status`, as an exception.

The API server raises these and answers with `status()`; the client turns an answer back into one with `from_status`.
Reasons, codes and the shape of messages are Kubernetes' own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

# What an object of a shape that nobody foresaw brings out in whoever works on it. It must cost that object's turn,
# loudly, and not the process that works on all the others.
DATA_ERRORS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with one field. `reason` is a CauseType such as FieldValueRequired."""

    reason: str
    message: str
    field: str = ""

    def to_dict(self) -> dict[str, str]:
        return {"reason": self.reason, "message": self.message, "field": self.field}


class ApiError(Exception):
    """A refusal. `retry_after_s` is for reasons that pass by themselves."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None):
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.metadata: dict[str, Any] = {}  # of the Status, a ListMeta

    @property
    def retry_after_s(self) -> int:
        return int(self.details.get("retryAfterSeconds", 0))

    def status(self) -> dict[str, Any]:
        """Return the `Status` object that says this."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            status["details"] = self.details
        return status

    @classmethod
    def from_status(cls, status: dict[str, Any], code: int = 500) -> Self:
        """Return the error that a `Status` object says."""
        return cls(
            int(status.get("code") or code),
            str(status.get("reason") or "Unknown"),
            str(status.get("message") or "the server gave no message"),
            status.get("details") or {},
        )


def _details(resource: str, name: str = "", **more: Any) -> dict[str, Any]:
    plural, _, group = resource.partition(".")
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if plural:
        details["kind"] = plural
    return details | more


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> ApiError:
    return ApiError(401, "Unauthorized", message)


def forbidden(resource: str, name: str, why: str) -> ApiError:
    """`resource` is plural[.group], as in all of these."""
    what = f'{resource} "{name}"' if name else resource
    return ApiError(403, "Forbidden", f"{what} is forbidden: {why}", _details(resource, name))


def not_found(resource: str, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{resource} "{name}" not found', _details(resource, name))


def path_not_found() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def not_acceptable(message: str) -> ApiError:
    return ApiError(406, "NotAcceptable", message)


def already_exists(resource: str, name: str) -> ApiError:
    return ApiError(409, "AlreadyExists", f'{resource} "{name}" already exists', _details(resource, name))


def conflict(resource: str, name: str, why: str = "") -> ApiError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def gone(message: str) -> ApiError:
    """The wanted resourceVersion is no longer there: list again."""
    return ApiError(410, "Expired", message)


def too_large(message: str) -> ApiError:
    return ApiError(413, "RequestEntityTooLarge", message)


def unsupported_media_type(message: str) -> ApiError:
    return ApiError(415, "UnsupportedMediaType", message)


def invalid(kind: str, name: str, causes: Sequence[Cause], group: str = "") -> ApiError:
    """Every cause is told, in the message and in the details."""
    said = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes]
    what = said[0] if len(said) == 1 else "[" + ", ".join(said) + "]"
    qualified = f"{kind}.{group}" if group else kind
    details = _details(qualified, name, causes=[cause.to_dict() for cause in causes])
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {what}', details)


def too_many_requests(message: str, retry_after_s: int = 1) -> ApiError:
    return ApiError(429, "TooManyRequests", message, {"retryAfterSeconds": retry_after_s})


def internal(message: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")


def unavailable(message: str, retry_after_s: int = 0) -> ApiError:
    """`retry_after_s` only where nothing was done and it will soon be better: clients repeat then, whatever it was."""
    return ApiError(503, "ServiceUnavailable", message, _retry(retry_after_s))


def timeout(message: str, retry_after_s: int = 0) -> ApiError:
    """`retry_after_s` only of what may be done twice: clients repeat then, and a write's outcome is unknown."""
    return ApiError(504, "Timeout", f"Timeout: {message}", _retry(retry_after_s))


def _retry(after_s: int) -> dict[str, Any]:
    return {"retryAfterSeconds": after_s} if after_s else {}
