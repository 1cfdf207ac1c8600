"""Restarts, one actor after the other, each only when the one before serves again and the state's group is whole.

Within a node those that only ask go first, then the API server, then the state actor: an orderly stop gives up a Lease,
lets an API server's clients go elsewhere before its door closes, and hands the lead of the group over. So with several
masters no request fails.

Neighbours: `commands.restart` is the user's; the supervisor stops and starts.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from actors.state.messages import MembersReply
from runtime.supervisor.messages import ChildStatus

ORDER = ("scheduler", "controller-manager", "proxy", "kubelet", "balancer", "apiserver", "state")
SERVING = "serving"
DEADLINE_S = 120.0  # for one actor to be back; a state actor may replay a long log
POLL_S = 0.05
CAUGHT_UP_ENTRIES = 1_000  # a member that is less behind than that will be there before it is needed


class NotBack(Exception):
    """An actor, or the group, did not come back in time. Nothing further was restarted."""


def in_order(rows: Sequence[ChildStatus], wanted: Sequence[str]) -> list[str]:
    """Return the actors to restart, in order: `wanted` are actors and nodes. KeyError for one that is neither."""
    names = {row.name for row in rows}
    found: list[str] = []
    for each in wanted:
        if each in names:
            found.append(each)
            continue
        of_node = [row for row in rows if row.node == each and row.role in ORDER]
        if not of_node:
            raise KeyError(each)
        found += [row.name for row in sorted(of_node, key=lambda row: ORDER.index(row.role))]
    return list(dict.fromkeys(found))


class Rolling:
    """`ask` restarts an actor, `look` returns all as they are, `members` the state's group if it has several."""

    def __init__(
        self,
        ask: Callable[[str], None],
        look: Callable[[], Sequence[ChildStatus]],
        members: Callable[[], MembersReply] | None,
        say: Callable[[str], None],
    ):
        self._ask = ask
        self._look = look
        self._members = members
        self._say = say

    def restart(self, names: Sequence[str]) -> None:
        """Restart these, one after the other. Raises NotBack."""
        for name in names:
            self._restart(name)

    def _restart(self, name: str) -> None:
        is_member = name.startswith("state@")
        if is_member:
            self._wait(lambda: self._is_whole_without(name), f"{name} can't be missed")
        begun, before = time.monotonic(), self._rows()[name]
        self._ask(name)
        self._wait(lambda: self._is_back(name, before), f"{name} is not back")
        if is_member:
            self._wait(lambda: self._is_whole_without(""), f"{name} has not caught up")
        self._say(f"{name} serves again, after {time.monotonic() - begun:.1f} s")

    def _rows(self) -> Mapping[str, ChildStatus]:
        return {row.name: row for row in self._look()}

    def _is_back(self, name: str, before: ChildStatus) -> bool:
        row = self._rows()[name]
        return row.health == SERVING and row.pid not in (0, before.pid)

    def _is_whole_without(self, name: str) -> bool:
        """Whether all members but one follow closely; a group of one has nobody to wait for."""
        if self._members is None:
            return True
        others = [each for each in self._members().members if each.name != name]
        return all(each.is_active and each.behind < CAUGHT_UP_ENTRIES for each in others)

    def _wait(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > deadline:
                raise NotBack(f"{complaint} after {DEADLINE_S:.0f} s; nothing more is restarted")
            time.sleep(POLL_S)  # a poll of what other processes do
