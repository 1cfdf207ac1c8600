"""What a write does besides its own object, in the same transaction: it takes keys, and charges the usage of a quota.

Neighbours: `store` puts both into its txns; `allocate` makes claims, `admission.quota` charges.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from actors.apiserver.storage.entry import Entry


@dataclass(frozen=True, slots=True)
class Claim:
    """Put `value` under `key`, if nobody has it; otherwise the whole write does not happen."""

    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Charge:
    """Put `value` under `key`, if the key still is at `revision`; otherwise the whole write does not happen."""

    key: bytes
    revision: int
    value: bytes


class ChargeMoved(Exception):
    """What was to be charged is not what it was. `entries` are the newest; `gone` is True when one is no more."""

    def __init__(self, entries: Sequence[Entry], gone: bool):
        super().__init__(b", ".join(entry.key for entry in entries).decode())
        self.entries = entries
        self.gone = gone
