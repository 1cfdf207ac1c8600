"""Who belongs to the group: listed, added, promoted, removed, and who leads it. All of it is asked of the leader.

A member comes as a learner, which slows nobody down, and votes once it has caught up. One change at a time; a change
that would leave no majority of members which answer is refused.

Neighbours: `raft.members` says what a change may be; `committer` carries it.
"""

from collections.abc import Callable

from actors.state import errors
from actors.state import messages as m
from actors.state.committer import Committer
from actors.state.raft.members import BadChange, Members
from actors.state.raft.progress import Mode
from actors.state.raft.ready import NotLeader
from bus.address import role_of
from bus.errors import DeadlineExceeded, Unavailable
from bus.keys import NAME
from bus.record import Record
from bus.server import Context, Server

MAX_NAME = 64  # characters; a config's are shorter, so that the path of a socket fits
CATCH_UP_S = 600.0  # for a learner to be given everything; the caller's own deadline is mostly shorter
CHANGE_S = 30.0  # for a majority to store a change
CAUGHT_UP_ENTRIES = 1_000  # a learner that is less behind will be there before its vote is missed
TRANSFER_S = 2.0  # for another member to take the lead
ANSWER_S = 1.0  # for a majority to be heard of: several beats


class Membership:
    """Handlers over one member's node."""

    def __init__(self, committer: Committer):
        self._committer = committer
        self._node = committer.core.node

    def register(self, server: Server) -> None:
        server.register(m.MemberListRequest, self.list)
        server.register(m.MemberAddRequest, self.add)
        server.register(m.MemberPromoteRequest, self.promote)
        server.register(m.MemberRemoveRequest, self.remove)
        server.register(m.MoveLeaderRequest, self.move_leader)

    async def list(self, request: m.MemberListRequest, context: Context) -> Record:
        self._check_leads()
        if (current := self._committer.barrier()) is not None:
            await current
        return self._reply()

    async def add(self, request: m.MemberAddRequest, context: Context) -> Record:
        if role_of(request.name) != "state" or not NAME.fullmatch(request.name) or len(request.name) > MAX_NAME:
            raise errors.invalid(f"a member is named state@NODE, not {request.name!r}")
        if request.name not in self._members or request.as_learner:
            await self._change(lambda members: members.with_learner(request.name))
        if not request.as_learner:
            await self._committer.until(lambda: not self._is_awaited(request.name), CATCH_UP_S)
            if not self._is_caught_up(request.name):
                raise errors.unhealthy(f"{request.name} was added as a learner and has not caught up yet")
            if request.name not in self._members.voters:
                await self._change(lambda members: members.with_voter(request.name))
        return self._reply()

    async def promote(self, request: m.MemberPromoteRequest, context: Context) -> Record:
        if request.name not in self._members:
            raise errors.member_not_found(request.name)
        if not self._is_caught_up(request.name):
            raise errors.unhealthy("can only promote a learner member which is in sync with leader")
        await self._change(lambda members: members.with_voter(request.name))
        return self._reply()

    async def remove(self, request: m.MemberRemoveRequest, context: Context) -> Record:
        members = self._members
        if request.name not in members:
            raise errors.member_not_found(request.name)
        if request.name == self._node.name and (heirs := self._node.heirs()):
            await self._hand_over(heirs[0])  # who then removes this one, when asked
            self._check_leads()
        if not await self._committer.until(lambda: not self._needs(request.name), ANSWER_S):
            raise errors.unhealthy(f"re-configuration failed: without {request.name} no majority would answer")
        await self._change(lambda members: members.without(request.name))
        return self._reply()

    async def move_leader(self, request: m.MoveLeaderRequest, context: Context) -> Record:
        if request.to not in self._members:
            raise errors.member_not_found(request.to)
        if request.to not in self._members.voters:
            raise errors.unhealthy(f"{request.to} is a learner and cannot lead")
        if request.to != self._node.name:
            await self._hand_over(request.to)
        return self._reply()

    @property
    def _members(self) -> Members:
        self._check_leads()
        return self._node.members

    def _is_awaited(self, name: str) -> bool:
        """Whether a learner may still catch up here. Never raises: the committer asks after each of its turns."""
        return self._committer.core.is_leader and name in self._node.progress and not self._is_caught_up(name)

    def _needs(self, name: str) -> bool:
        """Whether without a member there would be no majority that answers, as far as is known: one that has begun to
        lead just now has heard nobody yet. Never raises, as above."""
        node = self._node
        if not self._committer.core.is_leader or name not in node.members.voters:
            return False
        rest = node.members.voters - {name}
        active = [each for each in rest if each == node.name or node.progress[each].is_active]
        return len(active) < len(rest) // 2 + 1

    def _check_leads(self) -> None:
        if not self._committer.core.is_leader:
            raise errors.not_leader(self._committer.core.leader)

    def _is_caught_up(self, name: str) -> bool:
        self._check_leads()
        progress = self._node.progress.get(name)
        if progress is None:
            raise errors.member_not_found(name)
        if name == self._node.name:
            return True
        return progress.mode is Mode.REPLICATE and self._node.log.last_index - progress.match < CAUGHT_UP_ENTRIES

    async def _change(self, change: Callable[[Members], Members]) -> None:
        """Propose a membership made from the newest one, once that is committed, and wait until it is, too."""
        self._check_leads()
        while not self._node.may_change_members:
            if not await self._committer.until(self._may_change_or_leads_no_more, CHANGE_S):
                raise errors.unhealthy("the change before this one is not committed yet")
            self._check_leads()
        try:
            entry = self._node.propose_members(change(self._node.members))
        except BadChange as error:
            raise errors.unhealthy(str(error)) from error
        except NotLeader as error:
            raise errors.not_leader(error.leader) from error
        node, term = self._node, self._node.term
        if not await self._committer.until(lambda: node.log.commit >= entry.index or node.term != term, CHANGE_S):
            raise DeadlineExceeded("the change is not committed yet; it may still be")
        if node.log.term(entry.index) not in (term, None) or node.log.commit < entry.index:
            raise Unavailable("the lead was lost before the change was committed; it may still be")

    def _may_change_or_leads_no_more(self) -> bool:
        return self._node.may_change_members or not self._committer.core.is_leader

    async def _hand_over(self, to: str) -> None:
        self._node.transfer(to)
        if not await self._committer.until(lambda: self._committer.core.leader == to, TRANSFER_S):
            raise errors.unhealthy(f"{to} did not take the lead in time")

    def _reply(self) -> Record:
        node = self._node
        members = []
        for name, votes in node.members.votes.items():
            progress = node.progress.get(name)
            is_active = name == node.name or (progress is not None and progress.is_active)
            match = node.log.stable if name == node.name or progress is None else progress.match
            members.append(m.Member(name, votes, is_active, node.log.last_index - match))
        return m.MembersReply(node.leader, members)
