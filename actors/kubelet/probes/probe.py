"""What a series of probe results says of a container: the thresholds of startup, liveness and readiness probes.

Pure: results come in, a verdict comes out, and the time when the next probe is due. `prober` does the I/O. One `Prober`
of this module belongs to one container instance; a new instance gets a new one.

The rules: until the startup probe succeeded, the others wait; then it is never asked again. A verdict changes after
`failureThreshold` failures or `successThreshold` successes in a row. After a failed startup or liveness probe nothing
is asked any more: the instance is going to be killed.
"""

import enum
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from actors.kubelet.compute import Health

DEFAULT_PERIOD_S = 10
DEFAULT_TIMEOUT_S = 1
DEFAULT_SUCCESS_THRESHOLD = 1
DEFAULT_FAILURE_THRESHOLD = 3


class ProbeKind(enum.Enum):
    STARTUP = "Startup"
    LIVENESS = "Liveness"
    READINESS = "Readiness"


FIELDS = {
    ProbeKind.STARTUP: "startupProbe",
    ProbeKind.LIVENESS: "livenessProbe",
    ProbeKind.READINESS: "readinessProbe",
}


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    handler: dict[str, Any]  # the probe itself: exec | httpGet | tcpSocket | grpc
    initial_delay_s: float
    period_s: float
    timeout_s: float
    success_threshold: int
    failure_threshold: int
    grace_s: float | None

    @staticmethod
    def of(probe: dict[str, Any]) -> "ProbeSpec":
        grace = probe.get("terminationGracePeriodSeconds")
        return ProbeSpec(
            handler=probe,
            initial_delay_s=float(probe.get("initialDelaySeconds") or 0),
            period_s=float(probe.get("periodSeconds") or DEFAULT_PERIOD_S),
            timeout_s=float(probe.get("timeoutSeconds") or DEFAULT_TIMEOUT_S),
            success_threshold=int(probe.get("successThreshold") or DEFAULT_SUCCESS_THRESHOLD),
            failure_threshold=int(probe.get("failureThreshold") or DEFAULT_FAILURE_THRESHOLD),
            grace_s=None if grace is None else float(grace),
        )


@dataclass(slots=True)
class _Series:
    """One probe of one instance: the last verdict, and how often the same result came in a row."""

    spec: ProbeSpec
    verdict: bool
    due_s: float
    last: bool | None = None
    streak: int = 0

    def observe(self, passed: bool) -> None:
        self.streak = self.streak + 1 if passed == self.last else 1
        self.last = passed
        threshold = self.spec.success_threshold if passed else self.spec.failure_threshold
        if self.streak >= threshold:
            self.verdict = passed


class ContainerProbes:
    """The probes of one running container instance. Times are the caller's monotonic seconds."""

    def __init__(self, container: dict[str, Any], started_s: float):
        self._series: dict[ProbeKind, _Series] = {}
        for kind, field in FIELDS.items():
            if container.get(field):
                spec = ProbeSpec.of(container[field])
                self._series[kind] = _Series(spec, kind is ProbeKind.LIVENESS, started_s + spec.initial_delay_s)
        self._failed: ProbeKind | None = None
        self._is_ending = False

    @staticmethod
    def wanted(container: dict[str, Any]) -> bool:
        return any(container.get(field) for field in FIELDS.values())

    def spec(self, kind: ProbeKind) -> ProbeSpec:
        return self._series[kind].spec

    @property
    def health(self) -> Health:
        startup = self._series.get(ProbeKind.STARTUP)
        readiness = self._series.get(ProbeKind.READINESS)
        started = startup is None or startup.verdict
        return Health(
            started=started,
            ready=started and self._failed is None and (readiness is None or readiness.verdict),
            failed=self._failed.value if self._failed else "",
            grace_s=self._series[self._failed].spec.grace_s if self._failed else None,
        )

    def end(self) -> None:
        """The container is being ended: from now on it matters only whether it is ready."""
        self._is_ending = True

    def next_due(self, but: Container[ProbeKind] = ()) -> tuple[float, ProbeKind] | None:
        """Return when which probe is to be asked next, but for some; None when never again."""
        every = self._series.items()
        asked = [(series.due_s, kind) for kind, series in every if kind not in but and self._is_asked(kind)]
        return min(asked, key=lambda item: item[0], default=None)

    def begin(self, kind: ProbeKind, now_s: float) -> None:
        """Note that a probe is asked now: the next one is due a period later, however long this one takes."""
        series = self._series[kind]
        series.due_s = max(series.due_s, now_s - series.spec.period_s) + series.spec.period_s

    def observe(self, kind: ProbeKind, passed: bool) -> bool:
        """Take a result in; tell whether `health` changed. A late result of a probe that is over is dropped."""
        if not self._is_asked(kind):
            return False
        before = self.health
        series = self._series[kind]
        series.observe(passed)
        if kind is not ProbeKind.READINESS and not passed and series.streak >= series.spec.failure_threshold:
            self._failed = kind
        return self.health != before

    def adopt(self, started: bool, ready: bool) -> None:
        """Take over what an earlier kubelet knew of an instance that still runs, until the first result corrects it."""
        if ProbeKind.STARTUP in self._series:
            self._series[ProbeKind.STARTUP].verdict = started
        if ProbeKind.READINESS in self._series:
            self._series[ProbeKind.READINESS].verdict = ready

    def _is_asked(self, kind: ProbeKind) -> bool:
        if self._failed is not None or (self._is_ending and kind is not ProbeKind.READINESS):
            return False
        startup = self._series.get(ProbeKind.STARTUP)
        waiting_for_start = startup is not None and not startup.verdict
        return waiting_for_start if kind is ProbeKind.STARTUP else not waiting_for_start
