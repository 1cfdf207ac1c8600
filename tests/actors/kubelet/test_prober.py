"""Probes as they are asked: what counts, and what is told."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from actors.kubelet.checks import Outcome, Target, check
from actors.kubelet.compute import Health
from actors.kubelet.metrics import ProbeMetrics
from actors.kubelet.prober import Prober
from actors.kubelet.runtime import ExecTimeout, RuntimeRefused, RuntimeUnreachable
from runtime.virtual_time import VirtualClock, run

from .pods import container, instance, pod, runtime

PASSED, FAILED = Outcome(True), Outcome(False, "sick")
NOBODY = Outcome(False, "containerd does not answer", is_known=False)
EXEC = {"exec": {"command": ["true"]}, "periodSeconds": 1, "failureThreshold": 2}


def probed(outcomes: Sequence[Outcome], **probes: Any) -> tuple[Health, list[str]]:
    """Return the health of a container, and what was told, once its probes have had these outcomes."""
    told: list[str] = []

    async def main() -> Health:
        answers, asked = iter(outcomes), asyncio.Event()

        async def ask(*_: Any) -> Outcome:
            answer = next(answers, None)
            if answer is None:
                asked.set()
                await asyncio.Event().wait()
            assert answer is not None
            return answer

        clock = VirtualClock(asyncio.get_running_loop())
        prober = Prober(ask, lambda uid: None, lambda pod, name, reason, text: told.append(f"{name}: {text}"), clock)
        web = container("web", **probes)
        made = pod(web)
        prober.follow(made, runtime(instance(web)))
        await asked.wait()
        health = prober.healths(made["metadata"]["uid"])["web-0"]
        prober.forget(made["metadata"]["uid"])
        return health

    return run(main()), told


def test_results_are_counted_while_the_pod_is_here() -> None:
    async def main() -> None:
        answers, done = iter([PASSED, FAILED, NOBODY, PASSED]), asyncio.Event()

        async def ask(*_: Any) -> Outcome:
            answer = next(answers, None)
            if answer is None:
                done.set()
                await asyncio.Event().wait()
            assert answer is not None
            return answer

        prober = Prober(ask, lambda uid: None, lambda *_: None, VirtualClock(asyncio.get_running_loop()))
        web = container("web", readinessProbe=EXEC)
        made = pod(web)
        uid, name = made["metadata"]["uid"], made["metadata"]["name"]
        assert "{" not in shown(prober)
        prober.follow(made, runtime(instance(web)))
        await done.wait()
        where = f'container="web",namespace="default",pod="{name}",pod_uid="{uid}",probe_type="Readiness"'
        lines = [line for line in shown(prober).splitlines() if not line.startswith("#")]
        assert sorted(lines) == [
            f'prober_probe_total{{{where},result="failed"}} 1.0',
            f'prober_probe_total{{{where},result="successful"}} 2.0',
            f'prober_probe_total{{{where},result="unknown"}} 1.0',
        ]
        prober.forget(uid)
        assert "{" not in shown(prober)

    run(main())


def shown(prober: Prober) -> str:
    registry = CollectorRegistry()
    registry.register(ProbeMetrics(prober))
    return generate_latest(registry).decode()


def test_each_failure_is_told() -> None:
    health, told = probed([FAILED, PASSED, FAILED], livenessProbe=EXEC)
    assert (health.failed, told) == ("", ["web: Liveness probe failed: sick"] * 2)


@pytest.mark.parametrize("kind", ["livenessProbe", "readinessProbe"])
def test_a_runtime_that_does_not_answer_says_nothing_of_the_container(kind: str) -> None:
    health, told = probed([PASSED, NOBODY, NOBODY, NOBODY, FAILED, NOBODY], **{kind: EXEC})
    assert (health.failed, health.ready) == ("", True)
    word = kind.removesuffix("Probe").capitalize()
    assert told.count(f"web: {word} probe errored and resulted in unknown state: containerd does not answer") == 4


@pytest.mark.parametrize(
    ("fault", "is_known"),
    [(RuntimeUnreachable("away"), False), (ExecTimeout("slow"), True), (RuntimeRefused("no such command"), True)],
)
def test_what_an_exec_probe_makes_of_a_fault(fault: Exception, is_known: bool) -> None:
    class Driver:
        async def exec_sync(self, *_: Any) -> Any:
            raise fault

    target = Target("web-0", container("web"), ())
    outcome = asyncio.run(check(Driver(), target, {"exec": {"command": ["x"]}}, 1.0))  # type: ignore[arg-type]
    assert (outcome.passed, outcome.is_known) == (False, is_known)
