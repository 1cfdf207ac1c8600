"""A node's pod network: made as soon as both its podCIDR and the runtime are there, and again after they were away.

What can go wrong: the runtime refuses (that is the network's fault, which the node's condition tells), or it does not
answer (which is the runtime's own, and told elsewhere). Either way it is tried again, for a call that was given up may
have been the only one that failed.

Neighbours: `node_kubelet` says when to look, and tells of the fault; the drivers make the network.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from actors.kubelet.faults import RuntimeFault, RuntimeUnreachable

RETRY_S = (0.1, 5.0)  # first and longest pause after a failure
WAITING = "waiting for the node's podCIDR"


class NodeNetwork:
    def __init__(
        self,
        name: str,
        make: Callable[[Sequence[str]], Awaitable[None]],
        node: Callable[[], Mapping[str, Any] | None],
        is_reachable: Callable[[], bool],
        changed: Callable[[], None],
        log: Any,
    ):
        """`node` is the Node as the API has it, `is_reachable` tells of the runtime; `changed` after each change of
        the fault."""
        self.fault = WAITING  # why pods can't have a network; empty when they can
        self._name, self._make, self._node = name, make, node
        self._is_reachable, self._on_change, self._log = is_reachable, changed, log
        self._due = asyncio.Event()

    def look(self) -> None:
        """The Node or the runtime has changed."""
        self._due.set()

    async def keep(self) -> None:
        """Keep the network there, for ever."""
        pause_s = RETRY_S[0]
        done_for: tuple[str, ...] = ()
        while True:
            await self._due.wait()
            self._due.clear()
            cidrs = cidrs_of(self._node())
            if not self._is_reachable():
                done_for = ()
                continue
            if not cidrs or cidrs == done_for:
                continue
            try:
                await self._make(cidrs)
            except RuntimeFault as error:
                if isinstance(error, RuntimeUnreachable):
                    self._log.debug("the node's network waits for the runtime", node=self._name, error=str(error))
                else:
                    self._set_fault(str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_S[1])
                self._due.set()
            else:
                done_for, pause_s = cidrs, RETRY_S[0]
                self._set_fault("")

    def _set_fault(self, fault: str) -> None:
        if fault != self.fault:
            self.fault = fault
            self._log.info("node network", node=self._name, fault=fault)
            self._on_change()


def cidrs_of(node: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the networks that a Node was given for its pods."""
    spec = (node or {}).get("spec") or {}
    return tuple(spec.get("podCIDRs") or ((spec["podCIDR"],) if spec.get("podCIDR") else ()))
