"""The driver against a real containerd, crun (where it works, else runc), CNI and kernel."""

import asyncio
import contextlib
import json
import os
import platform
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.cluster.leftovers import survey
from actors.kubelet.containerd import cni_records, pause_profile
from actors.kubelet.containerd.archive import File, ImageDescription, build
from actors.kubelet.containerd.faults import ImageNotFound, InvalidImageName, PullUnauthorized, RegistryUnreachable
from actors.kubelet.containerd.handlers import NAMES
from actors.kubelet.containerd.places import places_of
from actors.kubelet.containerd.remains import SHIM, TASKS
from actors.kubelet.runtime import (
    ContainerSecurity,
    ContainerState,
    EventKind,
    ExecTimeout,
    ImageAuth,
    Mount,
    NamespaceMode,
    NotInRuntime,
    PortMapping,
    Resources,
    RuntimeRefused,
    RuntimeUnreachable,
    Seccomp,
)
from actors.kubelet.volumes.mounting import mount_layers, unmount
from tests.actors.kubelet.containerd.node import (
    POD_CIDR,
    TOOLBOX,
    Node,
    container,
    running_node,
    sandbox,
    until_up,
)
from tests.actors.kubelet.containerd.registry import PASSWORD, USER, registry

pytestmark = pytest.mark.real

EVENT_LIMIT_S = 0.1  # from a process' end until its event: 1.5 ms on an idle machine
FOREVER = ("/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done")


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with running_node() as node:
        asyncio.run(prepared(node))
        yield node


async def prepared(node: Node) -> None:
    async with node.driver() as driver:
        await driver.ensure_network([POD_CIDR])


async def gone(driver, *sandbox_ids: str) -> None:
    for sandbox_id in sandbox_ids:
        await driver.stop_sandbox(sandbox_id)
        await driver.remove_sandbox(sandbox_id)


