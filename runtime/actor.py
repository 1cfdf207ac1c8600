"""The shell of an actor: a process with a loop, three sockets, a log, and an orderly end.

A role subclasses `Actor` in its `actor.py` and fills in `start`, `stop` and `inspect`. `run` is the whole life of the
process: sockets, start, serve, stop. The control socket answers before `start` has begun, and never waits behind work.
An exception that nobody expected, in a handler, in a background task or in a callback of the loop, ends the process
with a log line; the supervisor starts it again.

Neighbours: `supervisor` starts and watches actors, `warm` forks them, `messages` is what the control socket answers,
`background` hears of what nobody awaits.
"""

import asyncio
import functools
import importlib
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from prometheus_client import CollectorRegistry, generate_latest

from bus import Client, Context, Directory, Empty, Keyring, Publisher, RemoteError, Server, ZmqTransport
from runtime import background, failpoint, logging, tasks
from runtime.clock import Clock, SystemClock
from runtime.exits import EXIT_BROKEN, EXIT_CANNOT_SERVE, EXIT_ORPHANED, last_words
from runtime.messages import (
    ClockRequest,
    FailpointRequest,
    Health,
    HealthRequest,
    Inspection,
    InspectRequest,
    MetricsRequest,
    MetricsText,
    StopRequest,
    TasksRequest,
    TasksText,
)

STOP_DEADLINE_S = 8.0  # for an orderly stop; then the process ends as it is
ORPHAN_DEADLINE_S = 2.0  # the same when the supervisor is gone


class CannotServe(Exception):
    """Raised in `start`: what stands in the way will be there at the next try too, and somebody must mend it."""


class Setup(msgspec.Struct, frozen=True):
    """What an actor is told at birth. Plain data, so that it crosses to the process that forks."""

    name: str
    role: str
    node: str
    settings: dict[str, Any]
    data_dir: Path
    run_dir: Path
    actors: list[str]  # all names of the cluster
    remote: dict[str, dict[str, str]] = {}  # endpoints of those that are on other machines
    log_level: str = "info"
    listen: dict[str, str] = {}  # its sockets that other machines may reach: "work": "tcp://10.0.0.1:7001"
    keys_dir: Path | None = None  # of CURVE keys; without them nothing is reached and nobody served off this machine

    @property
    def keyring(self) -> Keyring | None:
        return Keyring(self.keys_dir, self.name) if self.keys_dir is not None else None

    @property
    def directory(self) -> Directory:
        return Directory(self.run_dir, self.actors, self.remote)


