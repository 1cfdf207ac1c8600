"""Every Pod runs as a service account that is there: `default` unless it names another.

A namespace's `default` account is made by a controller a moment after the namespace; a Pod that comes in between waits
for it, for a little.

Neighbours: `chain`. Tokens are not mounted into pods yet.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from actors.api import errors

if TYPE_CHECKING:
    from actors.apiserver.admission.chain import Admission

PREFIX = b"/registry/serviceaccounts/"
DEFAULT = "default"
APPEAR_WAIT_S = 1.0  # for an account that is not there yet


async def admit(asked: "Admission", pod: dict[str, Any]) -> None:
    spec = pod.setdefault("spec", {})
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    if "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {}):
        return
    accounts = asked.server.cache.at(PREFIX)
    key = PREFIX + f"{asked.namespace}/{name}".encode()
    try:
        async with asyncio.timeout(APPEAR_WAIT_S):
            entry = await accounts.appears(key)
    except TimeoutError:
        raise errors.forbidden(
            "pods",
            asked.name,
            f'error looking up service account {asked.namespace}/{name}: serviceaccount "{name}" not found',
        ) from None
    if not spec.get("imagePullSecrets") and b'"imagePullSecrets"' in entry.body:
        secrets = entry.decode().get("imagePullSecrets")
        if secrets:
            spec["imagePullSecrets"] = secrets
