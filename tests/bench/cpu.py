"""CPU time of a cluster's actors while something is measured, for a figure that other work on the machine hardly moves.

The generator's own time counts too: on the cores that it shares with the cluster, what all of them spend together
bounds what can be done in a second.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import psutil


class Spent:
    """Begun before the work; `a_piece` says what it took."""

    def __init__(self, data_dir: Path) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in _pids(data_dir).items()}
        self._before = self._now()

    def a_piece(self, count: int) -> str:
        """Microseconds of CPU for one of so many pieces of work, by actor, those that took none left out."""
        if not self._before or not count:
            return ""
        now = self._now()
        spent = {name: (now[name] - before) / count * 1e6 for name, before in self._before.items()}
        shown = ", ".join(f"{name} {us:.0f}" for name, us in spent.items() if us >= 1)
        return f"  CPU us each: {shown}; all {sum(spent.values()):.0f}"

    def _now(self) -> dict[str, float]:
        found = {name: sum(process.cpu_times()[:2]) for name, process in self._processes.items()}
        own = resource.getrusage(resource.RUSAGE_SELF)
        return found | {"generator": own.ru_utime + own.ru_stime} if found else {}


def _pids(data_dir: Path) -> dict[str, int]:
    """The actors of the cluster that has its data there; none when that is no cluster of ours."""
    if not (data_dir / "actors").is_dir():
        return {}
    command = [sys.executable, "-m", "actors.cluster.cli", "status", "-o", "json"]
    environment = os.environ | {"KUBUS_DATA_DIR": str(data_dir)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return {actor["name"]: actor["pid"] for actor in json.loads(done.stdout)["actors"]} if done.stdout else {}
