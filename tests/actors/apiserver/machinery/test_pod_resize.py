"""What a write to pods/resize may change."""

from typing import Any

from actors.apiserver.machinery.kinds.pod_resize import resize_causes


def spec(requests: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "c", "resources": {"requests": requests}, **more}], "restartPolicy": "Always"}


def paths(after: dict[str, Any], before: dict[str, Any]) -> list[str]:
    return [cause.field for cause in resize_causes(after, before)]


def test_cpu_and_memory_may_change() -> None:
    assert paths(spec({"cpu": "2", "memory": "1Gi"}), spec({"cpu": "1"})) == []


def test_nothing_else_may() -> None:
    after, before = spec({"example.com/gpu": "2"}), spec({"example.com/gpu": "1"})
    assert paths(after, before) == ["spec.containers[0].resources.requests[example.com/gpu]"]
    assert paths(spec({"cpu": "1"}), spec({"cpu": "1", "memory": "1"})) == ["spec.containers[0].resources.requests"]


def test_only_sidecars_of_init_containers() -> None:
    def with_init(cpu: str, **more: Any) -> dict[str, Any]:
        return {"initContainers": spec({"cpu": cpu}, **more)["containers"], "restartPolicy": "Always"}

    assert paths(with_init("2"), with_init("1")) == ["spec.initContainers[0].resources"]
    assert paths(with_init("2", restartPolicy="Always"), with_init("1", restartPolicy="Always")) == []


def test_a_restart_needs_a_pod_that_restarts() -> None:
    policy = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
    after, before = (spec({"cpu": cpu}, resizePolicy=policy) | {"restartPolicy": "Never"} for cpu in ("2", "1"))
    assert paths(after, before) == ["spec.containers[0].resources"]
