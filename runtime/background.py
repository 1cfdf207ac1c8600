"""Tasks that nobody awaits, and what the loop is told of: no failure of them goes unheard.

What nobody awaits nobody asks how it went: an exception in there is printed when Python collects the task, if ever, and
the work stays undone. So whoever begins such a task does it by `spawn`, and an exception that leaves it goes to the
loop's exception handler at once. In an actor (`actor`), that handler is `Listener`: an invariant broke, and the process
ends loudly, to be started again. What else asyncio tells its handler is sorted by `is_broken`.

Errors that are to be expected (BusError, a refusal of the API) must be dealt with inside of the task.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from bus import BusError

MESSAGE = "a background task failed"

# Raised by mistakes in the code and hardly by anything else.
MISTAKES = (AssertionError, AttributeError, TypeError, NameError, LookupError, ArithmeticError, NotImplementedError)

_running: set["asyncio.Task[Any]"] = set()  # the loop itself keeps none of its tasks alive


def spawn(coroutine: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
    """Run what nobody awaits. Whoever stops may cancel it, or await it after all."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: "asyncio.Task[Any]") -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        context = {"message": MESSAGE, "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)


class Listener:
    """The exception handler of an actor's loop: `fail` ends the process, anything else reaches the log."""

    def __init__(self, fail: Callable[[BaseException], None], log: Any):
        self._fail, self._log = fail, log

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        where = context.get("task") or context.get("future") or context.get("handle") or context.get("protocol")
        if error is not None and is_broken(context, error):
            self._log.error(context["message"], where=repr(where))
            self._fail(error)
        else:
            self._log.warning(context["message"], where=repr(where), error=repr(error), exc_info=error)


def is_broken(context: dict[str, Any], error: BaseException) -> bool:
    """Tell whether what asyncio complains of is an invariant that broke.

    A failed task of `spawn` and a callback's exception are: they left work undone that nobody asks after. Where a task
    was given up by those who awaited it, only a mistake counts, for it may have been ended by what it waited for. A
    connection's transport and protocol end with the connection, and a peer must not end more than that.
    """
    if context["message"] == MESSAGE:
        return True
    if isinstance(error, OSError | BusError) or "protocol" in context or "transport" in context:
        return False
    return "handle" in context or isinstance(error, MISTAKES)
