"""What is asked and never stored: access reviews, token reviews and token requests."""

from typing import Any

from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.resource import Strategy


class AccessReviewStrategy(Strategy):
    """`of_self`: the subject is who asks, so that none may be named."""

    def __init__(self, of_self: bool = False) -> None:
        self.of_self = of_self

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec, causes = obj.get("spec") or {}, []
        given = [name for name in ("resourceAttributes", "nonResourceAttributes") if spec.get(name) is not None]
        if len(given) == 2:
            detail = "cannot be specified in combination with resourceAttributes"
            causes.append(field.invalid("spec.nonResourceAttributes", spec[given[1]], detail))
        if not given:
            detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            causes.append(field.invalid("spec.resourceAttributes", None, detail))
        if not self.of_self and not spec.get("user") and not spec.get("groups"):
            causes.append(field.invalid("spec.user", "", "at least one of user or group must be specified"))
        return causes


class TokenReviewStrategy(Strategy):
    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        return [] if (obj.get("spec") or {}).get("token") else [field.required("spec.token")]
