"""What every task of a loop waits for: the first question when a process answers but something does not go on."""

import asyncio
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

MAX_TASKS = 500  # in one picture; more are counted
MAX_DEPTH = 40  # awaits inside awaits


def picture(loop: asyncio.AbstractEventLoop) -> str:
    """Return a line for each task: its name, and the chain of awaits down to what it waits for."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    lines = [f"{task.get_name()}: {' > '.join(_chain(task.get_coro()))}" for task in tasks[:MAX_TASKS]]
    if len(tasks) > MAX_TASKS:
        lines.append(f"... and {len(tasks) - MAX_TASKS} more")
    return "\n".join(lines)


def _chain(awaited: Any) -> list[str]:
    found: list[str] = []
    while awaited is not None and len(found) < MAX_DEPTH:
        if isinstance(awaited, CoroutineType):
            frame, following = awaited.cr_frame, awaited.cr_await
        elif isinstance(awaited, AsyncGeneratorType):
            frame, following = awaited.ag_frame, awaited.ag_await
        elif isinstance(awaited, GeneratorType):
            frame, following = awaited.gi_frame, awaited.gi_yieldfrom
        else:
            found.append(type(awaited).__name__)
            break
        place = f":{frame.f_lineno}" if frame is not None else ""
        found.append(f"{awaited.__qualname__}{place}")
        awaited = following
    return found