async def until(condition, limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not await condition():
            await asyncio.sleep(0.01)


def test_two_containers_share_volume_and_network(node):
    async def scenario():
        async with node.driver() as driver:
            volume = node.data_dir / "volume"
            volume.mkdir()
            sandbox_id = await driver.run_sandbox(sandbox(node, "pair"))
            mounts = (Mount(str(volume), "/www"),)
            server = await driver.create_container(
                sandbox_id, container("pair", "server", "httpd", "-f", "-p", "8080", "-h", "/www", mounts=mounts)
            )
            writer = await driver.create_container(
                sandbox_id,
                container("pair", "writer", *FOREVER, mounts=mounts, env=(("GREETING", "hello"),)),
            )
            for container_id in (server, writer):
                await driver.start_container(container_id)
            written = await driver.exec_sync(writer, ["sh", "-c", "echo $GREETING > /www/index.html"], 5)
            assert (written.exit_code, written.stderr) == (0, b"")
            fetch = ["wget", "-q", "-O-", "http://127.0.0.1:8080/"]

            async def served():
                return (await driver.exec_sync(writer, fetch, 5)).stdout == b"hello\n"

            await until(served)
            status = await driver.sandbox_status(sandbox_id)
            assert status.ips[0].startswith("10.77.0.")
            state = await driver.list()
            found = {item.name: item for item in state.containers if item.pod_name == "pair"}
            assert {name: item.state for name, item in found.items()} == {
                "server": ContainerState.RUNNING,
                "writer": ContainerState.RUNNING,
            }
            assert found["server"].image == TOOLBOX
            assert found["server"].sandbox_id == sandbox_id
            assert {item.id for item in await driver.stats()} >= {server, writer}
            await gone(driver, sandbox_id)
            assert "uid-pair" not in driver.cgroups.pods()

    asyncio.run(scenario())


def test_an_exit_is_told_at_once(node):
    async def scenario():
        async with node.driver() as driver:
            sandbox_id = await driver.run_sandbox(sandbox(node, "brief"))
            events = await driver.events()
            container_id = await driver.create_container(
                sandbox_id, container("brief", "c", "sh", "-c", "echo out; echo err >&2; exit 3")
            )
            await driver.start_container(container_id)
            async with asyncio.timeout(10):
                async for event in events:
                    if event.kind is EventKind.EXITED and event.id == container_id:
                        break
            seen_ns = time.time_ns()
            await events.aclose()
            assert event.exit_code == 3

            async def ended():
                return (await driver.container_status(container_id)).container.state is ContainerState.EXITED

            await until(ended)
            status = await driver.container_status(container_id)
            assert (status.exit_code, status.reason) == (3, "Error")
            assert (seen_ns - status.finished_ns) / 1e9 < EVENT_LIMIT_S
            log = Path(status.log_path)
            assert log == node.data_dir / "nodes/m1/logs/brief/c/0.log"
            lines = sorted(line.split(" ", 1)[1] for line in log.read_text().splitlines())
            assert lines == ["stderr F err", "stdout F out"]
            await gone(driver, sandbox_id)

    asyncio.run(scenario())


def test_memory_beyond_the_limit_is_an_oom_kill(node):
    async def scenario():
        async with node.driver() as driver:
            limit = Resources(memory_limit_bytes=32 << 20, cpu_shares=256)
            sandbox_id = await driver.run_sandbox(sandbox(node, "greedy", pod_resources=limit))
            container_id = await driver.create_container(
                sandbox_id,
                container("greedy", "c", "tail", "/dev/zero", resources=Resources(memory_limit_bytes=16 << 20)),
            )
            await driver.start_container(container_id)

            async def killed():
                status = await driver.container_status(container_id)
                return status.container.state is ContainerState.EXITED and status.reason == "OOMKilled"

            await until(killed)
            assert (await driver.container_status(container_id)).exit_code == 137
            await gone(driver, sandbox_id)

    asyncio.run(scenario())


def test_security_context(node):
    async def scenario():
        async with node.driver() as driver:
            security = ContainerSecurity(
                run_as_user=1234,
                run_as_group=2345,
                readonly_rootfs=True,
                no_new_privileges=True,
                drop_capabilities=("ALL",),
                seccomp=Seccomp("RuntimeDefault"),
            )
            sandbox_id = await driver.run_sandbox(sandbox(node, "safe", pid=NamespaceMode.POD))
            spec = container("safe", "c", *FOREVER, security=security, resources=Resources(oom_score_adj=-900))
            container_id = await driver.create_container(sandbox_id, spec)
            await driver.start_container(container_id)
            script = "id -u; id -g; touch /x; grep -E 'NoNewPrivs|CapEff|Seccomp:' /proc/self/status"
            found = await driver.exec_sync(container_id, ["sh", "-c", script], 5)
            lines = found.stdout.decode().split()
            assert lines[:2] == ["1234", "2345"]
            assert b"Read-only file system" in found.stderr
            assert lines[2:] == ["CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"]
            pause = await driver.exec_sync(container_id, ["grep", "Seccomp:", "/proc/1/status"], 5)
            assert pause.stdout.split() == [b"Seccomp:", b"2"]
            await gone(driver, sandbox_id)

    asyncio.run(scenario())


def test_what_cannot_start_says_why(node):
    async def scenario():
        async with node.driver() as driver:
            with pytest.raises(ImageNotFound, match="kubus image import"):
                await driver.pull_image("kubus.local/absent:1")
            assert await driver.image_status("kubus.local/absent:1") is None
            sandbox_id = await driver.run_sandbox(sandbox(node, "bad"))
            container_id = await driver.create_container(sandbox_id, container("bad", "c", "/no/such/program"))
            with pytest.raises(RuntimeRefused, match="(?i)no such file"):
                await driver.start_container(container_id)
            assert (await driver.container_status(container_id)).reason == "StartError"
            with pytest.raises(NotInRuntime):
                await driver.container_status("0" * 64)
            await gone(driver, sandbox_id, sandbox_id)

    asyncio.run(scenario())


def test_a_sandbox_that_is_not_made_leaves_no_cgroup(node):
    async def scenario():
        async with node.driver() as driver:
            refused = sandbox(node, "unmade", runtime_handler="no-such-runtime")
            with pytest.raises(RuntimeRefused):
                await driver.run_sandbox(refused)
            assert refused.pod_uid not in driver.cgroups.pods()
            await driver.resize_pod(refused.pod_uid, Resources(memory_limit_bytes=1 << 26))
            assert refused.pod_uid not in driver.cgroups.pods(), "what is gone is not made again by a resize"

    asyncio.run(scenario())


def test_pulls_and_why_they_fail(node):
    described = ImageDescription("x", platform.machine(), {"hello": File(b"world")}, entrypoint=("/hello",))

    async def scenario(address):
        async with node.driver() as driver:
            reference = f"{address}/library/hello:1"
            auth = ImageAuth(username=USER, password=PASSWORD)
            with pytest.raises(PullUnauthorized):
                await driver.pull_image(reference)
            with pytest.raises(PullUnauthorized):
                await driver.pull_image(reference, ImageAuth(username=USER, password="wrong"))
            with pytest.raises(ImageNotFound):
                await driver.pull_image(f"{address}/library/absent:1", auth)
            with pytest.raises(RegistryUnreachable):
                await driver.pull_image("127.0.0.1:1/library/hello:1")
            with pytest.raises(InvalidImageName):
                await driver.pull_image("Not An Image")
            image_id = await driver.pull_image(reference, auth)
            found = await driver.image_status(reference)
            assert found is not None
            assert found.id == image_id
            assert found.tags == (reference,)
            assert found.digests[0].startswith(f"{address}/library/hello@sha256:")
            await driver.remove_image(image_id)
            assert await driver.image_status(reference) is None
            await driver.remove_image(image_id)

    with registry(build(described), "library/hello", "1") as address:
        asyncio.run(scenario(address))


def test_exec_and_stop_keep_their_time(node):
    async def scenario():
        async with node.driver() as driver:
            sandbox_id = await driver.run_sandbox(sandbox(node, "timely"))
            container_id = await driver.create_container(sandbox_id, container("timely", "c", *FOREVER))
            await driver.start_container(container_id)
            with pytest.raises(ExecTimeout):
                await driver.exec_sync(container_id, ["sleep", "30"], 1)
            begun = time.monotonic()
            await driver.stop_container(container_id, 30)
            assert time.monotonic() - begun < 5
            assert (await driver.container_status(container_id)).exit_code == 0
            deaf = await driver.create_container(sandbox_id, container("timely", "deaf", "sleep", "1000"))
            await driver.start_container(deaf)
            begun = time.monotonic()
            await driver.stop_container(deaf, 1)
            assert 0.9 < time.monotonic() - begun < 6
            assert (await driver.container_status(deaf)).exit_code == 137
            await gone(driver, sandbox_id)

    asyncio.run(scenario())


@pytest.mark.parametrize("torn", ["", '{"kind": "cniCacheV1", "containerI'])
def test_a_record_of_a_network_that_a_killed_containerd_did_not_finish_is_in_nobodys_way(node, torn):
    async def scenario():
        async with node.driver() as driver:
            sandbox_id = await driver.run_sandbox(sandbox(node, "torn"))
            (record,) = cni_records.RECORDS.glob(f"*-{sandbox_id}-eth0")
            record.write_text(torn)
            await driver.stop_sandbox(sandbox_id)
            assert not record.exists()
            await gone(driver, sandbox_id)
            assert list(driver.places.cni_addresses.rglob("10.77.0.*")) == []

    asyncio.run(scenario())


def test_a_host_port_leads_to_its_pod_and_to_one_only(node):
    async def scenario():
        async with node.driver() as driver:
            port = (PortMapping("TCP", 80, 18080),)
            sandbox_id = await driver.run_sandbox(sandbox(node, "host", port_mappings=port))
            serve = "echo here > /www/index.html; exec httpd -f -p 80 -h /www"
            container_id = await driver.create_container(sandbox_id, container("host", "c", "sh", "-c", serve))
            await driver.start_container(container_id)

            async def reached():
                reply = await asyncio.to_thread(fetch, "127.0.0.1:18080")
                return reply == "here\n"

            await until(reached)
            with pytest.raises(RuntimeRefused, match="host ports"):
                await driver.run_sandbox(sandbox(node, "second", port_mappings=port))
            state = await driver.list()
            assert "second" not in {item.pod_name for item in state.sandboxes}
            async with node.driver() as restarted:
                await restarted.ensure_network([POD_CIDR])  # makes the rules anew, with this port in them
                await until(reached)
                await gone(restarted, sandbox_id)
            assert await asyncio.to_thread(fetch, "127.0.0.1:18080") == ""

    asyncio.run(scenario())


def fetch(address: str) -> str:
    """Fetch from within the test's network namespace: a program started here is in it."""
    command = ["/bin/busybox", "wget", "-q", "-O-", f"http://{address}/"]
    return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout


def test_containers_outlive_containerd_and_a_new_driver_takes_them_over(node):
    async def scenario():
        async with node.driver() as driver:
            sandbox_id = await driver.run_sandbox(sandbox(node, "lasting"))
            container_id = await driver.create_container(sandbox_id, container("lasting", "c", *FOREVER))
            await driver.start_container(container_id)
            before = await driver.container_status(container_id)
            events = await driver.events()
            node.kill()
            with pytest.raises(RuntimeUnreachable):
                async with asyncio.timeout(10):
                    async for _ in events:
                        pass
            with pytest.raises(RuntimeUnreachable):
                await driver.list()
            node.start()
            await until_up(driver)
            assert await driver.container_status(container_id) == before
        async with node.driver() as another:
            second = await another.create_container(sandbox_id, container("lasting", "second", *FOREVER))
            await another.start_container(second)
            status = await another.container_status(second)
            assert status.log_path == str(node.data_dir / "nodes/m1/logs/lasting/second/0.log")
            await gone(another, sandbox_id)

    asyncio.run(scenario())


def test_what_a_containerd_that_died_was_making_is_forgotten(node):
    """Its leases would keep it, a container's snapshot say, for a day. Those of the living one are its own business."""

    socket = places_of(node.data_dir, "m1").socket

    def leases(*words: str) -> set[str]:
        command = ["ctr", "-a", str(socket), "-n", "k8s.io", "leases", *words]
        return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())

    async def scenario():
        leases("create", "--id", "left", "--expires", "24h")
        node.kill()
        node.start()
        async with node.driver() as driver:
            await until_up(driver)
            leases("create", "--id", "living", "--expires", "24h")
            assert leases("ls", "-q") == {"left", "living"}
            await driver.ensure_network([POD_CIDR])
            assert leases("ls", "-q") == {"living"}
        leases("delete", "living")

    asyncio.run(scenario())


