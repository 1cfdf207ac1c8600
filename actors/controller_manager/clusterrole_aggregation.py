"""ClusterRoles that collect the rules of others: `admin`, `edit` and `view` grow with every API that is added.

A role with an `aggregationRule` has the rules of all roles that one of its selectors matches, in the order of their
names, each rule once.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from actors.api.selectors import from_label_selector
from actors.controller_manager.actions import Action, Failure, Update
from actors.controller_manager.controller import Controller
from actors.controller_manager.pods import is_terminating

Object = dict[str, Any]

CLUSTER_ROLES = "clusterroles.rbac.authorization.k8s.io"
_AGGREGATING = "aggregating"


def reconcile(role: Object, others: Iterable[Object]) -> list[Action]:
    """Return the write that gives an aggregating role its rules."""
    selectors = [from_label_selector(entry) for entry in role["aggregationRule"].get("clusterRoleSelectors") or ()]
    sources = [
        other
        for other in sorted(others, key=lambda found: found["metadata"]["name"])
        if other["metadata"]["name"] != role["metadata"]["name"]
        and any(selector.matches(other["metadata"].get("labels")) for selector in selectors)
    ]
    rules = _without_repeats(rule for source in sources for rule in source.get("rules") or ())
    if rules == (role.get("rules") or []):
        return []
    return [Update(CLUSTER_ROLES, {**role, "rules": rules})]


def _without_repeats(rules: Iterable[Object]) -> Sequence[Object]:
    found = {json.dumps(rule, sort_keys=True): rule for rule in rules}
    return list(found.values())


class ClusterRoleAggregationController(Controller):
    name = "clusterrole-aggregation"
    workers = 1

    def set_up(self) -> None:
        self.roles = self.watch(CLUSTER_ROLES, self._keys)
        self.caches.index(self.roles, _AGGREGATING, lambda role: ("yes",) if "aggregationRule" in role else ())

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        role = self.roles.get(key)
        if role is None or not role.get("aggregationRule") or is_terminating(role):
            return []
        return reconcile(role, self.roles.list())

    def _keys(self, key: str, old: Object | None, new: Object | None) -> set[str]:
        """A change of any role may concern every role that aggregates; there are few of those."""
        return {role["metadata"]["name"] for role in self.roles.by_index(_AGGREGATING, "yes")} | {key}
