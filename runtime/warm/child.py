"""What happens in a child between the warm parent's fork and the actor's, or the foreign command's, first line.

A child must not keep anything of its parent's that could do harm: descriptors, signal handlers, the disabled garbage
collector, the random state, the title. And it must not outlive the supervisor. When that dies, the warm parent ends,
and on Linux the kernel then kills every child of it at once. Elsewhere, or where the warm parent is stuck, the actor
itself sees its lifeline close: a pipe whose write end only the supervisor has.
"""

import ctypes
import os
import random
import signal
import sys
import traceback
from typing import NoReturn

from setproctitle import setproctitle

from runtime import garbage
from runtime.exits import EXIT_BROKEN
from runtime.warm.messages import StartActor, StartCommand

EXIT_NO_EXEC = 127  # as a shell says it: the command could not be executed
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LOG_MODE = 0o600


def become(message: StartActor | StartCommand, parent: int, lifeline: int) -> NoReturn:
    """Turn this fresh fork into the child; never returns."""
    code = EXIT_BROKEN
    try:
        os.setsid()
        _reset_signals()
        _redirect(message.log_path)
        if sys.platform == "linux":
            _die_with(parent)
        code = _run_actor(message, lifeline) if isinstance(message, StartActor) else _execute(message)
    except BaseException:  # noqa: BLE001 - the last frame of the process: whatever it was, it must end here
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def _reset_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _redirect(log_path: str) -> None:
    """Send output to the child's log, and read nothing. Appending writes of several processes do not tear."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, LOG_MODE)
    os.dup2(nothing, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(nothing)
    os.close(out)


def _run_actor(message: StartActor, lifeline: int) -> int:
    garbage.adapt()
    random.seed()
    setproctitle(f"kubus: {message.name}")
    # Imported here: the warm parent has it in its memory but does not depend on it, and so outlives its being broken.
    import msgspec

    from runtime.actor import Setup, run

    setup = msgspec.convert(message.setup, Setup, dec_hook=lambda kind, value: kind(value))  # Path(str)
    return run(message.target, setup, lifeline)


def _execute(message: StartCommand) -> int:
    os.chdir(message.cwd)
    try:
        os.execvpe(message.argv[0], message.argv, message.env)
    except OSError as error:
        os.write(2, f"cannot execute {message.argv[0]}: {error.strerror}\n".encode())
        return EXIT_NO_EXEC


def _die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL when the warm parent dies; it may have died just before."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        raise ProcessLookupError("the warm parent is gone")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue  # the disk is full: nowhere left to say so
