"""Probes as they are asked: what counts, and what is told."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from prometheus_client import CollectorRegistry, generate_latest

from actors.kubelet.compute import Health
from actors.kubelet.metrics import ProbeMetrics
from actors.kubelet.probes.checks import Outcome, Target, check
from actors.kubelet.probes.prober import Prober
from actors.kubelet.runtime import ExecTimeout, RuntimeRefused, RuntimeUnreachable
from runtime.virtual_time import VirtualClock, run
from tests.actors.kubelet.pods import container, instance, pod, runtime, sandbox

# The request of grpc.health.v1, as Google's own library writes it.
_FILE = descriptor_pb2.FileDescriptorProto(name="health_of_tests.proto", package="health_of_tests", syntax="proto3")
_MESSAGE = _FILE.message_type.add(name="HealthCheckRequest")
_MESSAGE.field.add(
    name="service",
    number=1,
    type=descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
)


def health_request(service: str) -> bytes:
    known = message_factory.GetMessages([_FILE], pool=descriptor_pool.DescriptorPool())
    message = known["health_of_tests.HealthCheckRequest"](service=service)
    return bytes(message.SerializeToString())


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
        lines = [line for line in shown(prober).splitlines() if line.startswith("prober_probe_total")]
        assert sorted(lines) == [
            f'prober_probe_total{{{where},result="failed"}} 1.0',
            f'prober_probe_total{{{where},result="successful"}} 2.0',
            f'prober_probe_total{{{where},result="unknown"}} 1.0',
        ]
        took = f'prober_probe_duration_seconds_count{{container="web",namespace="default",pod="{name}"'
        assert f'{took},probe_type="Readiness"}} 3.0' in shown(prober)
        prober.forget(uid)
        assert "{" not in shown(prober)

    run(main())


def shown(prober: Prober) -> str:
    registry = CollectorRegistry()
    registry.register(ProbeMetrics(prober))
    return generate_latest(registry).decode()


def test_a_yes_with_a_remark_is_told() -> None:
    health, told = probed([Outcome(True, "Probe terminated redirects")], readinessProbe=EXEC)
    assert (health.ready, told) == (True, ["web: Readiness probe warning: Probe terminated redirects"])


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
    [(RuntimeUnreachable("away"), False), (ExecTimeout("slow"), True), (RuntimeRefused("no such command"), False)],
)
def test_what_an_exec_probe_makes_of_a_fault(fault: Exception, is_known: bool) -> None:
    class Driver:
        async def exec_sync(self, *_: Any) -> Any:
            raise fault

    target = Target("web-0", container("web"), ())
    outcome = asyncio.run(check(Driver(), target, {"exec": {"command": ["x"]}}, 1.0))  # type: ignore[arg-type]
    assert (outcome.passed, outcome.is_known) == (False, is_known)


class Asked:
    """Probes that are answered by name, or not at all; who was asked, and where."""

    def __init__(self, **answers: Outcome | None):
        self.answers = answers
        self.targets: list[Target] = []

    async def ask(self, target: Target, handler: dict[str, Any], timeout_s: float) -> Outcome:
        self.targets.append(target)
        answer = self.answers[handler["exec"]["command"][0]]
        if answer is None:
            await asyncio.Event().wait()
        assert answer is not None
        return answer

    def prober(self, **how: Any) -> Prober:
        clock = VirtualClock(asyncio.get_running_loop())
        return Prober(self.ask, lambda uid: None, lambda *_: None, clock, **how)


def exec_probe(name: str, **fields: Any) -> dict[str, Any]:
    return {"exec": {"command": [name]}, "periodSeconds": 1, **fields}


def test_a_probe_that_takes_longer_than_its_period_is_not_asked_again_meanwhile() -> None:
    async def main() -> None:
        asked = Asked(hangs=None)
        web = container("web", livenessProbe=exec_probe("hangs", timeoutSeconds=3600))
        prober = asked.prober()
        prober.follow(pod(web), runtime(instance(web)))
        await asyncio.sleep(60)
        assert len(asked.targets) == 1
        prober.forget("u1")

    run(main())


def test_a_pod_that_is_being_ended_still_says_whether_it_is_ready_but_not_whether_it_lives() -> None:
    async def main() -> None:
        asked = Asked(lives=PASSED, ready=PASSED)
        web = container(
            "web", livenessProbe=exec_probe("lives"), readinessProbe=exec_probe("ready", failureThreshold=1)
        )
        prober = asked.prober()
        prober.follow(pod(web), runtime(instance(web)))
        await asyncio.sleep(3)
        assert prober.healths("u1")["web-0"].ready
        prober.end("u1", runtime(instance(web)))
        asked.answers.update(lives=FAILED, ready=FAILED)
        await asyncio.sleep(60)
        health = prober.healths("u1")["web-0"]
        assert (health.ready, health.failed) == (False, "")
        prober.end("u1", runtime(instance(web, "exited")))
        asked.targets.clear()
        await asyncio.sleep(60)
        assert asked.targets == []
        assert not prober.healths("u1")["web-0"].ready
        prober.forget("u1")

    run(main())


def test_a_pod_in_its_nodes_network_is_asked_at_the_nodes_address_before_the_api_knows_of_it() -> None:
    async def main() -> None:
        asked = Asked(ready=PASSED)
        web = container("web", readinessProbe=exec_probe("ready"))
        prober = asked.prober(host_ips=("192.0.2.1",))
        prober.follow(pod(web, hostNetwork=True), runtime(instance(web), sandboxes=(sandbox(ips=()),)))
        await asyncio.sleep(2)
        assert {tuple(target.ips) for target in asked.targets} == {("192.0.2.1",)}
        prober.forget("u1")

    run(main())


@pytest.mark.parametrize("service", ["", "web", "s" * 127, "s" * 300])
def test_a_grpc_probe_names_its_service_and_knows_no_proxy(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    expected = health_request(service)

    class Health(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(lambda request, _: b"\x08\x01" if request == expected else b"")

    async def main() -> Outcome:
        server = grpc.aio.server(handlers=[Health()])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            target = Target("web-0", container("web"), ("127.0.0.1",))
            return await check(None, target, {"grpc": {"port": port, "service": service}}, 5.0)  # type: ignore[arg-type]
        finally:
            await server.stop(None)

    assert asyncio.run(main()) == PASSED
