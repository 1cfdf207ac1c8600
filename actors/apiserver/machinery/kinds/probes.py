"""Probes and lifecycle hooks."""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOK_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")
_SCHEMES = ("HTTP", "HTTPS")
_WINDOWS_SIGNALS = ("SIGKILL", "SIGTERM")
_SIGNALS = frozenset(
    {
        "SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO",
        "SIGIOT", "SIGKILL", "SIGPIPE", "SIGPOLL", "SIGPROF", "SIGPWR", "SIGQUIT", "SIGSEGV", "SIGSTKFLT", "SIGSTOP",
        "SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM",
        "SIGWINCH", "SIGXCPU", "SIGXFSZ", "SIGRTMIN", "SIGRTMAX",
        *(f"SIGRTMIN+{i}" for i in range(1, 16)), *(f"SIGRTMAX-{i}" for i in range(1, 15)),
    }
)  # fmt: skip
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def container_causes(container: dict[str, Any], path: str, spec: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with a container's probes and hooks; `spec` is its pod's."""
    causes = []
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            causes += _probe_causes(container[name], f"{path}.{name}", once=name != "readinessProbe")
    for name in ("postStart", "preStop"):
        handler = (container.get("lifecycle") or {}).get(name)
        if handler is not None:
            causes += _handler_causes(handler, f"{path}.lifecycle.{name}", _HOOK_HANDLERS)
            causes += _sleep_causes(handler.get("sleep"), f"{path}.lifecycle.{name}.sleep", spec)
    signal = (container.get("lifecycle") or {}).get("stopSignal")
    return causes if signal is None else causes + _signal_causes(signal, f"{path}.lifecycle.stopSignal", spec)


def _sleep_causes(action: dict[str, Any] | None, path: str, spec: dict[str, Any]) -> list[Cause]:
    seconds, grace = (action or {}).get("seconds", 0), spec.get("terminationGracePeriodSeconds")
    if action is None or grace is None or 0 <= seconds <= grace:
        return []
    detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
    return [field.invalid(path, seconds, detail)]


def _signal_causes(signal: str, path: str, spec: dict[str, Any]) -> list[Cause]:
    system = (spec.get("os") or {}).get("name")
    if not system:
        return [field.forbidden(path, "may not be set for containers with empty `spec.os.name`")]
    if system == "windows" and signal not in _WINDOWS_SIGNALS:
        return [field.not_supported(path, signal, _WINDOWS_SIGNALS)]
    return field.one_of(path, signal, _SIGNALS)


def _probe_causes(probe: dict[str, Any], path: str, once: bool) -> list[Cause]:
    causes = _handler_causes({k: v for k, v in probe.items() if k in _HANDLERS}, path, _HANDLERS)
    for name in _NUMBERS:
        causes += field.non_negative(f"{path}.{name}", probe.get(name))
    if once and probe.get("successThreshold", 1) != 1:
        causes.append(field.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and (grace <= 0 or not once):
        detail = "must be greater than 0" if once else "must not be set for readinessProbes"
        causes.append(field.invalid(f"{path}.terminationGracePeriodSeconds", grace, detail))
    return causes


def _handler_causes(handler: dict[str, Any], path: str, supported: tuple[str, ...]) -> list[Cause]:
    given = [name for name in supported if name in handler]
    if not given:
        return [field.required(path, "must specify a handler type")]
    causes = [field.forbidden(f"{path}.{name}", "may not specify more than 1 handler type") for name in given[1:]]
    name = given[0]
    action, at = handler[name], f"{path}.{name}"
    if name == "exec" and not action.get("command"):
        causes.append(field.required(f"{at}.command"))
    if name == "httpGet":
        causes += _http_get_causes(action, at)
    if name == "tcpSocket":
        causes += port_causes(action.get("port", 0), f"{at}.port")
    if name == "grpc":
        causes += port_causes(action.get("port", 0), f"{at}.port")
    return causes


def _http_get_causes(action: dict[str, Any], at: str) -> list[Cause]:
    causes = [] if action.get("path") else [field.required(f"{at}.path")]
    causes += port_causes(action.get("port", 0), f"{at}.port")
    causes += field.one_of(f"{at}.scheme", action.get("scheme", ""), _SCHEMES)
    for i, header in enumerate(action.get("httpHeaders") or ()):
        name = header.get("name", "")
        causes += field.messages(f"{at}.httpHeaders[{i}].name", name, names.http_header_name(name))
    return causes


def port_causes(port: int | str, path: str) -> list[Cause]:
    """Return what is wrong with a port that is a number or a container port's name."""
    if isinstance(port, int):
        return field.messages(path, port, names.port_number(port))
    return field.messages(path, port, names.port_name(port))
