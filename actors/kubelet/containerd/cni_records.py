"""libcni's records of the networks that it made, in one folder for all containerds of a machine.

A containerd that is killed as it writes one leaves it empty or cut off, and then refuses for ever to take the network
of that sandbox down ("failed to get network cached result: unexpected end of JSON input"): the sandbox, its address and
its namespace would stay. Without a record it takes the network down all the same, for plugins find what they made by
the sandbox's id. So a record that nobody can read is removed, and the sandbox ended once more.

Neighbours: `driver` calls, when containerd refuses to end a sandbox.
"""

import contextlib
import json
from pathlib import Path

RECORDS = Path("/var/lib/cni/results")  # NETWORK-SANDBOX-INTERFACE


def drop_broken(sandbox_id: str, records: Path = RECORDS) -> bool:
    """Remove the records of a sandbox that are not whole; tell whether there was one."""
    broken = [path for path in records.glob(f"*-{sandbox_id}-*") if not _is_whole(path)]
    for path in broken:
        path.unlink(missing_ok=True)
    return bool(broken)


def _is_whole(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile: then it is not in anybody's way
        try:
            return isinstance(json.loads(path.read_bytes()), dict)
        except ValueError:
            return False
    return True
