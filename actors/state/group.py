"""Which group a data directory belongs to: decided once, when the directory is begun, and kept with the data.

Founders are the members that a group begins with; they agree on them, and on the cluster's id, because both come from
the same config. Who joins later begins with neither, and takes the id of the first member that speaks to it.

Neighbours: `storage` keeps it beside the log; `peers` drops what another cluster's members say.
"""

import hashlib
import secrets
from collections.abc import Sequence

import msgspec

from actors.state.damage import RESTORE, DataRefused
from actors.state.disk import Disk, closing_file

NAME = "group"
TEMPORARY = "group.tmp"


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """`founders`: name, and whether it votes; empty for a member that joined. `birth`: see `births`.

    `begun` is False while a founder has yet to hear of all others that they mean the same group; see `founding`. None:
    from a program that did not ask.
    """

    cluster_id: str
    founders: dict[str, bool]
    birth: str = ""
    begun: bool | None = None

    @classmethod
    def founded(cls, cluster: str, names: Sequence[str]) -> "Group":
        """Return the group that these members of a cluster found."""
        words = "\n".join([cluster, *sorted(names)])
        cluster_id = hashlib.sha256(words.encode()).hexdigest()[:16]
        return cls(cluster_id, dict.fromkeys(names, True), begun=len(names) == 1)

    @classmethod
    def alone(cls, name: str) -> "Group":
        """Return the group of one member."""
        return cls.founded("", [name])

    @classmethod
    def joining(cls) -> "Group":
        """Return what a member knows that somebody else will add."""
        return cls("", {}, begun=True)

    def born(self) -> "Group":
        """Return this with a birth of its own."""
        return msgspec.structs.replace(self, birth=secrets.token_hex(8))


def read(disk: Disk) -> Group | None:
    """Return the group of a directory; None when it has not been written yet."""
    if NAME not in disk.names():
        return None
    try:
        return msgspec.json.decode(disk.read(NAME), type=Group)
    except msgspec.DecodeError as error:
        raise DataRefused(disk.describe(NAME), f"it does not say which group this is: {error}", RESTORE) from error


def write(disk: Disk, group: Group) -> None:
    """Put it on disk, whole or not at all."""
    with closing_file(disk.create(TEMPORARY)) as file:
        file.write_at(0, msgspec.json.encode(group) + b"\n")
        file.sync()
    disk.rename(TEMPORARY, NAME)
    disk.sync_names()