def test_a_shim_that_containerd_did_not_live_to_hear_of_is_ended(node):
    """As it is when containerd is killed as it makes a sandbox: it finds neither task nor container when it is back."""
    places = places_of(node.data_dir, "m1")
    bundle = places.state / "io.containerd.runtime.v2.task/k8s.io/left"

    def shim(identity: str) -> subprocess.Popen:
        """Begin a process that waits, and looks like one."""
        words = [SHIM, "-c", "read never", "-id", identity, "-address", str(places.socket)]
        return subprocess.Popen(words, executable="/bin/sh", stdin=subprocess.PIPE)

    async def scenario():
        async with node.driver() as driver:
            sandbox_id = await driver.run_sandbox(sandbox(node, "stays"))
            left = shim("left")
            node.kill()
            node.start()
            await until_up(driver)
            bundle.mkdir()
            os.utime(bundle, (1.0, 1.0))
            with shim("young") as young:
                await driver.ensure_network([POD_CIDR])
                assert (left.wait(10), bundle.exists()) == (-signal.SIGKILL, False)
                assert young.poll() is None, "what is younger than containerd may be in the making"
                young.kill()
            assert (await driver.sandbox_status(sandbox_id)).sandbox.ready
            await gone(driver, sandbox_id)

    asyncio.run(scenario())


