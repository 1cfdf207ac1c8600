"""Every method of the bus by name, found in the messages that the roles declare."""

import importlib
import importlib.util
import inspect

from bus.record import Request

CONTROL = "runtime.messages"  # what every actor answers, on its control socket
SUPERVISOR = "runtime.supervisor.messages"


def of_control() -> dict[str, type[Request]]:
    return _requests(CONTROL)


def of_supervisor() -> dict[str, type[Request]]:
    return _requests(SUPERVISOR)


def of_role(role: str) -> dict[str, type[Request]]:
    """Return what a role answers on its work socket: empty for a role without messages of its own."""
    module = f"actors.{role.replace('-', '_')}.messages"
    return _requests(module) if importlib.util.find_spec(module) is not None else {}


def _requests(module: str) -> dict[str, type[Request]]:
    found = vars(importlib.import_module(module)).values()
    return {
        kind.method: kind
        for kind in found
        if inspect.isclass(kind) and issubclass(kind, Request) and kind is not Request
    }
