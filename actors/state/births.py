"""Whether a member is still the one that it was: a name whose disk was lost must not vote as if it remembered.

Each data directory has a *birth*, a random number that it gets when it is made and that goes with its disk. Members say
theirs when they open a feed, and each keeps the births of the others on disk from when it first met them. Who comes
under a known name with another birth has lost what it had acknowledged, or was put beside it: it is refused, and its
votes count no more, until it is removed from the group, which makes the others forget it, and added again.

A group whose other members have never met the lost one cannot tell; members meet within milliseconds of their start.

Neighbours: `peers` asks at both ends of a feed; `storage` keeps the file; `committer` tells of memberships.
"""

import msgspec

from actors.state import errors
from actors.state.damage import RESTORE, DataRefused
from actors.state.disk import Disk, closing_file

NAME = "births"
TEMPORARY = "births.tmp"


class Births:
    """The births of other members, as they are on disk. An empty birth is that of an older program: it says nothing."""

    def __init__(self, disk: Disk):
        self._disk = disk
        self._known = _read(disk)

    def is_known(self, name: str, birth: str) -> bool:
        """Whether this member has been met as it is; LOST_DATA when it was another then."""
        known = self._known.get(name, birth)
        if birth and known != birth:
            raise errors.lost_data(name)
        return not birth or name in self._known

    def meet(self, name: str, birth: str) -> None:
        """Remember a member, durably; LOST_DATA when it was another at the last meeting."""
        if not self.is_known(name, birth):
            self._keep(self._known | {name: birth})

    def keep_only(self, names: frozenset[str]) -> None:
        """Forget those who are members no more, durably: they may come again with nothing."""
        if not self._known.keys() <= names:
            self._keep({name: birth for name, birth in self._known.items() if name in names})

    def knows_others_than(self, names: frozenset[str]) -> bool:
        return not self._known.keys() <= names

    def _keep(self, known: dict[str, str]) -> None:
        with closing_file(self._disk.create(TEMPORARY)) as file:
            file.write_at(0, msgspec.json.encode(known) + b"\n")
            file.sync()
        self._disk.rename(TEMPORARY, NAME)
        self._disk.sync_names()
        self._known = known


def _read(disk: Disk) -> dict[str, str]:
    if NAME not in disk.names():
        return {}
    try:
        return msgspec.json.decode(disk.read(NAME), type=dict[str, str])
    except msgspec.DecodeError as error:
        raise DataRefused(
            disk.describe(NAME), f"it does not say who the other members are: {error}", RESTORE
        ) from error
