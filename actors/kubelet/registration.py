"""Keeps a Node object and its Lease in the API: registers, renews, and tells when something changed.

The Lease says that the node lives, often and cheaply; the status says how it is, when that changed or every five
minutes. A Node that somebody deleted is registered again.

Neighbours: `node` makes the objects, `machine` measures, `actor` runs one for each node that it plays.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from actors.api.client import ApiClient
from actors.api.config import KubeletConfig
from actors.api.errors import ApiError
from actors.kubelet.node import Machine, Observation, differs, labels_of, lease, new_node, node_status, told_of
from bus import BusError
from runtime.clock import Clock
from runtime.informer import Informer
from runtime.workqueue import RetryLimiter

REPORT_EVERY_S = 300.0  # a status that did not change is still written so often
MAX_RETRY_S = 5.0
SETTLE_S = 10.0  # how long the first status waits for runtime and network: long enough for a thousand nodes
LEASES = "leases.coordination.k8s.io"

Observe = Callable[[], Any]  # -> awaitable of Observation
Tell = Callable[[str, str, str], None]  # (type, reason, message)


def unheard(kind: str, reason: str, message: str) -> None:
    """An event that nobody is told of."""


class Registration:
    def __init__(
        self,
        name: str,
        machine: Machine,
        config: KubeletConfig,
        labels: dict[str, str],
        taints: list[dict[str, str]],
        observe: Observe,
        nodes: Informer,
        api: ApiClient,
        gate: asyncio.Semaphore,
        tell: Tell,
        clock: Clock,
        log: Any,
    ):
        """`gate` bounds the writes of all nodes of this process that are under way; `tell` makes events of the node."""
        self._tell = tell
        self._has_told = False  # that it begins
        self.name = name
        self.machine = machine
        self.registered = asyncio.Event()
        self.settled = asyncio.Event()  # the node is ready, or it is known why not
        self._config, self._labels, self._taints, self._observe = config, labels, taints, observe
        self._nodes, self._api, self._gate, self._clock, self._log = nodes, api, gate, clock, log
        self._limiter = RetryLimiter(base_s=0.02, limit_s=MAX_RETRY_S)
        self._written_s = float("-inf")
        self._written: dict[str, Any] = {}
        self._changed = asyncio.Event()
        self._lease: dict[str, Any] | None = None
        self._unseen: dict[str, Any] | None = None  # the Node as it was registered, until the informer has it

    @property
    def node(self) -> dict[str, Any] | None:
        """The Node as the API has it."""
        return self._nodes.get(self.name)

    @property
    def known(self) -> dict[str, Any] | None:
        """The Node as far as it is known, also before the informer has it."""
        return self._known()

    def changed(self) -> None:
        """Something that the status tells may be different now."""
        self._changed.set()

    async def keep_status(self) -> None:
        """Register, then keep the status true, for ever.

        A kubelet that has just begun knows nothing of its node yet. It does not call a node NotReady for that, which
        would cost a node that was Ready all along its pods' endpoints: it waits a moment.
        """
        while True:
            try:
                await self._write_status()
                self._limiter.forget("status")
                pause_s = self._config.status_period_s * random.uniform(0.9, 1.1)
            except (ApiError, BusError) as error:
                self._log.debug("could not write a node's status", node=self.name, error=str(error))
                pause_s = self._limiter.delay_s("status")
                self._changed.clear()
            try:
                async with asyncio.timeout(pause_s):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()

    async def keep_lease(self) -> None:
        """Renew the Lease, for ever."""
        await self.registered.wait()
        while True:
            try:
                async with self._gate:
                    await self._renew()
                self._limiter.forget("lease")
                pause_s = self._config.lease_renew_s * random.uniform(0.96, 1.04)
            except (ApiError, BusError) as error:
                self._log.debug("could not renew a lease", node=self.name, error=str(error))
                pause_s = self._limiter.delay_s("lease")
            await asyncio.sleep(pause_s)

    async def _write_status(self) -> None:
        node = self._known()
        if node is None:
            async with self._gate:
                node = await self._register()
        if not self.settled.is_set():
            await self._wait_until_settled()
        observed: Observation = await self._observe()
        status = node_status(self.name, self.machine, observed, node.get("status") or {})
        due = self._clock.monotonic() - self._written_s >= REPORT_EVERY_S
        if not due and not differs(status, self._written):
            return
        patch = {"metadata": {"uid": node["metadata"]["uid"]}, "status": status}
        try:
            async with self._gate:
                answer = await self._api.patch("nodes", self.name, patch, subresource="status", kind="strategic")
        except ApiError:
            self._unseen = None  # it may be gone, or another one, without the informer's having seen it
            raise
        self._say_what_turned(node.get("status") or {}, status)
        self._written, self._written_s = status, self._clock.monotonic()
        self._log.debug("node status written", node=self.name, version=answer["metadata"]["resourceVersion"])

    def _say_what_turned(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        if not self._has_told:
            self._has_told = True
            self._tell("Normal", "Starting", "Starting kubelet.")
        for event in told_of(self.name, self._written or before, after):
            self._tell(*event)

    def _known(self) -> dict[str, Any] | None:
        """The Node, if it is registered. The informer may be late: a Node that it has not seen yet is not gone."""
        if not self.registered.is_set():
            return None
        if self.node is not None:
            self._unseen = None
        return self.node or self._unseen

    async def _wait_until_settled(self) -> None:
        try:
            async with asyncio.timeout(SETTLE_S):
                await self.settled.wait()
        except TimeoutError:
            self.settled.set()

    async def _register(self) -> dict[str, Any]:
        """Create the Node, or find it there from an earlier life and keep its labels true."""
        wanted = new_node(self.name, self.machine, self._labels, self._taints)
        try:
            node = await self._api.create("nodes", wanted)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            node = await self._adopt(wanted)
        self._written_s = float("-inf")
        self._unseen = node
        self.registered.set()
        return node

    async def _adopt(self, wanted: dict[str, Any]) -> dict[str, Any]:
        node = await self._api.get("nodes", self.name)
        labels = node["metadata"].get("labels") or {}
        own = labels_of(self.name, self.machine) | self._labels
        missing = {name: value for name, value in own.items() if labels.get(name) != value}
        if missing:
            node = await self._api.patch("nodes", self.name, {"metadata": {"labels": missing}})
        return node

    async def _renew(self) -> None:
        """Renew the Lease; its holder is this kubelet alone, so a conflict only means to read it again."""
        made = lease(self.name, self._clock.wall(), self._config.lease_duration_s, self._known())
        if self._lease is None:
            self._lease, is_new = await self._create_or_read(made)
            if is_new:
                return
        made["metadata"] = self._lease["metadata"]
        try:
            self._lease = await self._api.update(LEASES, made)
        except ApiError as error:
            self._lease = None
            if error.reason not in ("Conflict", "NotFound"):
                raise
            self._lease, _ = await self._create_or_read(made)

    async def _create_or_read(self, made: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Return the Lease, and whether it was made just now."""
        kept = ("name", "namespace", "ownerReferences")
        fresh = {**made, "metadata": {key: made["metadata"][key] for key in kept if key in made["metadata"]}}
        try:
            return await self._api.create(LEASES, fresh), True
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        return await self._api.get(LEASES, self.name, "kube-node-lease"), False
