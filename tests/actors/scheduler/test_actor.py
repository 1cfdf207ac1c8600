"""The scheduler as a process, beside a real API server and state actor."""

import asyncio

import pytest

from actors.api.errors import ApiError
from actors.api.meta import get_condition
from tests.actors.control_plane import ControlPlane, control_plane, until
from tests.actors.scheduler.objects import Object, node

pytestmark = pytest.mark.timeout(90)


def a_pod(name: str, cpu: str, **spec) -> Object:
    container = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


async def bound_to(plane: ControlPlane, name: str) -> str:
    return (await plane.api.get("pods", name, "default"))["spec"].get("nodeName", "")


async def events(plane: ControlPlane, reason: str) -> list[str]:
    listed = await plane.api.list("events", "default")
    return [event["message"] for event in listed["items"] if event["reason"] == reason]


def test_pods_are_bound_and_told_about(tmp_path):
    async def scenario():
        async with control_plane(tmp_path, ["scheduler"]) as plane:
            plane.start("scheduler@m1")
            await plane.add_node(node("small", cpu="1"))
            await plane.api.create("pods", a_pod("fits", "1"))
            assert await until(lambda: bound_to(plane, "fits"), "not bound") == "small"
            await until(lambda: events(plane, "Scheduled"), "no event")
            assert await events(plane, "Scheduled") == ["Successfully assigned default/fits to small"]

            await plane.api.create("pods", a_pod("waits", "1"))
            message = "0/1 nodes are available: 1 Insufficient cpu."

            async def told() -> Object | None:
                pod = await plane.api.get("pods", "waits", "default")
                return get_condition(pod["status"].get("conditions"), "PodScheduled")

            condition = await until(told, "no condition")
            assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
            assert condition["message"] == message
            await until(lambda: events(plane, "FailedScheduling"), "no event")
            assert await events(plane, "FailedScheduling") == [message]

            await plane.add_node(node("second", cpu="1"))
            assert await until(lambda: bound_to(plane, "waits"), "not bound") == "second"

            await plane.api.create("pods", a_pod("third", "1"))
            await plane.api.delete("pods", "fits", "default", grace_period_s=0)
            assert await until(lambda: bound_to(plane, "third"), "not bound") == "small"

    asyncio.run(scenario())


def test_a_gated_pod_waits_for_its_gates(tmp_path):
    async def scenario():
        async with control_plane(tmp_path, ["scheduler"]) as plane:
            plane.start("scheduler@m1")
            await plane.add_node(node("n1"))
            await plane.api.create("pods", a_pod("gated", "1", schedulingGates=[{"name": "example.com/wait"}]))
            await plane.api.create("pods", a_pod("other", "1"))
            await until(lambda: bound_to(plane, "other"), "not bound")
            assert not await bound_to(plane, "gated")
            patch = [{"op": "remove", "path": "/spec/schedulingGates"}]
            await plane.api.patch("pods", "gated", patch, "default", kind="json")
            assert await until(lambda: bound_to(plane, "gated"), "not bound") == "n1"

    asyncio.run(scenario())


def test_only_the_leader_binds_and_another_takes_over_when_it_is_killed(tmp_path):
    async def scenario():
        async with control_plane(tmp_path, ["scheduler"]) as plane:
            await plane.add_node(node("n1", cpu="100"))
            for name in ("scheduler@m1", "scheduler@m2"):
                plane.start(name)

            async def leaders() -> list[str]:
                states = {name: await plane.inspect(name) for name in ("scheduler@m1", "scheduler@m2")}
                if not all(state.get("synced") for state in states.values()):
                    return []
                return [name for name, state in states.items() if state["leader"]]

            (leader,) = await until(leaders, "nobody leads")
            await plane.api.create("pods", a_pod("before", "1"))
            await until(lambda: bound_to(plane, "before"), "not bound")
            plane.kill(leader)
            await plane.api.create("pods", a_pod("after", "1"))
            await until(lambda: bound_to(plane, "after"), "not bound by the other")
            other = "scheduler@m2" if leader == "scheduler@m1" else "scheduler@m1"
            assert (await plane.inspect(other))["leader"]

    asyncio.run(scenario())


def test_pods_survive_the_death_of_the_scheduler_and_of_the_api_server(tmp_path):
    """Killed in the middle of a burst, each once: in the end every pod is bound, and no node holds more than it can."""

    async def scenario():
        async with control_plane(tmp_path, ["scheduler"]) as plane:
            for number in range(10):
                await plane.add_node(node(f"n{number}", cpu="10"))
            plane.start("scheduler@m1")
            for number in range(100):
                await plane.api.create("pods", a_pod(f"p{number}", "1"))
                if number == 40:
                    plane.kill("scheduler@m1")
                    plane.start("scheduler@m1")
                if number == 70:
                    plane.kill("apiserver@m1")
                    plane.start("apiserver@m1")
                    await until(lambda: plane.api.get("namespaces", "default"), "the API server did not come back")

            async def all_bound() -> list[str]:
                listed = await plane.api.list("pods", "default")
                on = [pod["spec"].get("nodeName") for pod in listed["items"]]
                return on if len(on) == 100 and all(on) else []

            on = await until(all_bound, "not all bound")
            assert all(on.count(f"n{number}") == 10 for number in range(10))

    asyncio.run(scenario())


def test_a_binding_for_a_pod_that_was_made_anew_is_refused(tmp_path):
    """The API server honours the uid that the scheduler puts into a Binding: an old decision binds no new pod."""
    from actors.scheduler.binding import binding_of

    async def scenario():
        async with control_plane(tmp_path, []) as plane:
            await plane.add_node(node("n1"))
            old = await plane.api.create("pods", a_pod("a", "1"))
            await plane.api.delete("pods", "a", "default", grace_period_s=0)
            await plane.api.create("pods", a_pod("a", "1"))
            with pytest.raises(ApiError) as refusal:
                await plane.api.create("pods", binding_of(old, "n1"), "default", subresource="binding", name="a")
            assert refusal.value.reason == "Conflict"
            assert not await bound_to(plane, "a")

    asyncio.run(scenario())
