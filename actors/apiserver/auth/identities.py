"""Identities of those who were authenticated: with the group that says so, and the node that a kubelet speaks for.

Neighbours: every authenticator makes its identities here; `bus_identity` makes those of actors.
"""

from collections.abc import Iterable, Mapping

from actors.apiserver.call import ANONYMOUS_USER, AUTHENTICATED, UNAUTHENTICATED, Identity

NODES = "system:nodes"
NODE_PREFIX = "system:node:"
_NOTHING: Mapping[str, list[str]] = {}


def authenticated(
    user: str, groups: Iterable[str] = (), uid: str = "", extra: Mapping[str, list[str]] = _NOTHING
) -> Identity:
    """Return the identity of somebody who has proved to be `user`."""
    found = tuple(groups)
    if AUTHENTICATED not in found and not (user == ANONYMOUS_USER or UNAUTHENTICATED in found):
        found = (*found, AUTHENTICATED)
    return exactly(user, found, uid, extra)


def exactly(user: str, groups: tuple[str, ...], uid: str = "", extra: Mapping[str, list[str]] = _NOTHING) -> Identity:
    """Return an identity with just these groups; only the node that its name stands for is added."""
    return Identity(user, groups, uid, extra, nodes_of(user, groups))


def nodes_of(user: str, groups: Iterable[str]) -> frozenset[str]:
    """The node that a user speaks for: that of its name, when it is one of the nodes."""
    if user.startswith(NODE_PREFIX) and NODES in groups:
        return frozenset((user.removeprefix(NODE_PREFIX),))
    return frozenset()