def test_a_pause_container_may_do_nothing_that_the_default_profile_forbids(node):
    """containerd renders its default into the bundle of a sandbox that asks for it; ours is part of that."""

    async def scenario():
        default = ContainerSecurity(seccomp=Seccomp("RuntimeDefault"))
        async with node.driver() as driver:
            sandbox_id = await driver.run_sandbox(sandbox(node, "default-profile", security=default))
            bundle = driver.places.state / "io.containerd.runtime.v2.task/k8s.io" / sandbox_id
            rules = json.loads((bundle / "config.json").read_text())["linux"]["seccomp"]["syscalls"]
            await gone(driver, sandbox_id)
        allowed = [rule for rule in rules if rule["action"] == "SCMP_ACT_ALLOW"]
        at_will = {name for rule in allowed if not rule.get("args") for name in rule["names"]}
        assert set(pause_profile.ALLOWED) <= at_will
        assert len(pause_profile.ALLOWED) < len(at_will) / 2
        (clone,) = (rule["args"][0] for rule in allowed if rule["names"] == ["clone"])
        assert (clone["value"], clone["op"]) == (pause_profile.NEW_NAMESPACES, "SCMP_CMP_MASKED_EQ")

    asyncio.run(scenario())


@pytest.mark.parametrize("handler", NAMES)
def test_a_pod_by_each_handler(node, handler):
    """Whichever is the default, a RuntimeClass may name the other one; and containers can't tell which it was."""

    async def scenario():
        async with node.driver() as driver:
            if handler not in {each.name for each in driver.handlers.all}:
                pytest.skip(driver.handlers.why)
            sandbox_id = await driver.run_sandbox(sandbox(node, handler, runtime_handler=handler))
            unknown = ContainerSecurity(run_as_user=54321)
            spec = container(handler, "c", *FOREVER, security=unknown, mounts=[readonly])
            container_id = await driver.create_container(sandbox_id, spec)
            await driver.start_container(container_id)
            for identity in (sandbox_id, container_id):
                assert (driver.places.records_of(handler) / "k8s.io" / identity).is_dir(), "made by this one"
            look = (
                "echo $HOME; tr '\\0' '\\n' < /proc/1/environ | grep HOME; grep -E ' /(dev/shm|readonly) ' /proc/mounts"
            )
            said = (await driver.exec_sync(container_id, ["sh", "-c", look], 10)).stdout.decode().splitlines()
            assert said[:2] == ["/", "HOME=/"]
            flags = {line.split()[1]: set(line.split()[3].split(",")) for line in said[2:]}
            assert flags["/dev/shm"] >= {"rw", "nosuid", "nodev", "noexec"}
            assert "ro" in flags["/readonly"], "as it is mounted on the node, though the container may write"
            await driver.stop_container(container_id, 5)
            assert (await driver.container_status(container_id)).exit_code == 0
            await gone(driver, sandbox_id)
            assert not (driver.places.records_of(handler) / "k8s.io" / sandbox_id).exists()

    folder = node.data_dir / f"readonly-{handler}"
    folder.mkdir()
    readonly = Mount(container_path="/readonly", host_path=str(folder))
    with mounted_noexec(folder):
        asyncio.run(scenario())


