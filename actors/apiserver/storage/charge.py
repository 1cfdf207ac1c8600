"""What a write changes in other objects, in the same transaction: the usage of a quota.

Neighbours: `store` puts charges into its txns; `admission.quota` makes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from actors.apiserver.storage.entry import Entry


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
