"""The supervisor's shell: carries out what `core` decides, and tells it what happens.

It runs in the process that holds the data dir's lock. Every action is carried out without waiting; what follows from
it comes back as an event. Its own end is orderly: TERM to the children in reverse order, then the warm parent, the
sockets.

Neighbours: `core` decides; `runtime.warm.link` forks; `prober` asks for health; `desk` answers on the control socket.
"""

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from bus.address import Directory
from runtime.clock import Clock, SystemClock
from runtime.exits import EXIT_CANNOT_SERVE, last_words
from runtime.supervisor import events, journal, process
from runtime.supervisor.core import Core
from runtime.supervisor.desk import Desk
from runtime.supervisor.journal import Journal
from runtime.supervisor.prober import Prober
from runtime.supervisor.records import Recorder
from runtime.supervisor.spec import ActorLaunch, ChildSpec, RestartPolicy
from runtime.warm import messages as warm
from runtime.warm.link import WarmLink

PARENT = "warm-parent"
LOUD = frozenset({"failed", "killed", "unhealthy"})  # announcements that are warnings


class Cluster(msgspec.Struct, frozen=True):
    """What all children of a supervisor have in common."""

    data_dir: Path
    run_dir: Path
    actors: list[str]  # all names of the cluster
    remote: dict[str, dict[str, str]] = {}
    log_level: str = "info"
    preload: tuple[str, ...] = ()  # modules that the warm parent imports
    listen: dict[str, dict[str, str]] = {}  # by name: sockets that other machines may reach, as `Setup.listen`
    keys_dir: Path | None = None  # of CURVE keys

    @property
    def directory(self) -> Directory:
        return Directory(self.run_dir, self.actors, self.remote)

    def log_path(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"


class Supervisor:
    """Runs children until told to stop. `observer` is called with each announcement, in the loop."""

    def __init__(
        self,
        cluster: Cluster,
        specs: Iterable[ChildSpec],
        *,
        policy: RestartPolicy | None = None,
        observer: Callable[[events.Announce], None] = lambda announcement: None,
        clock: Clock | None = None,
    ):
        self.cluster = cluster
        self.core = Core(specs, policy)
        self.clock = clock or SystemClock()
        self.stopped = asyncio.Event()
        self.prober = Prober(cluster.directory)
        self.records = Recorder(cluster.data_dir)
        self.link: WarmLink | None = None
        self._observer = observer
        self._journal = Journal(cluster.log_path("supervisor"))
        self._desk = Desk(self)
        self._loop = asyncio.get_running_loop()
        self._events: deque[events.Event] = deque()
        self._is_handling = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BaseException | None = None

    async def run(self, link: WarmLink | None = None) -> None:
        """Live: start everything, keep it running, stop it in order. `link` is a warm parent that runs already."""
        self.link = link
        self._desk.open()
        for name in await asyncio.to_thread(self.records.end_left_over):
            self._journal.write("ended what the last run left", "warning", child=name)
        self._journal.write("starting", pid=os.getpid(), children=list(self.core.children))
        rotation = self._spawn(self._rotate_logs())
        self.tell(events.Start())
        try:
            await self.stopped.wait()
        finally:
            rotation.cancel()
            await self._end()
        if self._failure is not None:
            raise self._failure

    def tell(self, event: events.Event) -> None:
        """Let the core handle an event, and do what it wants done. Events that this causes are handled after it."""
        self._events.append(event)
        if self._is_handling:
            return
        self._is_handling = True
        try:
            while self._events:
                for action in self.core.handle(self._events.popleft(), self.clock.monotonic()):
                    self._act(action)
        finally:
            self._is_handling = False
        self._set_timer()

    def stop(self) -> None:
        """Stop in order; a second call, from an impatient user, kills what is left."""
        if self.core.stopping:
            for child in self.records.all():
                process.kill(child.pid, child.started)
        self.tell(events.Stop())

    def _act(self, action: events.Action) -> None:
        match action:
            case events.StartParent():
                self._spawn(self._start_parent())
            case events.KillParent(reason):
                self._journal.write("killing the warm parent", "error", reason=reason)
                if self.link is not None:
                    self.link.kill()
            case events.Fork(name, incarnation):
                self._fork(name, incarnation)
            case events.Signal(name, _, number):
                self.signal(name, number)
            case events.Probe(name, incarnation):
                self._spawn(self._probe(name, incarnation))
            case events.Announce():
                self._announce(action)
            case events.AllStopped():
                self.stopped.set()

    def signal(self, name: str, number: int) -> int:
        """Send a signal to a child; return its pid, 0 when it has no process."""
        pid = self.core.children[name].pid
        return pid if pid and process.kill(pid, self.records.started(name), number) else 0

    async def _start_parent(self) -> None:
        if self.link is None:
            self.link = WarmLink(self.cluster.log_path(PARENT), self.cluster.preload)
        await self.link.attach(self._on_parent, self._on_parent_lost)

    def _on_parent(self, message: warm.FromParent) -> None:
        match message:
            case warm.Ready():
                self.tell(events.ParentReady())
            case warm.Forked(name, incarnation, pid):
                self.records.add(name, pid)
                self.tell(events.Forked(name, incarnation, pid))
            case warm.ForkFailed(name, incarnation, reason):
                self.tell(events.ForkFailed(name, incarnation, reason))
            case warm.Exited(name, pid, code, number):
                self._forget(name)
                self.tell(events.Exited(name, pid, code, number, self._last_words(name, code)))

    def _last_words(self, name: str, code: int) -> str:
        """What a child that cannot serve said stands in its way."""
        if code != EXIT_CANNOT_SERVE:
            return ""
        words = last_words(self.cluster.run_dir, name)
        return words.read_text() if words.exists() else "it cannot serve; its log says why"

    def _forget(self, name: str) -> None:
        self.records.remove(name)
        self.prober.forget(self.core.children[name].spec)

    def _on_parent_lost(self, link: WarmLink, reason: str) -> None:
        self.link = None
        self._spawn(self._bury_children(reason))

    async def _bury_children(self, reason: str) -> None:
        """Its children are dead or dying; make sure of it before their successors start."""
        for child in self.records.all():
            process.kill(child.pid, child.started)
        for child in self.records.all():
            if not await asyncio.to_thread(process.wait_gone, child.pid, child.started, 10.0):
                self._journal.write("a process does not end", "error", child=child.name, pid=child.pid)
            self._forget(child.name)
        self.tell(events.ParentLost(reason))

    def _fork(self, name: str, incarnation: int) -> None:
        child = self.core.children[name]
        launch, log_path = child.spec.launch, str(self.cluster.log_path(name))
        assert self.link is not None, "a fork without a warm parent"
        self.prober.forget(child.spec)
        if isinstance(launch, ActorLaunch):
            setup = self._setup(child.spec, launch)
            self.link.send(warm.StartActor(name, incarnation, launch.target, setup, log_path))
        else:
            env = {**os.environ, **launch.env}
            self.link.send(warm.StartCommand(name, incarnation, launch.argv, env, launch.cwd, log_path))

    def _setup(self, spec: ChildSpec, launch: ActorLaunch) -> dict[str, Any]:
        cluster = self.cluster
        return {
            "name": spec.name,
            "role": spec.role,
            "node": spec.node,
            "settings": launch.settings,
            "data_dir": str(cluster.data_dir),
            "run_dir": str(cluster.run_dir),
            "actors": cluster.actors,
            "remote": cluster.remote,
            "log_level": cluster.log_level,
            "listen": cluster.listen.get(spec.name, {}),
            "keys_dir": str(cluster.keys_dir) if cluster.keys_dir is not None else None,
        }

    async def _probe(self, name: str, incarnation: int) -> None:
        health = await self.prober.probe(self.core.children[name].spec)
        self.tell(events.Probed(name, incarnation, health.state, health.detail))

    def _announce(self, announcement: events.Announce) -> None:
        name, what, detail = announcement.name, announcement.what, announcement.detail
        child = self.core.children.get(name)
        pid = child.pid if child is not None else 0
        level = "error" if what == "failed" else "warning" if what in LOUD else "info"
        self._journal.write(what, level, child=name, detail=detail, pid=pid)
        self._desk.publish(announcement, pid)
        self._observer(announcement)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self.core.next_wake()
        if at is not None and not self.stopped.is_set():
            delay_s = max(0.0, at - self.clock.monotonic())
            self._timer = self._loop.call_later(delay_s, self.tell, events.Wake())

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(journal.ROTATE_EVERY_S)
            self.records.catch_up()
            for name in await asyncio.to_thread(journal.turn_over, self.cluster.data_dir / "logs"):
                self._journal.write("log turned over", log=name)

    def _spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[Any]) -> None:
        """A task that failed broke an invariant: the supervisor ends, its children with it, and `run` raises."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._journal.write("broken", "error", error=repr(error))
            self._failure = self._failure or error
            self.stopped.set()

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        if self.link is not None:
            await self.link.close()
        self.prober.close()
        self._desk.close()
        self._journal.write("stopped")
        self._journal.close()


def handle_signals(supervisor: Supervisor) -> None:
    """Let the process's signals stop the supervisor in order."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
