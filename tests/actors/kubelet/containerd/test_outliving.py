"""A connection whose owner is killed stays open for a while; one whose owner closes it does not."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the keeper finds sockets in /proc")

LIMIT_S = 1.0
OWNER = """
import asyncio, socket, sys
from pathlib import Path
from actors.kubelet.containerd.outliving import OutlivingCalls

class Connection:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.path = str(path)
    async def connect(self, timeout_s):
        self.socket.connect(self.path)
    async def call(self, method, request, timeout_s):
        self.socket.sendall(request)
    async def close(self, grace_s=0.0):
        self.socket.close()

async def main():
    calls = OutlivingCalls(Connection, Path(sys.argv[1]), float(sys.argv[2]))
    await calls.call("Start", b"one", 5.0)
    await calls.call("Start", b"two", 5.0)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await calls.close()

asyncio.run(main())
"""


@pytest.fixture
def listener(tmp_path: Path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        yield listening


def begun(listener: socket.socket) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """Return an owner that has made its calls, and the other end of its only connection."""
    words = [sys.executable, "-c", OWNER, listener.getsockname(), str(LIMIT_S)]
    owner = subprocess.Popen(words, stdin=subprocess.PIPE, cwd=Path(__file__).parents[4])
    connection, _ = listener.accept()
    connection.settimeout(10)
    said = b""
    while said != b"onetwo":
        said += connection.recv(16)
    return owner, connection


def test_a_killed_owner_s_connection_stays_until_its_calls_must_have_ended(listener: socket.socket) -> None:
    owner, connection = begun(listener)
    with connection:
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait(10)
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(16)
        connection.settimeout(10)
        assert connection.recv(16) == b"", "it ends when the time is over"


def test_an_owner_that_closes_takes_its_connection_along(listener: socket.socket) -> None:
    owner, connection = begun(listener)
    with connection:
        owner.communicate(b"\n", timeout=10)
        assert owner.returncode == 0
        connection.setblocking(False)
        assert connection.recv(16) == b""
