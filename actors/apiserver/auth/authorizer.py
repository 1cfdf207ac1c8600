"""May they? system:masters always; kubelets by the node authorizer; everybody by RBAC. The first yes counts.

Where the config says so, webhooks are asked too, in its order, and the first that has an opinion decides. What must be
answered at once, without asking anybody outside, goes by the node authorizer and RBAC alone: impersonation, the checks
of who grants a role or signs, and what policies ask of `authorizer`.

Neighbours: `handler` asks for every request; `verbs.review` for access reviews.
"""

from collections.abc import Sequence

from actors.api import errors
from actors.apiserver.auth.authorization_config import DEFAULT, NODE, RBAC
from actors.apiserver.auth.node_authorizer import NodeAuthorizer
from actors.apiserver.auth.rbac import Rbac
from actors.apiserver.auth.rules import Attributes
from actors.apiserver.auth.webhook_authorizer import Opinion, WebhookAuthorizer
from actors.apiserver.call import Identity
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.storage.selection import pinned_name
from actors.apiserver.storage.watch_cache import WatchCache


class Authorizer:
    """`steps` are NODE, RBAC and webhooks, in the order in which they are asked."""

    def __init__(self, cache: WatchCache, steps: Sequence[str | WebhookAuthorizer] = DEFAULT) -> None:
        self.rbac = Rbac(cache)
        self.node = NodeAuthorizer(cache)
        self.steps = tuple(steps)
        self.asks_others = any(isinstance(step, WebhookAuthorizer) for step in self.steps)
        self._has_node, self._has_rbac = NODE in self.steps, RBAC in self.steps

    def decide(self, identity: Identity, asked: Attributes) -> tuple[bool, str]:
        """Return whether somebody may, and why, as far as that can be told at once."""
        if identity.is_master:
            return True, ""
        if self._has_node and identity.nodes and self.node.allows(identity, asked):
            return True, ""
        why = self.rbac.why_allowed(identity, asked) if self._has_rbac else None
        return why is not None, why or ""

    async def decide_by_all(self, identity: Identity, asked: Attributes) -> Opinion:
        """Return whether somebody may, by all who are to be asked."""
        if identity.is_master:
            return Opinion(True)
        reasons: list[str] = []
        failures: list[str] = []
        for step in self.steps:
            if isinstance(step, WebhookAuthorizer):
                found = await step.opinion(identity, asked)
                if found.allowed is not None:
                    return found
                reasons += [found.reason] if found.reason else []
                failures += [found.failure] if found.failure else []
            elif step == NODE:
                if identity.nodes and self.node.allows(identity, asked):
                    return Opinion(True)
            elif (reason := self.rbac.why_allowed(identity, asked)) is not None:
                return Opinion(True, reason)
        return Opinion(None, "\n".join(reasons), ", ".join(failures))

    def allows(self, identity: Identity, asked: Attributes) -> bool:
        if identity.is_master:
            return True
        if self._has_node and identity.nodes and self.node.allows(identity, asked):
            return True
        return self._has_rbac and self.rbac.allows(identity, asked)

    def check(self, identity: Identity, info: RequestInfo) -> None:
        """Raise ApiError Forbidden unless the request is allowed."""
        if identity.is_master or (self._has_rbac and info.is_resource and self.rbac.is_known(identity, info)):
            return
        asked = attributes(info)
        if not self.allows(identity, asked):
            raise refusal(identity, asked)

    async def check_by_all(self, identity: Identity, asked: Attributes) -> None:
        """The same, by all who are to be asked. Raises InternalError where one of them could not be."""
        if not self.asks_others:
            if not self.allows(identity, asked):
                raise refusal(identity, asked)
            return
        found = await self.decide_by_all(identity, asked)
        if found.allowed:
            return
        if found.failure:  # somebody who should have been asked was not: that is no refusal
            raise errors.internal(found.failure)
        raise refusal(identity, asked, found.reason)


def attributes(info: RequestInfo) -> Attributes:
    if not info.is_resource:
        return Attributes(info.verb, path=info.path, is_resource=False)
    if info.name or info.verb not in ("list", "watch", "deletecollection"):
        return Attributes(
            info.verb, info.group, info.resource, info.subresource, info.namespace, info.name, version=info.version
        )
    selector = info.query.get("fieldSelector", "")
    name = pinned_name(selector)
    return Attributes(
        info.verb, info.group, info.resource, info.subresource, info.namespace, name, field_selector=selector,
        version=info.version,
    )  # fmt: skip


def refusal(identity: Identity, asked: Attributes, reason: str = "") -> errors.ApiError:
    """The Forbidden answer, in Kubernetes' words. `reason` is what a webhook said."""
    said = f": {reason}" if reason else ""
    if not asked.is_resource:
        message = f'forbidden: User "{identity.user}" cannot {asked.verb} path "{asked.path}"{said}'
        return errors.ApiError(403, "Forbidden", message, {})
    what = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    why = f'User "{identity.user}" cannot {asked.verb} resource "{what}" in API group "{asked.group}" {where}{said}'
    group_resource = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    return errors.forbidden(group_resource, asked.name, why)
