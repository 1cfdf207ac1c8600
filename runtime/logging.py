"""Logs: one JSON line an event, to the actor's own file (its standard error), with its name on every line."""

import logging
import sys
from typing import Any, TextIO, cast

from runtime.full_disk import Forbearing

# structlog imports rich wherever it is installed, to colour tracebacks on consoles: 3.5 MB that no process needs.
_imported = sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # None: importing it fails
import structlog  # noqa: E402

if _imported is None:
    del sys.modules["rich"]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str = "info", stream: TextIO | None = None, *, console: bool = False) -> None:
    """Send this process's log lines to `stream` (default standard error): JSON, or for people with `console`."""
    out = stream or sys.stderr
    renderer: Any = structlog.dev.ConsoleRenderer(colors=False) if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, Forbearing(out))),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=out, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", force=True)


def logger_of(actor: str) -> Any:
    """Return a logger whose every line names this actor."""
    return structlog.get_logger().bind(actor=actor)