@contextlib.contextmanager
def mounted_noexec(folder: Path) -> Iterator[None]:
    """Mount a folder on itself so that it is read-only and runs nothing."""
    mount_layers([str(folder)], folder)
    try:
        yield
    finally:
        unmount(folder)


def test_flags_of_a_volumes_mount_hold_inside(node):
    """Where the default handler would mount it anew without them, another one starts the pod."""

    async def scenario():
        async with node.driver() as driver:
            spec = sandbox(node, "flagged", needs_mount_flags=True)
            sandbox_id = await driver.run_sandbox(spec)
            mounts = [Mount(container_path="/flagged", host_path=str(folder))]
            container_id = await driver.create_container(sandbox_id, container("flagged", "c", *FOREVER, mounts=mounts))
            await driver.start_container(container_id)
            seen = await driver.exec_sync(container_id, ["grep", " /flagged ", "/proc/mounts"], 10)
            assert set(seen.stdout.decode().split()[3].split(",")) >= {"ro", "nosuid", "nodev", "noexec"}
            await gone(driver, sandbox_id)

    folder = node.data_dir / "flagged"
    folder.mkdir()
    with mounted_noexec(folder):
        asyncio.run(scenario())


def test_nothing_is_left_beneath_a_hidden_hierarchy(node):
    """Where crun is not shown the unified hierarchy, it must not write into the folder that this is mounted on."""
    if not Path("/sys/fs/cgroup/unified/cgroup.controllers").exists():
        pytest.skip("there is no unified hierarchy beside others")

    async def scenario():
        async with node.driver() as driver:
            sandbox_id = await driver.run_sandbox(sandbox(node, "beneath"))
            await gone(driver, sandbox_id)
            return driver.places.instance

    instance = asyncio.run(scenario())
    look = "umount /sys/fs/cgroup/unified && find /sys/fs/cgroup/unified -maxdepth 1"
    beneath = subprocess.run(["unshare", "--mount", "sh", "-c", look], capture_output=True, text=True, check=True)
    assert beneath.stdout.splitlines()[0] == "/sys/fs/cgroup/unified"
    assert instance not in beneath.stdout


