"""Commands, attachments and connections of a real containerd, below any bus."""

import asyncio
import contextlib
import hashlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.kubelet.containerd.driver import ContainerdDriver
from actors.kubelet.runtime import RuntimeRefused
from actors.kubelet.streaming.namespace import connect
from actors.kubelet.streaming.process import Process, Stdio, Unreachable
from tests.actors.kubelet.containerd.node import POD_CIDR, Node, container, running_node, sandbox

pytestmark = pytest.mark.real

OUTPUTS = Stdio(stdin=False, stdout=True, stderr=True, tty=False)
ALL = Stdio(stdin=True, stdout=True, stderr=True, tty=False)
TERMINAL = Stdio(stdin=True, stdout=True, stderr=False, tty=True)
FOREVER = ("/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done")
LINES = 400_000


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with running_node() as node:
        yield node


def on(node: Node, scenario) -> None:
    """Run `scenario(driver, container_id, sandbox_id)` with a container that runs for ever."""

    async def main() -> None:
        async with asyncio.timeout(60), node.driver() as driver:
            await driver.ensure_network([POD_CIDR])
            sandbox_id = await driver.run_sandbox(sandbox(node, "talk"))
            container_id = await driver.create_container(sandbox_id, container("talk", "main", *FOREVER))
            await driver.start_container(container_id)
            try:
                await scenario(driver, container_id, sandbox_id)
            finally:
                await driver.stop_sandbox(sandbox_id)
                await driver.remove_sandbox(sandbox_id)
        assert not list((node.data_dir / "nodes/m1/containerd/commands").glob("*")), "folders of commands are left"

    asyncio.run(main())


async def said(process: Process) -> tuple[bytes, bytes]:
    out, err = [], []
    while (piece := await process.read()) is not None:
        (err if piece.is_stderr else out).append(piece.data)
    return b"".join(out), b"".join(err)


async def ran(driver: ContainerdDriver, container_id: str, *command: str, stdio: Stdio = OUTPUTS):
    process = await driver.streams.exec(container_id, command, stdio)
    try:
        out, err = await said(process)
        return await process.wait(), out, err
    finally:
        await process.close()


