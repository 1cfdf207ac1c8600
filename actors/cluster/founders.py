"""Who founds the group of state actors, and who joins it: so that a config which grows never makes a second group.

A new data directory of a state actor begins with what `state.initial_members` says, or with all state actors of the
config. That is right once: when all of them are new. A master that comes later would, together with another late one,
found a group of its own, and serve an empty cluster. So it is refused here, in words, unless it is told to join; and
where this machine can't know, the state actors themselves ask each other before they found anything
(`actors.state.founding`).

Neighbours: `bringup` asks at every start; `members` adds those who join.
"""

import shutil
from collections.abc import Collection
from pathlib import Path

import msgspec

from actors.api.addresses import nodes_of_role
from actors.api.config import ClusterConfig
from actors.state import group


class BadFounders(Exception):
    """This start would not do what its user means. The message is for the user."""


def new_members(config: ClusterConfig, data_dir: Path, here: Collection[str]) -> list[str]:
    """Return the state actors of this machine that have no data yet."""
    return [name for name in _local(config, here) if not _has_data(data_dir, name)]


def forget_beginnings(config: ClusterConfig, data_dir: Path, here: Collection[str]) -> None:
    """Let those that were refused as founders join: what they had begun holds nothing, for they have never voted."""
    for name in _local(config, here):
        if _has_data(data_dir, name) and (begun := _group(data_dir, name)) is not None and begun.begun is False:
            shutil.rmtree(data_dir / "actors" / name)


def _local(config: ClusterConfig, here: Collection[str]) -> list[str]:
    return [f"state@{node}" for node in nodes_of_role(config, "state") if not here or node in here]


def with_founders(config: ClusterConfig, data_dir: Path, here: Collection[str], *, join: bool) -> ClusterConfig:
    """Return the config with `initial_members` as this start needs them; raises BadFounders."""
    new = new_members(config, data_dir, here)
    every = [f"state@{node}" for node in nodes_of_role(config, "state")]
    if not new:
        return config
    if join:
        others = [name for name in every if name not in new]
        if not others:
            raise BadFounders(
                f"--join: {', '.join(new)} can join nobody, for this config has no other state actor; without --join "
                "they found a new cluster"
            )
        return _founded_by(config, others)
    for old in (name for name in every if _has_data(data_dir, name)):
        founders = _founders(data_dir, old)
        late = [name for name in new if name not in founders]
        if late:
            raise BadFounders(
                f"{', '.join(late)} came into the config after {old} had founded this cluster: `kubus up --join` adds "
                f"{'it' if len(late) == 1 else 'them'} to its group"
            )
    return config


def _founded_by(config: ClusterConfig, names: list[str]) -> ClusterConfig:
    return msgspec.structs.replace(config, state=msgspec.structs.replace(config.state, initial_members=names))


def _has_data(data_dir: Path, name: str) -> bool:
    directory = data_dir / "actors" / name
    return directory.is_dir() and any(
        path.name == group.NAME or path.suffix in (".log", ".snapshot") for path in directory.iterdir()
    )


def _founders(data_dir: Path, name: str) -> Collection[str]:
    """Return who founded the group of a state actor; itself alone, where its data is from before groups."""
    if not (data_dir / "actors" / name / group.NAME).exists():
        return [name]
    found = _group(data_dir, name)
    return found.founders if found is not None else []


def _group(data_dir: Path, name: str) -> group.Group | None:
    """Return what a state actor knows of its group; None where that can't be read: it says itself what is wrong."""
    try:
        return msgspec.json.decode((data_dir / "actors" / name / group.NAME).read_bytes(), type=group.Group)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
