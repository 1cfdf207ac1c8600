"""Which pods use which claims, for claims that one pod alone may use (ReadWriteOncePod).

Such a claim keeps every other pod waiting, on all nodes, from the moment that a pod was given a node until that pod has
ended. All claims of placed pods are counted, because a claim may be known later than its user.

Neighbours: `core` tells who was placed and who has gone, and asks; `volumes` knows the claims. Source: the
VolumeRestrictions plugin of kube-scheduler, without its preemption.
"""

from typing import Any

from actors.scheduler.cluster_events import POD_DELETED, VOLUMES_CHANGED
from actors.scheduler.volumes import claims_of

NAME = "VolumeRestrictions"
EVENTS = frozenset({POD_DELETED, VOLUMES_CHANGED})
CONFLICT = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"

Object = dict[str, Any]


class ClaimUsers:
    def __init__(self) -> None:
        self._users: dict[str, set[str]] = {}  # claim -> keys of placed pods
        self._claims: dict[str, list[str]] = {}  # key of a placed pod -> its claims

    def placed(self, key: str, pod: Object) -> None:
        """A pod has a node now, by decision or by the watch's word."""
        names = claims_of(pod)
        if not names and key not in self._claims:
            return
        self.gone(key)
        if names:
            self._claims[key] = [f"{pod['metadata']['namespace']}/{name}" for name in names]
            for claim in self._claims[key]:
                self._users.setdefault(claim, set()).add(key)

    def gone(self, key: str) -> None:
        """A pod has ended, or does not get the node after all."""
        for claim in self._claims.pop(key, ()):
            users = self._users[claim]
            users.discard(key)
            if not users:
                del self._users[claim]

    def is_used(self, claim: str) -> bool:
        return claim in self._users
