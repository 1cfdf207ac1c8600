"""Creates the objects that every cluster starts with, and repairs the bootstrap policy after an upgrade.

Runs at the start of every API server, side by side with others: what exists already is fine. Roles and bindings marked
for automatic updates get the rules and subjects that they lack; what an administrator added stays.

Neighbours: `namespaces`, `policy`, `priority_classes`, `kubernetes_service`, `service_network` say what; the handler's
own verbs do it, as system:apiserver.
"""

from typing import Any

import orjson

from actors.apiserver.bootstrap import kubernetes_service, namespaces, policy, priority_classes, service_network
from actors.apiserver.call import AUTHENTICATED, MASTERS, ApiCall, Identity, StreamAnswer
from actors.apiserver.handler import Handler
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.server import Server

SELF = Identity("system:apiserver", (MASTERS, AUTHENTICATED))


class BootstrapFailed(Exception):
    """An object that the cluster cannot do without could not be made."""


async def ensure_all(server: Server, handler: Handler, address: tuple[str, int]) -> None:
    """Create what is missing. Raises BootstrapFailed."""
    for obj in namespaces.namespaces():
        await _ensure(server, handler, obj)
    for obj in policy.objects():
        await _ensure(server, handler, obj)
    for obj in priority_classes.objects():
        await _ensure(server, handler, obj)
    await _ensure(server, handler, service_network.service_cidr(server.config))
    await _say_that_it_is_used(server, handler)
    for obj in kubernetes_service.objects(server.config, address):
        await _ensure(server, handler, obj)


async def _say_that_it_is_used(server: Server, handler: Handler) -> None:
    """Write the status of the network of Services, which no controller does."""
    resource = server.registry.by_kind("networking.k8s.io/v1", "ServiceCIDR")
    assert resource is not None, "ServiceCIDRs are built in"
    path = f"{_path(resource, '')}/{service_network.NAME}"
    answer = await handler.handle(ApiCall(SELF, "GET", path))
    assert not isinstance(answer, StreamAnswer), "one object is not answered with a stream"
    wanted = service_network.in_use(orjson.loads(answer.body), server.clock) if answer.status == 200 else None
    if wanted is not None:
        await _send(handler, "PUT", f"{path}/status", wanted, accept=(200, 404, 409))


async def _ensure(server: Server, handler: Handler, obj: dict[str, Any]) -> None:
    resource = server.registry.by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None, f"{obj['kind']} is built in"
    metadata = obj["metadata"]
    entry = server.cache.of(resource).entries.get(resource.key(metadata.get("namespace"), metadata["name"]))
    if entry is None:
        await _send(handler, "POST", _path(resource, metadata.get("namespace", "")), obj, accept=(201, 409))
        return
    wanted = policy.reconciled(entry.decode(), obj)
    if wanted is not None:
        path = f"{_path(resource, metadata.get('namespace', ''))}/{metadata['name']}"
        await _send(handler, "PUT", path, wanted, accept=(200, 409))


async def send_as_self(handler: Handler, method: str, path: str, obj: dict[str, Any]) -> tuple[int, str]:
    """Write an object as the API server itself; return (status code, answer)."""
    call = ApiCall(SELF, method, path, content_type="application/json", body=orjson.dumps(obj))
    answer = await handler.handle(call)
    assert not isinstance(answer, StreamAnswer), "a write is not answered with a stream"
    return answer.status, answer.body.decode()


async def _send(handler: Handler, method: str, path: str, obj: dict[str, Any], accept: tuple[int, ...]) -> None:
    status, answer = await send_as_self(handler, method, path, obj)
    if status not in accept:
        raise BootstrapFailed(f"{method} {path}: {answer[:500]}")


def _path(resource: Resource, namespace: str) -> str:
    base = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    return f"{base}/namespaces/{namespace}/{resource.plural}" if namespace else f"{base}/{resource.plural}"
