"""Commands: what goes through the log, and so happens on every member in the same order.

A command is all that its application needs: no clock and no random number is read while it is applied, so a lease id is
chosen, and a compaction's revision decided, before the command is proposed. A new field goes at the end with a default:
a log outlives the program that wrote it.

Neighbours: `core` encodes them into log entries; `machine` applies them.
"""

import msgspec

from actors.state.messages import Txn
from bus.record import Record


class TxnCommand(Record, frozen=True, array_like=True, gc=False, tag="txn"):
    """Compare and write. `id` is that of the request, so that a repeat is answered and not done again, by whichever
    member leads by then; `repeats_since` as in `TxnRequest`."""

    txn: Txn
    id: str = ""
    repeats_since: int = -1


class CompactCommand(Record, frozen=True, array_like=True, gc=False, tag="compact"):
    """Forget what was superseded at or before `revision`."""

    revision: int


class GrantCommand(Record, frozen=True, array_like=True, gc=False, tag="grant"):
    """Create a lease; `lease` is never 0 here."""

    lease: int
    ttl_s: int
    id: str = ""


class RevokeCommand(Record, frozen=True, array_like=True, gc=False, tag="revoke"):
    """End a lease, on request or because it expired, and delete its keys."""

    lease: int


Command = TxnCommand | CompactCommand | GrantCommand | RevokeCommand

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)


def encode(command: Command) -> bytes:
    """Return the bytes of a log entry's data."""
    return _encoder.encode(command)


def decode(data: bytes) -> Command:
    """Return the command of a log entry; msgspec.DecodeError when these are not a command's bytes."""
    return _decoder.decode(data)
