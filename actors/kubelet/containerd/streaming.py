"""Commands and attachments of one containerd: the kubelet's `Streams`.

A command is run by containerd's tasks service, with FIFOs as its stdio, and not through CRI's Exec: that answers with
the address of an HTTP server inside containerd whose SPDY or WebSocket frames would have to be packed there and
unpacked here, which has no word for "kill it", and whose command outlives the caller. FIFOs carry plain bytes, hold the
command back by themselves, and the tasks service kills exactly the one command.

The container's own process is another matter: its FIFOs are containerd's, who writes the log from them. So attaching
goes through CRI, by SPDY (`streaming_attach`).

What can go wrong: the kubelet dies, and its commands with nobody at their FIFOs live on: `sweep` of the next kubelet
kills them, by the folders that they left. A start that is given up in the middle leaves a process that containerd
knows nothing of; so a start that was asked for is waited for, though its caller has gone, and outlives the kubelet.
containerd dies: waiting fails, as RuntimeUnreachable.
"""

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage

from actors.kubelet.containerd.proto import containers_pb2, tasks_pb2
from actors.kubelet.containerd.proto import cri_pb2 as cri
from actors.kubelet.containerd.streaming_attach import Attachment
from actors.kubelet.containerd.streaming_fifo import Fifos
from actors.kubelet.containerd.streaming_spec import PROCESS_TYPE, network_namespace, process_spec
from actors.kubelet.runtime import RuntimeFault, RuntimeRefused
from actors.kubelet.streaming.process import Piece, Process, Stdio
from runtime.background import spawn

CALL_S = 10.0  # answered by containerd or a shim at once
START_S = 60.0  # runc joins the container's namespaces; 0.05 s on a healthy machine
KILL_S = 15.0  # from SIGKILL to the process's end, and for the shim to let go of its stdio

Call = Callable[[str, Any, float | None], Awaitable[Any]]


class ContainerdStreams:
    """`folder` holds a folder of FIFOs for each command that runs."""

    def __init__(self, call: Call, outliving: Call, folder: Path):
        """`outliving` calls containerd so that it does what it is asked for, though the kubelet dies meanwhile."""
        self._call, self._outliving = call, outliving
        self._folder = folder
        self._running: dict[str, Command] = {}  # by the name of its folder
        self._cleaning: set[asyncio.Task[None]] = set()

    async def exec(self, container_id: str, command: Sequence[str], stdio: Stdio) -> Process:
        exec_id = f"kubus-{secrets.token_hex(8)}"
        spec = await self._spec(container_id, command, stdio.tty)
        fifos = Fifos(self._folder / f"{container_id}.{exec_id}", stdio)
        running = Command(self._call, self._outliving, container_id, exec_id, fifos, self._ended)
        self._running[running.name] = running
        try:
            fifos.make()
            await running.start(spec, stdio.tty)
        except BaseException:
            self._ended(running)
            raise
        return running

    async def attach(self, container_id: str, stdio: Stdio) -> Process:
        request = cri.AttachRequest(
            container_id=container_id, stdin=stdio.stdin, tty=stdio.tty, stdout=stdio.stdout, stderr=stdio.stderr
        )
        answer = await self._call("Attach", request, CALL_S)
        return await Attachment.open(answer.url, stdio)

    async def namespace(self, sandbox_id: str) -> Path | None:
        request = cri.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=True)
        answer = await self._call("PodSandboxStatus", request, CALL_S)
        path = network_namespace(answer.info["info"])
        return Path(path) if path else None

    async def sweep(self) -> None:
        """Kill the commands that a kubelet before this one left."""
        for folder in list(self._folder.glob("*.kubus-*")):
            if folder.name not in self._running:
                container_id, _, exec_id = folder.name.partition(".")
                left = Command(self._call, self._outliving, container_id, exec_id, Fifos.of(folder), self._ended)
                self._running[left.name] = left
                left.watch()
                self._ended(left)

    async def close(self) -> None:
        """Kill what still runs; containerd must be asked before the connection to it is closed."""
        for command in list(self._running.values()):
            self._ended(command)
        if self._cleaning:
            await asyncio.wait(self._cleaning)

    def _ended(self, command: "Command") -> None:
        """Clean up after a command, once, without making its caller wait."""
        if command.is_left:
            return
        command.is_left = True
        task = spawn(self._clean(command), f"cleaning up after {command.name}")
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)

    async def _clean(self, command: "Command") -> None:
        try:
            await command.remove()
        finally:
            self._running.pop(command.name, None)

    async def _spec(self, container_id: str, command: Sequence[str], tty: bool) -> AnyMessage:
        answer = await self._call("Get", containers_pb2.GetContainerRequest(id=container_id), CALL_S)
        try:
            document = process_spec(answer.container.spec.value, command, tty)
        except ValueError as error:
            raise RuntimeRefused(str(error)) from error
        return AnyMessage(type_url=PROCESS_TYPE, value=document)