class Actor:
    """One role's process. See the module's docstring."""

    def __init__(self, setup: Setup):
        directory = setup.directory
        self.setup = setup
        self.name = setup.name
        self.log = logging.logger_of(setup.name)
        self.clock: Clock = SystemClock()
        self.metrics = CollectorRegistry()
        self._transport = ZmqTransport(setup.keyring)
        self.client = Client(setup.name, self._transport)
        self.server = self._serving("work")
        self.publisher = Publisher(setup.name, directory.events(setup.name), also=self._also("events"),
                                   keyring=setup.keyring)  # fmt: skip
        self.dir = Path(setup.data_dir) / "actors" / setup.name
        self.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.state = "starting"
        self.failure: BaseException | None = None
        self._control = self._serving("control")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Open and recover what the role needs, register handlers. The actor serves when this returns."""

    async def stop(self) -> None:
        """End in good order. Background tasks are cancelled afterwards."""

    def inspect(self) -> dict[str, Any]:
        """Return plain data about this actor; `leader` tells whether it leads, where that means something."""
        return {}

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Run a background task. If it fails, an invariant broke, and the process ends."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def fail(self, error: BaseException) -> None:
        """An invariant broke, or the role cannot be played here: log it and end the process."""
        if isinstance(error, CannotServe):
            self.log.error("cannot serve", error=str(error))
        else:
            self.log.error("invariant broke", error=repr(error), exc_info=error)
        self.failure = self.failure or error
        self._stopping.set()

    def request_stop(self) -> None:
        self._stopping.set()

    async def live(self, lifeline: int | None) -> int:
        """Start, serve until told to stop, stop; return the process's exit status."""
        self._open_control()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(background.Listener(self.fail, self.log))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        if lifeline is not None:
            loop.add_reader(lifeline, self._on_lifeline, lifeline)
        try:
            await self._serve()
        finally:
            await self._end()
        if isinstance(self.failure, CannotServe):
            last_words(Path(self.setup.run_dir), self.name).write_text(str(self.failure))
            return EXIT_CANNOT_SERVE
        return EXIT_BROKEN if self.failure is not None else 0

    def _also(self, socket: str) -> list[str]:
        return [self.setup.listen[socket]] if socket in self.setup.listen else []

    def _serving(self, socket: str) -> Server:
        endpoint = self.setup.directory.endpoint(self.name, socket)
        also = self._also(socket)
        return Server(self.name, endpoint, also=also, on_failure=self.fail, transport=self._transport)

    def _open_control(self) -> None:
        self._control.register(HealthRequest, self._health)
        self._control.register(InspectRequest, lambda request, context: Inspection(self._inspection()))
        self._control.register(StopRequest, self._stop)
        self._control.register(FailpointRequest, self._failpoint)
        self._control.register(ClockRequest, self._shift_clock)
        self._control.register(
            MetricsRequest, lambda request, context: MetricsText(generate_latest(self.metrics).decode())
        )
        loop = asyncio.get_running_loop()
        self._control.register(TasksRequest, lambda request, context: TasksText(tasks.picture(loop)))
        self._control.start()

    async def _serve(self) -> None:
        starting = asyncio.ensure_future(self._start())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait((starting,))
        elif (error := starting.exception()) is not None:
            self.fail(error)
        await stopping

    async def _start(self) -> None:
        self.publisher.start()
        await self.start()
        self.server.start()
        self.state = "serving"
        self.log.info("serving", pid=os.getpid())

    async def _end(self) -> None:
        self.state = "stopping"
        try:
            async with asyncio.timeout(STOP_DEADLINE_S):
                await self.stop()
        except TimeoutError:
            self.log.warning("did not stop in time", deadline_s=STOP_DEADLINE_S)
        except Exception as error:  # noqa: BLE001 - the process ends either way; what broke must reach the log
            self.fail(error)
        background = list(self._tasks)
        for task in background:
            task.cancel()
        if background:
            await asyncio.wait(background, timeout=1.0)
        self.server.close()
        self.client.close()
        self.publisher.close()
        self._control.close()
        self.log.info("stopped")

    def _health(self, request: HealthRequest, context: Context) -> Health:
        leader = self.inspect().get("leader") if self.state == "serving" else None
        return Health(self.state, leader=leader)

    def _inspection(self) -> dict[str, Any]:
        return {"name": self.name, "pid": os.getpid(), "state": self.state, "bus": self.server.load} | self.inspect()

    def _stop(self, request: StopRequest, context: Context) -> Empty:
        asyncio.get_running_loop().call_soon(self.request_stop)
        return Empty()

    def _failpoint(self, request: FailpointRequest, context: Context) -> Empty:
        try:
            failpoint.arm(request.name, request.action, request.skip)
        except ValueError as error:
            raise RemoteError(str(error), kind="invalid") from error
        return Empty()

    def _shift_clock(self, request: ClockRequest, context: Context) -> Empty:
        if not isinstance(self.clock, SystemClock):
            raise RemoteError("this actor's clock is not the machine's", kind="invalid")
        self.log.warning("the wall clock is shifted", by_s=request.wall_shift_s)
        self.clock.wall_shift_s = request.wall_shift_s
        return Empty()

    def _on_task_done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def _on_lifeline(self, lifeline: int) -> None:
        """The supervisor is gone: nobody would restart or stop this process, so it ends."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(lifeline)
        self.log.warning("the supervisor is gone")
        loop.call_later(ORPHAN_DEADLINE_S, functools.partial(os._exit, EXIT_ORPHANED))
        self.request_stop()


def run(target: str, setup: Setup, lifeline: int | None = None) -> int:
    """Live as the actor class `module:Class` and return the process's exit status.

    `lifeline` is the read end of a pipe that the supervisor holds open for as long as it lives.
    """
    logging.configure(setup.log_level)
    log = logging.logger_of(setup.name)
    module, _, name = target.partition(":")

    async def main() -> int:
        actor = getattr(importlib.import_module(module), name)(setup)
        return await actor.live(lifeline)

    try:
        return uvloop.run(main())
    except Exception as error:  # the last frame of the process: what broke must reach the log
        log.error("could not live", error=repr(error), exc_info=error)
        return EXIT_BROKEN
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