def processes(marker: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


async def until(condition, limit_s: float = 5.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.02)


def test_whoever_hangs_up_at_any_moment_leaves_nothing(node):
    """A start that was given up in the middle left a process that nobody knew of."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    marker = f"{900_000 + os.getpid()}"
    commands = (["true"], ["sleep", marker], ["cat"], ["no-such-program"])

    async def scenario(driver, container_id, _):
        slots = asyncio.Semaphore(6)

        async def hang_up() -> None:
            async with slots:
                stdio = chance.choice((ALL, OUTPUTS, TERMINAL))
                starting = asyncio.ensure_future(driver.streams.exec(container_id, chance.choice(commands), stdio))
                await asyncio.wait([starting], timeout=chance.random() * 0.1)
                starting.cancel()
                with contextlib.suppress(asyncio.CancelledError, RuntimeRefused):
                    await (await starting).close()

        await asyncio.gather(*(hang_up() for _ in range(60)))
        folder = node.data_dir / "nodes/m1/containerd/commands"
        await until(lambda: not list(folder.glob("*")) and not processes(marker), 20)

    on(node, scenario)


def test_output_errors_and_exit_code(node):
    async def scenario(driver, container_id, _):
        assert await ran(driver, container_id, "/bin/sh", "-c", "echo out; echo err >&2; exit 7") == (
            7,
            b"out\n",
            b"err\n",
        )
        with pytest.raises(RuntimeRefused, match="no such file|not found"):
            await ran(driver, container_id, "/no/such/command")

    on(node, scenario)


def test_a_round_trip_of_true_takes_less_than_a_tenth_of_a_second(node):
    async def scenario(driver, container_id, _):
        times = []
        for _ in range(7):
            begun = time.monotonic()
            assert (await ran(driver, container_id, "/bin/true"))[0] == 0
            times.append(time.monotonic() - begun)
        print("exec of true:", [f"{1000 * one:.0f} ms" for one in times])
        assert min(times) < 0.1

    on(node, scenario)


def test_input_goes_in_whole_and_its_end_is_seen(node):
    async def scenario(driver, container_id, _):
        data = os.urandom(3_000_000)
        process = await driver.streams.exec(container_id, ["/bin/sh", "-c", "sha256sum"], ALL)

        async def feed():
            for at in range(0, len(data), 40_000):
                await process.write(data[at : at + 40_000])
            await process.end_stdin()

        feeder = asyncio.ensure_future(feed())
        out, _ = await said(process)
        await feeder
        assert await process.wait() == 0
        await process.close()
        assert out.split()[0].decode() == hashlib.sha256(data).hexdigest()

    on(node, scenario)


def test_an_end_of_input_right_after_the_start_is_seen(node):
    async def scenario(driver, container_id, _):
        for _ in range(10):
            process = await driver.streams.exec(container_id, ["/bin/cat"], ALL)
            await process.write(b"x")
            await process.end_stdin()
            assert await said(process) == (b"x", b"")
            assert await process.wait() == 0
            await process.close()

    on(node, scenario)


def test_a_flood_of_lines_arrives_whole_in_order_and_fast(node):
    async def scenario(driver, container_id, _):
        begun = time.monotonic()
        code, out, _ = await ran(driver, container_id, "/bin/sh", "-c", f"seq 1 {LINES}")
        took_s = time.monotonic() - begun
        lines = out.split()
        assert code == 0
        assert lines == [b"%d" % number for number in range(1, LINES + 1)]
        print(f"{LINES / took_s / 1000:.0f} lines per ms")

    on(node, scenario)


def test_a_command_that_is_not_read_waits_and_costs_nothing(node):
    async def scenario(driver, container_id, _):
        process = await driver.streams.exec(container_id, ["/bin/sh", "-c", "yes; true"], OUTPUTS)
        await asyncio.sleep(0.3)
        read = 0
        while read < 10_000_000:
            piece = await process.read()
            assert piece is not None
            read += len(piece.data)
        await process.close()
        await until(lambda: not list((node.data_dir / "nodes/m1/containerd/commands").glob("*")), 20)

    on(node, scenario)


def test_letting_go_of_a_command_kills_it(node):
    async def scenario(driver, container_id, _):
        process = await driver.streams.exec(container_id, ["/bin/sleep", "86413"], OUTPUTS)
        await until(lambda: processes("86413"))
        await process.close()
        await until(lambda: not processes("86413"))

    on(node, scenario)


def test_a_driver_that_is_closed_leaves_no_command(node):
    async def scenario(driver, container_id, _):
        async with node.driver() as another:
            await another.streams.exec(container_id, ["/bin/sleep", "86415"], ALL)
            await until(lambda: processes("86415"))
        assert not processes("86415")

    on(node, scenario)


def test_what_a_killed_kubelet_left_is_killed_by_the_next(node):
    async def scenario(driver, container_id, _):
        async with node.driver() as earlier:
            process = await earlier.streams.exec(container_id, ["/bin/sleep", "86417"], ALL)
            await until(lambda: processes("86417"))
            earlier.streams._running.clear()
            await driver.streams.sweep()
            await until(lambda: not processes("86417"))
            assert await process.wait() == 137

    on(node, scenario)


def test_a_terminal_has_its_size_echo_and_a_term(node):
    async def scenario(driver, container_id, _):
        process = await driver.streams.exec(container_id, ["/bin/sh"], TERMINAL)
        await process.resize(123, 45)
        await process.write(b"stty size; echo $TERM; exit 3\n")
        out, _ = await said(process)
        assert await process.wait() == 3
        await process.close()
        assert b"45 123\r\n" in out
        assert b"xterm\r\n" in out

    on(node, scenario)


READER = """
(until [ -e /tmp/begun ]; do echo ready; sleep 0.05; done) &
while read line; do touch /tmp/begun; wait; echo got $line; done
echo end
"""


def test_attaching_to_a_container_that_reads(node):
    """The container speaks until it hears: so the attachment is known to be joined before anything is written."""

    async def scenario(driver, _, sandbox_id):
        spec = container("talk", "reader", "/bin/sh", "-c", READER, stdin=True, stdin_once=True)
        container_id = await driver.create_container(sandbox_id, spec)
        await driver.start_container(container_id)
        process = await driver.streams.attach(container_id, ALL)
        said_first = (await process.read()).data
        assert b"ready\n".startswith(said_first) or said_first.startswith(b"ready\n")
        await process.write(b"one\n")
        echoed = b""
        while not echoed.endswith(b"got one\n"):  # a stream keeps no boundaries: a line may come in pieces
            echoed += (await process.read()).data
        await process.write(b"two\n")
        await process.end_stdin()
        out, err = await said(process)
        assert (out, err) == (b"got two\nend\n", b"")
        assert await process.wait() == 0
        await process.close()

    on(node, scenario)


def test_a_port_inside_the_pod(node):
    async def scenario(driver, container_id, sandbox_id):
        listener = await driver.streams.exec(
            container_id, ["/bin/sh", "-c", "echo hello from inside | nc -l -p 8099"], OUTPUTS
        )
        namespace = await driver.streams.namespace(sandbox_id)
        for _ in range(100):
            try:
                connection = await connect(namespace, ["127.0.0.1", "::1"], 8099)
                break
            except Unreachable:
                await asyncio.sleep(0.02)
        connection.end()
        assert await connection.read() == b"hello from inside\n"
        connection.close()
        with pytest.raises(Unreachable, match="refused"):
            await connect(namespace, ["127.0.0.1"], 8098)
        await listener.close()

    on(node, scenario)
