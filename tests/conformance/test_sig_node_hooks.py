"""sig-node: hooks run after a container has started and before it is ended; another pod hears of them over HTTP."""

import pytest

from tests.conformance.pods import SLEEP, Space, container, pod, restarts

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

# Answers every request, and says in its log which path was asked for.
EAR = "while true; do printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok' | nc -l -p 8080; done"


@pytest.fixture(scope="module")
def ear(space: Space) -> tuple[str, str]:
    """A pod that listens: its name and its address."""
    name = space.start(pod(container(EAR, ports=[{"containerPort": 8080}]), name="ear", restartPolicy="Always"))
    return name, space.ready(name)["status"]["podIP"]


def hook(address: str, kind: str, path: str) -> dict:
    if kind == "http":
        return {"httpGet": {"path": path, "host": address, "port": 8080}}
    return {"exec": {"command": ["sh", "-c", f"wget -qO- http://{address}:8080{path}"]}}


BEHAVIOURS = {
    "Pod Lifecycle, post start exec hook": ("postStart", "exec"),
    "Pod Lifecycle, post start http hook": ("postStart", "http"),
    "Pod Lifecycle, prestop exec hook": ("preStop", "exec"),
    "Pod Lifecycle, prestop http hook": ("preStop", "http"),
    "Pods, prestop hook": ("preStop", "exec"),
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_hook_is_called(behaviour: str, space: Space, ear: tuple[str, str]):
    moment, kind = BEHAVIOURS[behaviour]
    path = "/" + behaviour.lower().replace(" ", "-").replace(",", "")
    made = container(SLEEP, lifecycle={moment: hook(ear[1], kind, path)})
    name = space.start(pod(made, terminationGracePeriodSeconds=15))
    assert restarts(space.ready(name)) == 0
    asked = f"GET {path} HTTP"
    if moment == "preStop":
        assert asked not in space.log(ear[0])
        space.remove(name)
    space.read_until(ear[0], lambda text: asked in text, f"{path} was asked for")
