"""The replicated state machine: applies commands in the order of the log, the same way on every member.

`apply` is deterministic: its outcome depends on the commands before it and on nothing else. A refusal is an outcome
too, and leaves the machine as it was.

Neighbours: `core` feeds it committed entries; `store`, `txn` and `lease` do the work; `image` captures and restores it.
"""

import msgspec

from actors.state import errors, txn
from actors.state.answers import Answers
from actors.state.commands import Command, CompactCommand, GrantCommand, RevokeCommand, TxnCommand
from actors.state.messages import KeyValue, TxnResult
from actors.state.store import Store
from bus.errors import RemoteError


class Outcome(msgspec.Struct, frozen=True):
    """What a command did. `result` is a TxnResult for a txn, a refusal, or None for all other commands."""

    result: TxnResult | RemoteError | None
    revision: int  # of the store after the command
    changes: list[KeyValue]  # under `revision`, in order; tombstones have version 0


class Machine:
    """A store under the commands of one log. `applied` is the index of the last entry that it has seen."""

    def __init__(self, store: Store | None = None, applied: int = 0):
        self.store = store if store is not None else Store()
        self.applied = applied
        self.answers = Answers()

    def apply(self, index: int, command: Command) -> Outcome:
        """Apply the next entry of the log."""
        assert index == self.applied + 1, f"entry {index} cannot follow entry {self.applied}"
        self.applied = index
        request_id = command.id if type(command) is TxnCommand or type(command) is GrantCommand else ""
        if request_id and (known := self.answers.of(request_id)) is not None:
            return Outcome(known.result, known.revision, [])
        try:
            result = self._run(command)
        except RemoteError as refusal:
            return Outcome(refusal, self.store.revision, [])
        changes = self.store.commit()
        if request_id and (changes or result is None):  # what changed nothing may be done again
            self.answers.remember(request_id, self.store.revision, result)
        return Outcome(result, self.store.revision, changes)

    def skip(self, index: int) -> None:
        """The next entry of the log holds no command."""
        assert index == self.applied + 1, f"entry {index} cannot follow entry {self.applied}"
        self.applied = index

    def become(self, other: "Machine") -> None:
        """Take over another machine's state; the store stays the same object, for those who hold on to it."""
        self.store.become(other.store)
        self.applied, self.answers = other.applied, other.answers

    def _run(self, command: Command) -> TxnResult | None:
        if type(command) is TxnCommand:
            if 0 <= command.repeats_since <= self.answers.forgotten_revision:
                raise errors.unknown_outcome()
            return txn.run(self.store, command.txn)
        match command:
            case CompactCommand():
                self.store.compact(command.revision)
            case GrantCommand():
                self.store.leases.grant(command.lease, command.ttl_s)
            case RevokeCommand():
                self._revoke(command.lease)
        return None

    def _revoke(self, lease: int) -> None:
        leases = self.store.leases
        leases.ttl_s(lease)  # refuses a lease that is gone
        for key in leases.keys(lease):
            self.store.delete(key)
        leases.drop(lease)
