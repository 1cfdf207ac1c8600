"""Probe thresholds: results in, verdicts and due times out."""

from actors.kubelet.compute import Health
from actors.kubelet.probes.probe import ContainerProbes, ProbeKind

TCP = {"tcpSocket": {"port": 80}}
READINESS, LIVENESS, STARTUP = ProbeKind.READINESS, ProbeKind.LIVENESS, ProbeKind.STARTUP


def probes(**fields) -> ContainerProbes:
    return ContainerProbes({"name": "web", **fields}, started_s=100.0)


def test_without_probes_nothing_is_asked() -> None:
    assert not ContainerProbes.wanted({"name": "web"})
    assert probes().next_due() is None
    assert probes().health == Health()


def test_readiness_follows_its_thresholds() -> None:
    machine = probes(readinessProbe={**TCP, "successThreshold": 2, "failureThreshold": 2, "initialDelaySeconds": 5})
    assert machine.next_due() == (105.0, READINESS)
    assert not machine.health.ready
    assert machine.health.started
    changes = [machine.observe(READINESS, passed) for passed in (True, True, False, True, False, False, False)]
    assert changes == [False, True, False, False, False, True, False]


def test_a_probe_is_due_each_period_whatever_it_takes() -> None:
    machine = probes(readinessProbe={**TCP, "periodSeconds": 3})
    machine.begin(READINESS, 100.2)
    assert machine.next_due() == (103.0, READINESS)
    machine.begin(READINESS, 250.0)  # after a long stall it does not catch up
    assert machine.next_due() == (250.0, READINESS)


def test_liveness_passes_until_it_failed_thrice() -> None:
    machine = probes(livenessProbe={**TCP, "terminationGracePeriodSeconds": 4})
    assert machine.health.ready
    assert [machine.observe(LIVENESS, passed) for passed in (False, False, True, False, False)] == [False] * 5
    assert machine.observe(LIVENESS, False)
    assert machine.health == Health(started=True, ready=False, failed="Liveness", grace_s=4.0)
    assert machine.next_due() is None
    assert not machine.observe(LIVENESS, True)


def test_others_wait_for_startup_and_then_are_asked_at_once() -> None:
    machine = probes(startupProbe={**TCP, "periodSeconds": 1}, readinessProbe=TCP, livenessProbe=TCP)
    assert machine.next_due() == (100.0, STARTUP)
    machine.begin(STARTUP, 100.0)
    assert not machine.observe(READINESS, True)
    assert machine.health == Health(started=False, ready=False)
    assert machine.observe(STARTUP, True)
    assert machine.health == Health(started=True, ready=False)
    due = machine.next_due()
    assert due is not None
    assert due[0] == 100.0
    assert due[1] is not STARTUP
    assert machine.observe(READINESS, True)


def test_startup_fails_after_its_threshold() -> None:
    machine = probes(startupProbe={**TCP, "failureThreshold": 2})
    assert not machine.observe(STARTUP, False)
    assert machine.observe(STARTUP, False)
    assert machine.health.failed == "Startup"


def test_an_adopted_container_keeps_what_was_known() -> None:
    machine = probes(startupProbe=TCP, readinessProbe=TCP)
    machine.adopt(started=True, ready=True)
    assert machine.health == Health(started=True, ready=True)
    due = machine.next_due()
    assert due is not None
    assert due[1] is READINESS
