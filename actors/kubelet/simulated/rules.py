"""How simulated containers behave, and how a pod's annotations change that. Pure.

    simulated.kubus.dev/start-latency-ms: "200"   from start to running (start_latency_ms of the config)
    simulated.kubus.dev/run-seconds: "5"          containers end by themselves after so long
    simulated.kubus.dev/exit-code: "1"            with this exit code (0)
    simulated.kubus.dev/stop-seconds: "1"         how long a container takes to end after SIGTERM (0)
    simulated.kubus.dev/ready: "false"            readiness probes fail
    simulated.kubus.dev/start-error: "no such file"   containers can't be started
    simulated.kubus.dev/cpu: 200m, /memory: 64Mi      what each container is seen to use (its requests)
    simulated.kubus.dev/container.NAME.RULE       the same for one container, as `container.web.exit-code`

Every image is there, but none of a registry in the domain `invalid`, which never exists (RFC 2606): `a.invalid/b:1`.
Without annotations init containers and those of Jobs end well after a moment, all others run until they are stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "simulated.kubus.dev/"
FINITE_RUN_S = 0.05  # of init containers and Jobs, without an annotation


@dataclass(frozen=True, slots=True)
class Behaviour:
    start_latency_s: float
    run_s: float | None  # None: until it is stopped
    exit_code: int = 0
    stop_s: float = 0.0
    start_error: str = ""


def behaviour(annotations: Mapping[str, str], container: str, is_finite: bool, start_latency_s: float) -> Behaviour:
    """Return what a container of a pod with these annotations does. A malformed number is as if it were not there."""
    rules = {key.removeprefix(PREFIX): value for key, value in annotations.items() if key.startswith(PREFIX)}

    def rule(name: str) -> str:
        return rules.get(f"container.{container}.{name}", rules.get(name, ""))

    latency_ms = _number(rule("start-latency-ms"))
    run_s = _number(rule("run-seconds"))
    exit_code = _number(rule("exit-code"))
    if run_s is None and (is_finite or rule("exit-code")):
        run_s = FINITE_RUN_S
    return Behaviour(
        start_latency_s=start_latency_s if latency_ms is None else latency_ms / 1000,
        run_s=run_s,
        exit_code=int(exit_code or 0),
        stop_s=_number(rule("stop-seconds")) or 0.0,
        start_error=rule("start-error"),
    )


def is_pullable(reference: str) -> bool:
    registry = reference.partition("/")[0].partition(":")[0]
    return not registry.endswith(".invalid")


def is_ready(annotations: Mapping[str, str]) -> bool:
    return annotations.get(PREFIX + "ready", "true") != "false"


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number >= 0 else None
