"""Webhooks without a network: functions that answer AdmissionReviews."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import orjson

from actors.apiserver.webhooks.call_failed import CallFailed
from actors.apiserver.webhooks.configuration import Hook
from actors.apiserver.webhooks.dispatch import Caller
from tests.actors.apiserver.api_harness import Api

REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
ALL = [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"], "operations": ["*"]}]
CONFIG_MAPS = [
    {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE", "UPDATE"]}
]

Answer = Callable[[dict[str, Any]], dict[str, Any]]  # the review's request -> the response, without its uid


class Webhooks:
    """Stands for all servers: what each hook answers, and what it was asked, in order."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Exception] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.barrier: asyncio.Barrier | None = None

    async def call(self, hook: Hook, body: bytes, timeout_s: float) -> bytes:
        request = orjson.loads(body)["request"]
        self.asked.append((hook.name, request))
        if self.barrier is not None:
            await self.barrier.wait()
        answer = self.answers[hook.name]
        if isinstance(answer, Exception):
            raise answer
        response = {"uid": request["uid"], **answer(request)}
        return orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})

    async def close(self) -> None:
        return

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.asked]


def install(api: Api) -> Webhooks:
    hooks = Webhooks()
    api.server.hooks._caller = Caller(hooks)
    return hooks


def webhook(name: str, rules: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "rules": CONFIG_MAPS if rules is None else rules,
        "clientConfig": {"url": "https://example.test/"},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **more,
    }


async def configure(api: Api, kind: str, name: str, *hooks: dict[str, Any]) -> None:
    """Create a configuration of `kind` Mutating or Validating, and wait until it is known."""
    full = f"{kind}WebhookConfiguration"
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": full,
        "metadata": {"name": name},
        "webhooks": list(hooks),
    }
    await api.must("POST", f"{REGISTRATION}/{full.lower()}s", body)
    await api.server.barrier.fresh()


def allow(request: dict[str, Any]) -> dict[str, Any]:
    return {"allowed": True}


def deny(message: str = "", **status: Any) -> Answer:
    return lambda request: {"allowed": False, "status": {"message": message, **status}}


def patch(*operations: dict[str, Any]) -> Answer:
    encoded = base64.b64encode(orjson.dumps(list(operations))).decode()
    return lambda request: {"allowed": True, "patchType": "JSONPatch", "patch": encoded}


def add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def unanswered(why: str) -> CallFailed:
    return CallFailed(why)
