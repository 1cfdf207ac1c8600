"""`kubus up --detach`: the supervisor in a process of its own, while this one shows what it reports and then leaves."""

import logging
import os
import sys
from collections.abc import Callable

from actors.cluster import exits
from actors.cluster.report import ConsoleReport, PipeReport, relay


def run_detached(serve: Callable[[PipeReport], int], console: ConsoleReport) -> int:
    """Call `serve` in a new session; return as soon as it is ready, or has failed. The status is its own."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() == 0:
        os.close(reader)
        _daemon(serve, writer)
    os.close(writer)
    try:
        with os.fdopen(reader) as lines:
            if relay(lines, console):
                return exits.OK
    except KeyboardInterrupt:
        console.failed("the cluster goes on coming up; `kubus down` stops it", exits.INTERRUPTED)
    if console.status == exits.OK:
        console.failed("the supervisor ended before the cluster was ready; see logs/supervisor.log", exits.FAILURE)
    return console.status


def _daemon(serve: Callable[[PipeReport], int], writer: int) -> None:
    status = exits.FAILURE
    try:
        os.setsid()
        os.chdir("/")
        _leave_terminal()
        status = serve(PipeReport(writer))
    except Exception as error:
        PipeReport(writer).failed(f"broken: {error!r}", status)
        logging.getLogger("kubus").exception("the supervisor is broken")
    finally:
        os._exit(status)


def _leave_terminal() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
