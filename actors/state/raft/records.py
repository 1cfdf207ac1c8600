"""What members of a group say to each other. Every message carries its sender's term.

Sender and receiver: members' Raft cores. The shell carries `Envelope`s over the bus as `actors.state.messages` records.
"""

from bus.record import Record


class Entry(Record, frozen=True, array_like=True, gc=False):
    """One place of the log. `data` is an encoded command; empty for the entry with which a leader begins its term.

    `votes`, where given, is a new membership: name, and whether it votes. It counts from when it is in a log.
    """

    index: int
    term: int
    data: bytes
    votes: dict[str, bool] | None = None


class HardState(Record, frozen=True, array_like=True, gc=False):
    """What a member must find again after a restart, beside its log. `commit` is a hint that may be old."""

    term: int
    vote: str
    commit: int


class RequestVote(Record, frozen=True, array_like=True, gc=False, tag="vote"):
    """`pre`: would you vote for me in this term? Nobody's term changes by it. `transfer`: the leader asked me to."""

    term: int
    last_index: int
    last_term: int
    pre: bool = False
    transfer: bool = False


class Vote(Record, frozen=True, array_like=True, gc=False, tag="voted"):
    """The answer. A granted pre-vote carries the term that was asked about, all else the voter's own."""

    term: int
    granted: bool
    pre: bool = False


class Append(Record, frozen=True, array_like=True, gc=False, tag="append"):
    """Entries after (`prev_index`, `prev_term`); without entries a heartbeat or a probe. `round` numbers the rounds in
    which a leader makes sure that it still leads."""

    term: int
    prev_index: int
    prev_term: int
    entries: list[Entry]
    commit: int
    round: int = 0


class Appended(Record, frozen=True, array_like=True, gc=False, tag="appended"):
    """`index` is the last entry that is known to agree with the leader's, or, when refused, the `prev_index` that did
    not; then (`hint_index`, `hint_term`) is where the follower's log might still agree."""

    term: int
    index: int
    refused: bool = False
    hint_index: int = 0
    hint_term: int = 0
    round: int = 0


class InstallSnapshot(Record, frozen=True, array_like=True, gc=False, tag="snapshot"):
    """The state up to (`index`, `last_term`) replaces the follower's log. The shell streams the state itself first and
    hands this to the follower's core once all of it is there."""

    term: int
    index: int
    last_term: int
    members: dict[str, bool]  # name: whether it votes


class TimeoutNow(Record, frozen=True, array_like=True, gc=False, tag="timeout"):
    """The leader hands over: begin an election at once."""

    term: int


class AskReadIndex(Record, frozen=True, array_like=True, gc=False, tag="ask_read"):
    """A follower asks its leader from where on a read is linearizable."""

    term: int
    context: int


class ReadIndex(Record, frozen=True, array_like=True, gc=False, tag="read"):
    """The leader's answer."""

    term: int
    context: int
    index: int


Message = RequestVote | Vote | Append | Appended | InstallSnapshot | TimeoutNow | AskReadIndex | ReadIndex


class Envelope(Record, frozen=True, array_like=True, gc=False):
    sender: str
    to: str
    message: Message