def test_what_a_killed_containerd_left_of_either_handler_is_removed(node):
    """A record of a runtime without task and container goes away with its bundle, whoever wrote it."""
    places = places_of(node.data_dir, "m1")

    async def scenario():
        async with node.driver() as driver:
            left = {name: places.records_of(name) / "k8s.io" / f"left-by-{name}" for name in NAMES}
            for record in left.values():
                (places.state / TASKS / record.name).mkdir()
                os.utime(places.state / TASKS / record.name, (1.0, 1.0))
                record.mkdir(parents=True)
            await driver.ensure_network([POD_CIDR])
            assert [record for record in left.values() if record.exists()] == []

    asyncio.run(scenario())


def test_a_removed_pause_image_is_brought_back(node):
    async def scenario():
        async with node.driver() as driver:
            pause = next(image for image in await driver.images() if image.pinned)
            await driver.remove_image(pause.id)
            sandbox_id = await driver.run_sandbox(sandbox(node, "again"))
            await gone(driver, sandbox_id)

    asyncio.run(scenario())


def test_purge_leaves_nothing_of_a_node_that_was_killed(node):
    """Last in this file: it takes the node away. Whatever is found must be this instance's, or be there still."""

    async def busy():
        async with node.driver() as driver:
            port = (PortMapping("TCP", 80, 18081),)
            for pod in ("left-1", "left-2"):
                mapped = port if pod == "left-1" else ()
                sandbox_id = await driver.run_sandbox(sandbox(node, pod, port_mappings=mapped))
                container_id = await driver.create_container(sandbox_id, container(pod, "c", *FOREVER))
                await driver.start_container(container_id)
            return driver.places

    places = asyncio.run(busy())
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        before = survey(places.instance, [places])
        assert before.cgroups
        assert before.shim_sockets
        os.kill(node.process.pid, signal.SIGKILL)
        assert node.purge() == []
        after = survey(places.instance, [places])
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    assert not node.data_dir.exists()
    assert [line for line in after.mounts if str(node.data_dir) in line] == []
    assert [process for process in after.processes if str(node.data_dir) in " ".join(process.argv)] == []
    assert (after.cgroups, after.shim_sockets, after.pids_in_cgroups) == ([], [], [])
    assert [name for name in after.cni_results if places.instance in name] == []
    assert [socket for socket in before.shim_sockets if os.path.lexists(socket)] == []
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, timeout=10).stdout)
    assert [link["ifname"] for link in links] == ["lo"]
    assert after.tables == []
