"""The warm parent: imports what actors share, then forks them on request.

A child of it starts in milliseconds and shares the memory pages of everything imported here. So that a fork is safe, it
has one thread and owns no socket but the pair that joins it to the supervisor; it blocks nowhere but in its selector.

It imports while nobody asks for anything. A request for an actor whose module is not there yet imports that first, with
all that is listed before it, and forks after it. A module that fails to import is left to the child, whose log tells
why.

What can go wrong: when the supervisor goes away, the pair closes and the warm parent exits, and its children with it
(`child` says how). When the warm parent dies, the supervisor starts a new one.

Neighbours: `link` is the supervisor's end, `messages` what is said, `child` what happens after the fork.
"""

import gc
import importlib
import logging
import os
import selectors
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping

from setproctitle import setproctitle

from runtime.warm import child
from runtime.warm.messages import (
    LENGTH,
    Begin,
    Exited,
    Forked,
    ForkFailed,
    Ready,
    StartActor,
    StartCommand,
    pack,
    to_parent,
)

log = logging.getLogger("kubus.warm")


class SupervisorGone(Exception):
    """The other end of the pair is closed."""


class WarmParent:
    """The loop of the warm parent, and its children by pid."""

    def __init__(self, pair: socket.socket, lifeline: int):
        self._pair = pair
        self._lifeline = lifeline
        self._preload: deque[str] = deque()
        self._children: dict[int, StartActor | StartCommand] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = os.pipe()

    def run(self) -> None:
        """Serve until the supervisor goes away."""
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _noop)  # a handler must exist for the wakeup to be written
        self._selector.register(self._pair, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        try:
            while True:
                self._turn()
        except (SupervisorGone, ConnectionError):
            return

    def _turn(self) -> None:
        ready = {key.fd for key, _ in self._selector.select(0 if self._preload else None)}
        if self._woken in ready:
            os.read(self._woken, 4096)
            self._reap()
        if self._pair.fileno() in ready:
            self._handle(self._receive())
        elif self._preload:
            _import(self._preload.popleft())

    def _receive(self) -> Begin | StartActor | StartCommand:
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        return to_parent.decode(self._read(length))

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._pair.recv(count - len(data))
            if not more:
                raise SupervisorGone
            data += more
        return data

    def _handle(self, message: Begin | StartActor | StartCommand) -> None:
        if isinstance(message, Begin):
            sys.path[:] = message.paths
            self._preload.extend(message.preload)
            self._pair.sendall(pack(Ready()))
            return
        if isinstance(message, StartActor):
            module = message.target.partition(":")[0]
            while module in self._preload:
                _import(self._preload.popleft())  # a child shares what is listed before it, too
            _import("runtime.actor")
            _import(module)
        try:
            self._fork(message)
        except OSError as error:
            self._pair.sendall(pack(ForkFailed(message.name, message.incarnation, str(error))))

    def _fork(self, message: StartActor | StartCommand) -> None:
        gc.freeze()  # so that a collection in a child leaves the shared pages alone
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._leave()
            child.become(message, parent, self._lifeline)
        self._children[pid] = message
        self._pair.sendall(pack(Forked(message.name, message.incarnation, pid)))

    def _leave(self) -> None:
        """In the child: give back all that is the warm parent's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        self._pair.close()
        os.close(self._woken)
        os.close(self._waker)

    def _reap(self) -> None:
        while self._children:
            pid, status = _reap_next(self._children)
            if not pid:
                return
            message = self._children.pop(pid)
            by_signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -by_signal
            self._pair.sendall(pack(Exited(message.name, pid, code, by_signal)))


def _noop(_number: int, _frame: object) -> None:
    """Do nothing: the wakeup descriptor tells the loop."""


def _reap_next(children: Mapping[int, StartActor | StartCommand]) -> tuple[int, int]:
    """Reap a child that has ended; return its pid, 0 when there is none, and its status.

    What an actor left running in its group is ended first, while the group's number can't belong to anybody else.
    """
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return os.waitpid(-1, os.WNOHANG)
    ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is None:
        return 0, 0
    if isinstance(children.get(ended.si_pid), StartActor):
        _kill_group(ended.si_pid)
    return os.waitpid(ended.si_pid, 0)


def _kill_group(pid: int) -> None:
    """End what an actor started and left behind, such as a running nft."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # nobody else was left in its group


def _import(module: str) -> None:
    """Import for the children to share. A failure is logged here and met again by the child that needs the module."""
    if module in sys.modules:
        return
    try:
        importlib.import_module(module)
    except Exception:
        log.exception("import of %s failed", module)


def main() -> None:
    """Entry point; the arguments are the descriptors of the pair and of the lifeline."""
    pair = socket.socket(fileno=int(sys.argv[1]))
    lifeline = int(sys.argv[2])
    os.set_inheritable(pair.fileno(), False)
    os.set_inheritable(lifeline, False)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the terminal's signals are the supervisor's affair
    gc.disable()
    setproctitle("kubus: warm-parent")
    WarmParent(pair, lifeline).run()
    os._exit(0)  # at once: whatever the imported libraries would do at an orderly end is not this process's business
