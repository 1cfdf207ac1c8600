"""The members of the group of state actors, as the command line lists and changes them.

Changes are the leader's. Whoever is asked says who leads, so any member that is up will do to begin with.

Neighbours: `commands.member` is the user's; `supervise` adds the masters that `kubus up --join` has started.
"""

import asyncio
import time
from collections.abc import Mapping

from actors.state.messages import NOT_LEADER, MemberAddRequest, MembersReply
from bus.client import Client
from bus.errors import DeadlineExceeded, RemoteError, Unavailable
from bus.record import Request

ATTEMPT_S = 2.0  # for a member to answer who leads
PAUSE_S = 0.1  # between rounds, while nobody leads
CONNECT_S = 0.5
CATCH_UP_S = 600.0  # for a new member to be given everything


class NoLeader(Exception):
    """Nobody leads the state, as far as can be found out; the message says what was tried."""


async def ask_leader(
    client: Client, members: Mapping[str, str], request: Request, *, within_s: float, answer_s: float = ATTEMPT_S
) -> MembersReply:
    """Send a request to whoever leads among `members` (endpoints by name); raises NoLeader, RemoteError, BusError."""
    deadline = time.monotonic() + within_s
    said: dict[str, str] = {}
    waiting = list(members)
    while True:
        name = waiting.pop(0) if waiting else ""
        if not name:
            if time.monotonic() > deadline:
                raise NoLeader("; ".join(f"{each}: {what}" for each, what in said.items()))
            await asyncio.sleep(PAUSE_S)
            waiting = list(members)
            continue
        try:
            if not await client.reaches(members[name], CONNECT_S):
                raise Unavailable("cannot be reached")
            reply: MembersReply = await client.request(members[name], request, timeout_s=answer_s)
        except RemoteError as error:
            if error.kind != NOT_LEADER:
                raise
            leader = (error.detail or {}).get("leader", "")
            said[name] = f"says that {leader or 'nobody'} leads"
            if leader in waiting:
                waiting.remove(leader)
                waiting.insert(0, leader)
        except Unavailable as error:
            said[name] = error.message
        else:
            return reply


async def add(client: Client, members: Mapping[str, str], name: str, *, within_s: float) -> MembersReply:
    """Add a state actor that runs, and wait until it has everything and votes.

    Repeated where the outcome is unknown: who is a member already is not added twice.
    """
    deadline = time.monotonic() + within_s
    others = {each: endpoint for each, endpoint in members.items() if each != name}
    while True:
        left_s = deadline - time.monotonic()
        try:
            return await ask_leader(
                client, others, MemberAddRequest(name), within_s=left_s, answer_s=max(left_s, ATTEMPT_S)
            )
        except (Unavailable, DeadlineExceeded):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(PAUSE_S)
