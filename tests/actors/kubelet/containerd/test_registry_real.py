"""Images out of a real registry, Debian's docker-registry on loopback: tags, digests, credentials, what is missing.

`test_driver_real` pulls from an imitation, which every machine has; this one needs the program, or apt to fetch it.
"""

import asyncio
import contextlib
import http.client
import platform
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.kubelet.containerd.archive import File, ImageDescription, build
from actors.kubelet.containerd.faults import ImageNotFound, PullUnauthorized
from actors.kubelet.runtime import ImageAuth
from tests.actors.kubelet.containerd.node import Node, running_node
from tests.actors.kubelet.containerd.registry import blobs_of

pytestmark = pytest.mark.real

UP_LIMIT_S = 10.0
USER, PASSWORD = "reader", "secret"
HTPASSWD = (
    "reader:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"  # bcrypt, the only kind that it takes
)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = """
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
AUTH = "auth: {{htpasswd: {{realm: test, path: {path}}}}}\n"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return docker-registry: the machine's own, or one out of Debian's package, which is not installed for it."""
    found = shutil.which("docker-registry")
    if found:
        return found
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip("docker-registry is not installed")
    folder = tmp_path_factory.mktemp("docker-registry")
    fetched = subprocess.run(
        ["apt-get", "download", "-qq", "docker-registry"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    packages = list(folder.glob("*.deb"))
    if not packages:
        pytest.skip(f"docker-registry can't be fetched: {fetched.stderr.strip()}")
    subprocess.run(["dpkg", "-x", str(packages[0]), str(folder)], check=True, timeout=60)
    return str(folder / "usr/bin/docker-registry")


@pytest.fixture(scope="module")
def node(program: str) -> Iterator[Node]:
    with running_node() as node:
        yield node


@contextlib.contextmanager
def registry(program: str, folder: Path, *, password: bool) -> Iterator[int]:
    """Run a registry; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    text = CONFIG.format(folder=folder / "data", port=port)
    if password:
        (folder / "htpasswd").write_text(HTPASSWD)
        text += AUTH.format(path=folder / "htpasswd")
    (folder / "config.yml").write_text(text)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + UP_LIMIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "the registry does not answer"
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def push(port: int, archive: bytes, repository: str, tag: str) -> str:
    """Upload an image; returns its manifest's digest."""
    blobs = blobs_of(archive)
    digest = blobs.pop("manifest").decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Authorization": "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()}

    def ask(method: str, path: str, body: bytes = b"", **more: str) -> str:
        connection.request(method, path, body, headers | {name.replace("_", "-"): text for name, text in more.items()})
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status in (201, 202), (method, path, answer.status, said)
        return answer.headers.get("Location", "")

    for name, data in blobs.items():
        if name != digest:
            place = ask("POST", f"/v2/{repository}/blobs/uploads/")
            path = place.partition(f"127.0.0.1:{port}")[2] or place
            ask("PUT", f"{path}&digest={name}", data, Content_Type="application/octet-stream")
    ask("PUT", f"/v2/{repository}/manifests/{tag}", blobs[digest], Content_Type=MANIFEST)
    connection.close()
    return digest


def an_image() -> bytes:
    return build(ImageDescription("x", platform.machine(), {"hello": File(b"world")}, entrypoint=("/hello",)))


def test_tags_digests_and_what_is_missing(program: str, node: Node, tmp_path: Path):
    async def scenario(port: int, digest: str) -> None:
        async with node.driver() as driver:
            by_tag = await driver.pull_image(f"127.0.0.1:{port}/team/hello:1")
            found = await driver.image_status(f"127.0.0.1:{port}/team/hello:1")
            assert found is not None
            assert found.id == by_tag
            assert found.digests == (f"127.0.0.1:{port}/team/hello@{digest}",)
            await driver.remove_image(by_tag)
            by_digest = f"127.0.0.1:{port}/team/hello@{digest}"
            assert await driver.pull_image(by_digest) == by_tag
            await driver.remove_image(by_tag)
            assert await driver.image_status(by_digest) is None
            for missing in ("team/hello:2", "team/nothing:1", f"team/hello@sha256:{'0' * 64}"):
                with pytest.raises(ImageNotFound):
                    await driver.pull_image(f"127.0.0.1:{port}/{missing}")

    with registry(program, tmp_path, password=False) as port:
        asyncio.run(scenario(port, push(port, an_image(), "team/hello", "1")))


def test_credentials(program: str, node: Node, tmp_path: Path):
    async def scenario(reference: str) -> None:
        async with node.driver() as driver:
            for wrong in (None, ImageAuth(username=USER, password="guess"), ImageAuth(username="other")):
                with pytest.raises(PullUnauthorized):
                    await driver.pull_image(reference, wrong)
            image_id = await driver.pull_image(reference, ImageAuth(username=USER, password=PASSWORD))
            await driver.remove_image(image_id)
            packed = b64encode(f"{USER}:{PASSWORD}".encode()).decode()  # as pull secrets have it
            assert await driver.pull_image(reference, ImageAuth(auth=packed)) == image_id
            await driver.remove_image(image_id)

    with registry(program, tmp_path, password=True) as port:
        push(port, an_image(), "private/hello", "1")
        asyncio.run(scenario(f"127.0.0.1:{port}/private/hello:1"))