class Command:
    """One command in a container, as a `Process`."""

    def __init__(
        self,
        call: Call,
        outliving: Call,
        container_id: str,
        exec_id: str,
        fifos: Fifos,
        on_end: "Callable[[Command], None]",
    ) -> None:
        self._call, self._outliving = call, outliving
        self._container_id = container_id
        self._exec_id = exec_id
        self._fifos = fifos
        self._on_end = on_end
        self._beginning: asyncio.Future[None] | None = None
        self._exit: asyncio.Future[Any] | None = None
        self._tty = False
        self.is_left = False  # nobody uses it any more: it is being cleaned up

    @property
    def name(self) -> str:
        return f"{self._container_id}.{self._exec_id}"

    @property
    def _ids(self) -> dict[str, str]:
        return {"container_id": self._container_id, "exec_id": self._exec_id}

    async def start(self, spec: AnyMessage, tty: bool) -> None:
        """Start it. Whoever lets go in the middle leaves the rest to `remove`."""
        self._beginning = asyncio.ensure_future(self._begin(spec, tty))
        await asyncio.shield(self._beginning)

    async def _begin(self, spec: AnyMessage, tty: bool) -> None:
        self._tty = tty
        fifos = self._fifos
        request = tasks_pb2.ExecProcessRequest(
            **self._ids, stdin=fifos.stdin, stdout=fifos.stdout, stderr=fifos.stderr, terminal=tty, spec=spec
        )
        await self._call("Exec", request, CALL_S)
        if self.is_left:
            return
        self.watch()
        fifos.open_input()
        await self._outliving("Start", tasks_pb2.StartRequest(**self._ids), START_S)

    def watch(self) -> None:
        """Begin to wait for the command's end."""
        self._exit = asyncio.ensure_future(self._call("Wait", tasks_pb2.WaitRequest(**self._ids), None))

    async def read(self) -> Piece | None:
        return await self._fifos.read()

    async def write(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            await self._fifos.write(data)

    async def end_stdin(self) -> None:
        """The shim holds the FIFO open for writing, too, and lets go when it is told."""
        try:
            await self._fifos.end_input()
        except BrokenPipeError:
            return
        await self._call("CloseIO", tasks_pb2.CloseIORequest(**self._ids, stdin=True), CALL_S)

    async def resize(self, width: int, height: int) -> None:
        if self._tty and width and height:
            request = tasks_pb2.ResizePtyRequest(**self._ids, width=width, height=height)
            await self._call("ResizePty", request, CALL_S)

    async def wait(self) -> int:
        assert self._exit is not None, "a command is waited for once it was started"
        return int((await asyncio.shield(self._exit)).exit_status)

    async def close(self) -> None:
        self._on_end(self)

    async def remove(self) -> None:
        """Kill what still runs, and have containerd forget it. Idempotent; what is gone already is well."""
        if self._beginning is not None:
            await asyncio.wait([self._beginning])
            if not self._beginning.cancelled():
                self._beginning.exception()  # whoever asked for the command was told, or has gone
        await self._fifos.close()
        if self._exit is None or not self._exit.done():
            request = tasks_pb2.KillRequest(
                container_id=self._container_id, exec_id=self._exec_id, signal=signal.SIGKILL
            )
            with contextlib.suppress(RuntimeFault):  # it never started, or has ended
                await self._call("Kill", request, CALL_S)
            if self._exit is not None:
                await asyncio.wait([self._exit], timeout=KILL_S)
        if self._exit is not None:
            self._exit.cancel()
            with contextlib.suppress(RuntimeFault, asyncio.CancelledError):
                await self._exit
        with contextlib.suppress(RuntimeFault):
            await self._call("DeleteProcess", tasks_pb2.DeleteProcessRequest(**self._ids), KILL_S)
