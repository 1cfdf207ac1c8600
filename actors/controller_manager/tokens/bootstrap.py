"""tokencleaner: a bootstrap token's Secret goes when the token has expired.

The API server refuses an expired token by itself; this keeps kube-system tidy. A Secret whose expiration cannot be read
is left for its author to see.
"""

import base64
import binascii
from typing import Any

from actors.api.meta import parse_time
from actors.controller_manager.actions import Action, Delete, Failure, RequeueAfter
from actors.controller_manager.controller import Controller

Object = dict[str, Any]
NAMESPACE = "kube-system"
SECRET_TYPE = "bootstrap.kubernetes.io/token"
LATE_S = 1.0


def reconcile(secret: Object, now_s: float) -> list[Action]:
    """Return the deletion of an expired token, or when to look again."""
    expires = _expiration(secret)
    if expires is None:
        return []
    if expires > now_s:
        return [RequeueAfter(expires - now_s + LATE_S)]
    metadata = secret["metadata"]
    return [
        Delete("secrets", metadata["namespace"], metadata["name"], metadata["uid"], metadata.get("resourceVersion"))
    ]


def _expiration(secret: Object) -> float | None:
    encoded = (secret.get("data") or {}).get("expiration")
    if not encoded:
        return None
    try:
        return parse_time(base64.b64decode(encoded).decode("ascii"))
    except (binascii.Error, ValueError):
        return None


class TokenCleaner(Controller):
    name = "tokencleaner"
    workers = 1

    def set_up(self) -> None:
        self.secrets = self.watch(
            "secrets",
            lambda key, old, new: (key,) if key.startswith(f"{NAMESPACE}/") else (),
            field_selector=f"type={SECRET_TYPE}",
        )

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        secret = self.secrets.get(key)
        return [] if secret is None else reconcile(secret, self.clock.wall())
