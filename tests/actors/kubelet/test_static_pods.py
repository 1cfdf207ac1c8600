"""Static pods: files read as pods, their mirrors, and a whole node that runs them, with the API and without."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from actors.kubelet import pod as pods
from actors.kubelet.manifest import MAX_BYTES, BadManifest, read_manifest
from actors.kubelet.static_pods import _content, is_mirror, merged, mirror_of

from .test_node_kubelet import World, scenario

MANIFEST = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "image": "c:1"}], "serviceAccountName": "x"},
}
KEY = "default/web-w1"


def read(manifest: Any, path: str = "/m/web.yaml") -> dict[str, Any]:
    return read_manifest(json.dumps(manifest).encode(), path, "w1")


def test_a_file_is_a_pod_of_its_node() -> None:
    made = read(MANIFEST)
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("web-w1", "default")
    assert made["spec"]["nodeName"] == "w1"
    assert "serviceAccountName" not in made["spec"]
    assert pods.uid(made) == made["metadata"]["uid"] != pods.uid(read(MANIFEST, "/m/other.yaml"))
    assert pods.uid(read({**MANIFEST, "metadata": {"name": "web"}})) != pods.uid(made), "a changed file is another pod"


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "kind: Pod", "apiVersion: v1\nkind: Service", "{apiVersion: v1, kind: Pod}",
        *(
            f"{{apiVersion: v1, kind: Pod, metadata: {metadata}, spec: {spec}}}"
            for metadata, spec in (
                ("web", "{containers: [{name: c}]}"),
                ("[a]", "{containers: [{name: c}]}"),
                ("{name: ../../web}", "{containers: [{name: c, image: i}]}"),
                ("{name: web, namespace: a/b}", "{containers: [{name: c, image: i}]}"),
                ("{name: web, annotations: [a]}", "{containers: [{name: c, image: i}]}"),
                ("{name: web, labels: {a: 1}}", "{containers: [{name: c, image: i}]}"),
                ("{name: web}", "{containers: 3}"),
                ("{name: web}", "{containers: [c]}"),
                ("{name: web}", "{containers: [{image: i}]}"),
                ("{name: web}", "{containers: [{name: c, image: i}], initContainers: [{name: ../x, image: i}]}"),
                ("{name: web}", "{containers: [{name: c, image: i}], volumes: [v]}"),
                ("{name: web}", "{containers: [{name: c, image: i, volumeMounts: [{name: v}]}]}"),
                ("{name: web}", "{containers: [{name: c, image: i, resources: {limits: {cpu: much}}}]}"),
                ("{name: web}", "{containers: [{name: c, image: i}], securityContext: 3}"),
                ("{name: web}", "{containers: [{name: c, image: i}], terminationGracePeriodSeconds: soon}"),
            )
        ),
    ],
)  # fmt: skip
def test_what_is_no_pod(text: str) -> None:
    with pytest.raises(BadManifest):
        read_manifest(text.encode(), "/m/x.yaml", "w1")


def test_what_is_too_long_or_never_ends_is_not_read(tmp_path: Path) -> None:
    long, pipe = tmp_path / "long.yaml", tmp_path / "pipe.yaml"
    long.write_bytes(json.dumps(MANIFEST).encode() + b" " * MAX_BYTES)
    with pytest.raises(BadManifest, match="more than"):
        read_manifest(_content(long), str(long), "w1")
    os.mkfifo(pipe)
    with pytest.raises(BadManifest, match="not a file"):
        _content(pipe)


def test_a_mirror_gives_its_identity_and_nothing_else() -> None:
    made = read(MANIFEST)
    mirror = mirror_of(made, {"metadata": {"name": "w1", "uid": "n1"}})
    assert is_mirror(mirror)
    assert not is_mirror(made)
    assert mirror["metadata"]["ownerReferences"][0]["uid"] == "n1"
    mirror["metadata"] |= {"uid": "m1", "resourceVersion": "7", "deletionTimestamp": "2024-01-01T00:00:00Z"}
    seen = merged(made, mirror)
    assert seen["metadata"]["uid"] == "m1"
    assert pods.uid(seen) == pods.uid(made)
    assert not pods.is_deleting(seen), "whoever deletes the mirror does not end the pod"


def write(world: World, **changes: Any) -> Path:
    path = world.data_dir / "manifests" / "web.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**MANIFEST, **changes}))
    return path


def _uid(world: World) -> str:
    return _uid_of(world.api.pod("web-w1"))


def _uid_of(found: dict[str, Any] | None) -> str:
    return str(found["metadata"]["uid"]) if found is not None else ""


def ready(world: World) -> bool:
    return world.ready("web-w1")


def test_a_static_pod_comes_and_goes_with_its_file(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        file = write(world)
        await world.until(lambda: ready(world))
        first = world.only("web-w1")["containerID"]
        mirror = world.api.pod("web-w1")
        world.api.request_deletion("web-w1", 30)
        await world.until(lambda: ready(world) and _uid(world) != _uid_of(mirror))
        assert world.only("web-w1")["containerID"] == first, "its mirror was made again, it ran on"
        await world.kill()
        await world.start()
        await asyncio.sleep(5)
        assert world.only("web-w1")["containerID"] == first, "a new kubelet adopts it"
        write(world, metadata={"name": "web", "labels": {"app": "other"}})
        await world.until(lambda: ready(world) and world.only("web-w1")["containerID"] != first, 120)
        file.unlink()
        await world.until(lambda: world.api.pod("web-w1") is None, 120)
        await world.until(lambda: not world.node or not len(world.node.pods), 120)

    scenario(tmp_path, play, manifests=True)


def test_without_the_api_it_starts_all_the_same(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.api.away(True)
        write(world)
        await world.until(lambda: any(item.running() for _, item in world.node.pods.watched()))  # type: ignore[union-attr]
        world.api.away(False)
        await world.until(lambda: ready(world))

    scenario(tmp_path, play, manifests=True)


SLOW = {"name": "web", "annotations": {"simulated.kubus.dev/stop-seconds": "5"}}


def running(world: World) -> list[str]:
    assert world.node is not None
    each = world.node.observer.containers()
    return [item.container.pod_uid for item in each if item.container.state.value == "running"]


def test_a_pod_of_the_same_name_waits_until_the_one_before_is_gone(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        write(world, metadata=SLOW)
        await world.until(lambda: ready(world))
        first = running(world)
        write(world, metadata={**SLOW, "labels": {"app": "other"}})
        await world.until(lambda: running(world) not in (first, []) and ready(world))
        assert world.clock.monotonic() > 5
        assert len(running(world)) == 1

    async def watch(world: World) -> None:
        watching = asyncio.ensure_future(never_two(world))
        try:
            await play(world)
        finally:
            watching.cancel()
        assert not watching.done() or watching.cancelled(), "two at once"

    async def never_two(world: World) -> None:
        while True:
            if world.node is not None and len(running(world)) > 1:
                return
            await asyncio.sleep(0.01)

    scenario(tmp_path, watch, manifests=True)


def test_a_file_that_is_put_back_while_its_pod_ends_runs_again(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        file = write(world, metadata=SLOW)
        await world.until(lambda: ready(world))
        first = world.only("web-w1")["containerID"]
        text = file.read_text()
        file.unlink()
        await asyncio.sleep(2.5)
        file.write_text(text)
        await world.until(lambda: ready(world) and world.only("web-w1")["containerID"] != first)

    scenario(tmp_path, play, manifests=True)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"containers": [5]}, "spec.containers[0]"),
        ({"containers": [{"name": "c"}]}, "`image`"),
        ({"containers": [{"name": "C_", "image": "i"}]}, "name"),
        ({"containers": [{"name": "c", "image": "i"}] * 2}, "two containers have the same name"),
        ({"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "many"}}}]}, "'many'"),
        ({"containers": [{"name": "c", "image": "i", "livenessProbe": {"httpGet": {}}}]}, "port"),
        ({"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": "x"}]}]}, "containerPort"),
        ({"containers": [{"name": "c", "image": "i", "envFrom": [{"secretRef": {"name": "s"}}]}]}, "envFrom"),
        ({"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "secret": {}}]}, "volumes[v].secret"),
        ({"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": "soon"}, "Grace"),
    ],
)
def test_what_a_node_could_not_run_is_refused_in_words(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(BadManifest, match="web.yaml") as error:
        read({**MANIFEST, "spec": spec})
    assert said in str(error.value)
