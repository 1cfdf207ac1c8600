"""The supervisor's own sockets: what `kubus status`, `down` and `kill` ask, and the hints about children's lives."""

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from bus.address import ipc_endpoint
from bus.errors import RemoteError
from bus.pubsub import Publisher
from bus.record import Empty
from bus.server import Context, Server
from runtime.supervisor import process
from runtime.supervisor.child import Child, Phase
from runtime.supervisor.events import Announce, Restart
from runtime.supervisor.messages import (
    LIFECYCLE,
    NAME,
    NO_SUCH_CHILD,
    NOT_RUNNING,
    ChildStatus,
    Killed,
    KillRequest,
    RestartRequest,
    Status,
    StatusRequest,
    StopRequest,
    SupervisorStatus,
)
from runtime.supervisor.spec import ActorLaunch

if TYPE_CHECKING:
    from runtime.supervisor.shell import Supervisor

MIB = 1024 * 1024
LEADER_TIMEOUT_S = 0.5  # that a status may wait for one child


class Desk:
    """Answers about, and on behalf of, one supervisor."""

    def __init__(self, supervisor: "Supervisor"):
        run_dir = supervisor.cluster.run_dir
        self._supervisor = supervisor
        self._born = supervisor.clock.monotonic()
        self._server = Server(NAME, ipc_endpoint(run_dir, NAME, "control"))
        self._publisher = Publisher(NAME, ipc_endpoint(run_dir, NAME, "events"))

    def open(self) -> None:
        self._server.register(StatusRequest, self._status)
        self._server.register(StopRequest, self._stop)
        self._server.register(RestartRequest, self._restart)
        self._server.register(KillRequest, self._kill)
        self._server.start()
        self._publisher.start()

    def close(self) -> None:
        self._server.close()
        self._publisher.close()

    def publish(self, announcement: Announce, pid: int) -> None:
        body = {"name": announcement.name, "what": announcement.what, "detail": announcement.detail, "pid": pid}
        self._publisher.publish(LIFECYCLE, body)

    async def _status(self, request: StatusRequest, context: Context) -> Status:
        supervisor = self._supervisor
        children = list(supervisor.core.children.values())
        leads = await asyncio.gather(*(self._leads(child) for child in children))
        pids = [os.getpid(), supervisor.link.pid if supervisor.link is not None else 0]
        pids += [child.pid for child in children]
        memory = await asyncio.to_thread(_memory_mb, pids) if request.memory else [0.0] * len(pids)
        now = supervisor.clock.monotonic()
        itself = SupervisorStatus(
            pid=pids[0],
            uptime_s=round(now - self._born, 3),
            pss_mb=memory[0],
            warm_parent_pid=pids[1],
            warm_parent_pss_mb=memory[1],
            data_dir=str(supervisor.cluster.data_dir),
            run_dir=str(supervisor.cluster.run_dir),
        )
        rows = zip(children, leads, memory[2:], strict=True)
        return Status(itself, [_status_of(child, leader, pss_mb, now) for child, leader, pss_mb in rows])

    async def _leads(self, child: Child) -> bool | None:
        """Whether it leads, asked now; unknown of a child that does not answer promptly."""
        if child.phase is not Phase.SERVING or not child.is_healthy or not isinstance(child.spec.launch, ActorLaunch):
            return None
        try:
            async with asyncio.timeout(LEADER_TIMEOUT_S):
                return (await self._supervisor.prober.probe(child.spec)).leader
        except TimeoutError:
            return None

    def _stop(self, request: StopRequest, context: Context) -> Empty:
        asyncio.get_running_loop().call_soon(self._supervisor.stop)
        return Empty()

    def _restart(self, request: RestartRequest, context: Context) -> Empty:
        self._known(request.name)
        self._supervisor.tell(Restart(request.name))
        return Empty()

    def _kill(self, request: KillRequest, context: Context) -> Killed:
        self._known(request.name)
        if request.signal not in signal.valid_signals():
            raise RemoteError(f"{request.signal} is not a signal", kind="invalid")
        pid = self._supervisor.signal(request.name, request.signal)
        if not pid:
            raise RemoteError(f"{request.name} has no process", kind=NOT_RUNNING)
        return Killed(pid)

    def _known(self, name: str) -> None:
        children = self._supervisor.core.children
        if name not in children:
            raise RemoteError(f"no {name} here", {"names": list(children)}, kind=NO_SUCH_CHILD)


def _memory_mb(pids: list[int]) -> list[float]:
    return [round(process.pss_bytes(pid) / MIB, 1) if pid else 0.0 for pid in pids]


def _status_of(child: Child, leader: bool | None, pss_mb: float, now: float) -> ChildStatus:
    spec = child.spec
    return ChildStatus(
        name=spec.name,
        role=spec.role,
        node=spec.node,
        pid=child.pid,
        health=child.health,
        leader=leader,
        uptime_s=round(now - child.started_at, 3) if child.pid else 0.0,
        restarts=child.restarts,
        pss_mb=pss_mb,
        reason=child.reason,
    )
