"""What a node tells the shell to do, and what it tells a caller that it can't do. `node` says in which order."""

from dataclasses import dataclass, field

from actors.state.raft.records import Entry, Envelope, HardState, InstallSnapshot


@dataclass(slots=True)
class Ready:
    messages: list[Envelope] = field(default_factory=list)
    hard_state: HardState | None = None
    entries: list[Entry] = field(default_factory=list)
    snapshot: InstallSnapshot | None = None  # take its state in place of all there is, before anything else
    committed: list[Entry] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)  # (context, index)
    lost_reads: list[int] = field(default_factory=list)  # contexts to be asked again
    must_persist: bool = False


class NotLeader(Exception):
    """This member can't do that; `leader` is who can, as far as it knows."""

    def __init__(self, leader: str):
        super().__init__(f"not the leader; the leader is {leader or 'not known'}")
        self.leader = leader


class TooMuchUncommitted(Exception):
    """The log grows faster than a majority persists it."""
