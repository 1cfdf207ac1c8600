"""May they? system:masters always; kubelets by the node authorizer; everybody by RBAC. The first yes counts.

Neighbours: `handler` asks for every request; `verbs.reviews` for access reviews.
"""

from actors.api import errors
from actors.apiserver.auth.node_authorizer import NodeAuthorizer
from actors.apiserver.auth.rbac import Rbac
from actors.apiserver.auth.rules import Attributes
from actors.apiserver.call import Identity
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.storage.selection import pinned_name
from actors.apiserver.storage.watch_cache import WatchCache


class Authorizer:
    def __init__(self, cache: WatchCache) -> None:
        self.rbac = Rbac(cache)
        self.node = NodeAuthorizer(cache)

    def decide(self, identity: Identity, asked: Attributes) -> tuple[bool, str]:
        """Return whether somebody may, and why."""
        if identity.is_master:
            return True, ""
        if identity.nodes and self.node.allows(identity, asked):
            return True, ""
        why = self.rbac.why_allowed(identity, asked)
        return why is not None, why or ""

    def allows(self, identity: Identity, asked: Attributes) -> bool:
        if identity.is_master:
            return True
        if identity.nodes and self.node.allows(identity, asked):
            return True
        return self.rbac.allows(identity, asked)

    def check(self, identity: Identity, info: RequestInfo) -> None:
        """Raise ApiError Forbidden unless the request is allowed."""
        if identity.is_master or (info.is_resource and self.rbac.is_known(identity, info)):
            return
        asked = attributes(info)
        if not self.allows(identity, asked):
            raise refusal(identity, asked)


def attributes(info: RequestInfo) -> Attributes:
    if not info.is_resource:
        return Attributes(info.verb, path=info.path, is_resource=False)
    if info.name or info.verb not in ("list", "watch", "deletecollection"):
        return Attributes(info.verb, info.group, info.resource, info.subresource, info.namespace, info.name)
    selector = info.query.get("fieldSelector", "")
    name = pinned_name(selector)
    return Attributes(
        info.verb, info.group, info.resource, info.subresource, info.namespace, name, field_selector=selector
    )


def refusal(identity: Identity, asked: Attributes) -> errors.ApiError:
    """The Forbidden answer, in Kubernetes' words."""
    if not asked.is_resource:
        message = f'forbidden: User "{identity.user}" cannot {asked.verb} path "{asked.path}"'
        return errors.ApiError(403, "Forbidden", message, {})
    what = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    why = f'User "{identity.user}" cannot {asked.verb} resource "{what}" in API group "{asked.group}" {where}'
    group_resource = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    return errors.forbidden(group_resource, asked.name, why)
