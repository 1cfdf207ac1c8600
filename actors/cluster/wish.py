"""What somebody who says `kubus up` wants.

Neighbours: `commands.up` makes it of what was said; `bringup` and `supervise` carry it out.
"""

from dataclasses import dataclass
from pathlib import Path

from actors.api.config import ClusterConfig


@dataclass(frozen=True)
class Wish:
    """What the user wants up."""

    config: ClusterConfig
    data_dir: Path
    begun: float  # monotonic: when the command began
    detached: bool = False  # from the terminal: what is printed goes to the supervisor's log
    here: tuple[str, ...] = ()  # the nodes that run on this machine; empty: all of them
    join: bool = False  # new masters of this machine join the cluster instead of founding it
    joining: tuple[str, ...] = ()  # the state actors that do
    bundle: Path | None = None  # what the machine that founded the cluster gave to this one
    asked: ClusterConfig | None = None  # what was asked for, where this machine lacks something for that
