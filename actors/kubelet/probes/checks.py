"""Asking a container how it is: HTTP, TCP, exec and gRPC checks, for probes and lifecycle hooks.

A check answers `Outcome`: passed or not, and why not in the words of an Unhealthy event. It never raises for what the
container does; only cancellation passes through.

Neighbours: `prober` and `hooks` call; `http_get` speaks HTTP.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actors.api.protobuf_wire import delimited
from actors.kubelet.probes.http_get import HttpFailure, http_get
from actors.kubelet.runtime import ExecTimeout, RuntimeDriver, RuntimeFault

GRPC_METHOD = "/grpc.health.v1.Health/Check"
GRPC_SERVICE_FIELD = 1  # of a HealthCheckRequest
GRPC_SERVING = 1
# Each probe connects by itself, and to the pod: no proxy of the kubelet's environment, no backoff of an earlier one.
GRPC_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
MAX_OUTPUT = 10 * 1024  # of an exec check's output in a message


@dataclass(frozen=True, slots=True)
class Outcome:
    passed: bool
    message: str = ""  # why not; or what to remark, though it passed
    is_known: bool = True  # False: nobody could ask the container, which may be as well as it was


@dataclass(frozen=True, slots=True)
class Target:
    """The container that is asked: where it listens, and its ports by name."""

    container_id: str
    container: dict[str, Any]
    ips: Sequence[str]

    def port(self, wanted: int | str) -> int:
        """Return a port's number; ValueError for a name that the container does not declare."""
        if isinstance(wanted, int) or str(wanted).isdigit():
            return int(wanted)
        for port in self.container.get("ports") or ():
            if port.get("name") == wanted:
                return int(port["containerPort"])
        raise ValueError(f"couldn't find port: {wanted}")

    def host(self, action: dict[str, Any]) -> str:
        host = action.get("host") or (self.ips[0] if self.ips else "")
        if not host:
            raise ValueError("the pod has no address")
        return str(host)


async def check(driver: RuntimeDriver, target: Target, handler: dict[str, Any], timeout_s: float) -> Outcome:
    """Ask once, in the way that the handler says."""
    try:
        if handler.get("httpGet"):
            return await _http(target, handler["httpGet"], timeout_s)
        if handler.get("tcpSocket"):
            return await _tcp(target, handler["tcpSocket"], timeout_s)
        if handler.get("exec"):
            return await _exec(driver, target, handler["exec"], timeout_s)
        if handler.get("grpc"):
            return await _grpc(target, handler["grpc"], timeout_s)
    except ValueError as error:
        return Outcome(False, str(error), is_known=False)
    return Outcome(False, "missing probe handler")


async def _http(target: Target, action: dict[str, Any], timeout_s: float) -> Outcome:
    headers = [(item["name"], item["value"]) for item in action.get("httpHeaders") or ()]
    scheme, port = (action.get("scheme") or "HTTP").lower(), target.port(action["port"])
    try:
        async with asyncio.timeout(timeout_s):
            status, body = await http_get(scheme, target.host(action), port, action.get("path") or "/", headers)
    except TimeoutError:
        url = f"{scheme}://{target.host(action)}:{port}{action.get('path') or '/'}"
        return Outcome(False, f'Get "{url}": context deadline exceeded')
    except HttpFailure as error:
        return Outcome(False, str(error))
    if 200 <= status < 300:
        return Outcome(True)
    if 300 <= status < 400:
        return Outcome(True, f"Probe terminated redirects, Response body: {body.decode(errors='replace')}")
    return Outcome(False, f"HTTP probe failed with statuscode: {status}")


async def _tcp(target: Target, action: dict[str, Any], timeout_s: float) -> Outcome:
    host, port = target.host(action), target.port(action["port"])
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Outcome(False, f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Outcome(False, f"dial tcp {host}:{port}: connect: {(error.strerror or str(error)).lower()}")
    writer.close()
    return Outcome(True)


async def _exec(driver: RuntimeDriver, target: Target, action: dict[str, Any], timeout_s: float) -> Outcome:
    try:
        result = await driver.exec_sync(target.container_id, action.get("command") or (), timeout_s)
    except ExecTimeout:
        return Outcome(False, f"command timed out after {timeout_s:g}s")
    except RuntimeFault as error:  # the runtime could not ask, or the container has no such command
        return Outcome(False, str(error), is_known=False)
    if result.exit_code == 0:
        return Outcome(True)
    return Outcome(False, (result.stdout + result.stderr)[:MAX_OUTPUT].decode(errors="replace"))


async def _grpc(target: Target, action: dict[str, Any], timeout_s: float) -> Outcome:
    import grpc.aio

    service = (action.get("service") or "").encode()
    request = delimited(GRPC_SERVICE_FIELD, service) if service else b""
    host = target.host(action)
    address = f"{f'[{host}]' if ':' in host else host}:{target.port(action['port'])}"
    async with grpc.aio.insecure_channel(address, GRPC_OPTIONS) as channel:
        call = channel.unary_unary(GRPC_METHOD, request_serializer=bytes, response_deserializer=bytes)
        try:
            answer = await call(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return Outcome(False, f"error: health rpc failed: {error.code().name}: {error.details()}")
    if answer == bytes([0x08, GRPC_SERVING]):
        return Outcome(True)
    return Outcome(False, f"service unhealthy (responded with {answer[1] if len(answer) > 1 else 0})")
