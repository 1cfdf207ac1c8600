"""Who belongs to a group, who of them votes, and what a majority is.

One member is added, removed or promoted at a time: then any majority of the old voters meets any majority of the new
ones. A member acts by the newest membership in its log, committed or not (thesis, 4.1); so it must be able to go back
when that entry is replaced. A learner gets the log and does not vote.
"""

from collections.abc import Collection, Iterable, Mapping

MAX_MEMBERS = 9  # more make every write slower and nothing safer


class BadChange(ValueError):
    """A membership change that makes no sense."""


class Members:
    """`votes` tells for each member whether it votes. Never changed: a change makes another."""

    def __init__(self, votes: Mapping[str, bool]):
        self.votes = dict(votes)
        self.voters = frozenset(name for name, votes_ in votes.items() if votes_)
        self.quorum = len(self.voters) // 2 + 1
        self.only = next(iter(self.voters)) if len(votes) == len(self.voters) == 1 else ""  # of a group of one

    def __contains__(self, name: str) -> bool:
        return name in self.votes

    def others(self, name: str) -> list[str]:
        return [member for member in self.votes if member != name]

    def is_quorum(self, names: Iterable[str]) -> bool:
        return len(self.voters.intersection(names)) >= self.quorum

    def lacks_quorum_of(self, names: Collection[str]) -> bool:
        """Whether these, all of them members, are too few. Who is none may know of a change, and teach the others."""
        return set(names) <= self.votes.keys() and not self.is_quorum(names)

    def agreed_index(self, match: Mapping[str, int]) -> int:
        """Return the highest index that a majority of voters has."""
        if not self.voters:
            return 0
        ordered = sorted((match.get(name, 0) for name in self.voters), reverse=True)
        return ordered[self.quorum - 1]

    def with_learner(self, name: str) -> "Members":
        if name in self.votes:
            raise BadChange(f"{name} is a member already")
        if len(self.votes) >= MAX_MEMBERS:
            raise BadChange(f"a group has at most {MAX_MEMBERS} members")
        return Members(self.votes | {name: False})

    def with_voter(self, name: str) -> "Members":
        """Add a voter, or promote a learner."""
        if self.votes.get(name):
            raise BadChange(f"{name} votes already")
        if name not in self.votes and len(self.votes) >= MAX_MEMBERS:
            raise BadChange(f"a group has at most {MAX_MEMBERS} members")
        return Members(self.votes | {name: True})

    def without(self, name: str) -> "Members":
        if name not in self.votes:
            raise BadChange(f"{name} is not a member")
        rest = {member: votes for member, votes in self.votes.items() if member != name}
        if not any(rest.values()):
            raise BadChange(f"{name} is the last voter")
        return Members(rest)

    def is_one_step_from(self, other: "Members") -> bool:
        """Whether the voters differ by one at the most."""
        return len(self.voters ^ other.voters) <= 1


class History:
    """The memberships in a log by index, and the one in force where the log begins."""

    def __init__(self, offset: int, members: Members):
        self._changes: list[tuple[int, Members]] = [(offset, members)]

    @property
    def newest(self) -> Members:
        return self._changes[-1][1]

    @property
    def newest_index(self) -> int:
        return self._changes[-1][0]

    def at(self, index: int) -> Members:
        """Return the membership in force at an index of the log."""
        return next(members for changed, members in reversed(self._changes) if changed <= index)

    def add(self, index: int, members: Members) -> None:
        self._changes.append((index, members))

    def cut(self, first: int) -> None:
        """Entries from `first` on were replaced."""
        while len(self._changes) > 1 and self._changes[-1][0] >= first:
            self._changes.pop()

    def compact(self, index: int) -> None:
        """The log begins after `index` now."""
        self._changes = [(index, self.at(index)), *(change for change in self._changes if change[0] > index)]
