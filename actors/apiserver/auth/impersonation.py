"""Acting as somebody else: the Impersonate- headers, for those who may.

Each name that is taken on is authorized by itself: verb `impersonate` on users, groups, serviceaccounts, uids and
userextras. A header that is not allowed is refused, never ignored: ignoring it would act with the caller's own power.

Source: the documentation's page on user impersonation. Neighbours: `http_front` applies it after authentication.
"""

from collections.abc import Iterable
from urllib.parse import unquote

from actors.api import errors
from actors.apiserver.auth.authorizer import Authorizer, refusal
from actors.apiserver.auth.identities import exactly
from actors.apiserver.auth.rbac import SERVICE_ACCOUNT_PREFIX
from actors.apiserver.auth.rules import Attributes
from actors.apiserver.call import ANONYMOUS_USER, AUTHENTICATED, UNAUTHENTICATED, Identity

PREFIX = b"impersonate-"
AUTHENTICATION = "authentication.k8s.io"


def impersonated(authorizer: Authorizer, caller: Identity, headers: Iterable[tuple[bytes, bytes]]) -> Identity:
    """Return who a caller wants to be. Raises ApiError."""
    user = uid = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for name, raw in headers:
        value = raw.decode("utf-8", "replace")
        if name == b"impersonate-user":
            user = value
        elif name == b"impersonate-group":
            groups.append(value)
        elif name == b"impersonate-uid":
            uid = value
        elif name.startswith(b"impersonate-extra-"):
            key = unquote(name[len(b"impersonate-extra-") :].decode("latin-1")).lower()
            extra.setdefault(key, []).append(value)
    if not user:
        if groups or uid or extra:
            raise errors.bad_request("requested impersonation without a user: Impersonate-User is required")
        return caller
    for asked in _needed(user, groups, uid, extra):
        if not authorizer.allows(caller, asked):
            raise refusal(caller, asked)
    return exactly(user, _completed(user, groups), uid, extra)


def _needed(user: str, groups: list[str], uid: str, extra: dict[str, list[str]]) -> Iterable[Attributes]:
    """What a caller must be allowed to take on all of it."""
    account = user.removeprefix(SERVICE_ACCOUNT_PREFIX) if user.startswith(SERVICE_ACCOUNT_PREFIX) else ""
    namespace, _, name = account.partition(":")
    if namespace and name:
        yield Attributes("impersonate", "", "serviceaccounts", "", namespace, name)
    else:
        yield Attributes("impersonate", "", "users", name=user)
    for group in groups:
        yield Attributes("impersonate", "", "groups", name=group)
    if uid:
        yield Attributes("impersonate", AUTHENTICATION, "uids", name=uid)
    for key, values in extra.items():
        for value in values:
            yield Attributes("impersonate", AUTHENTICATION, "userextras", key, name=value)


def _completed(user: str, groups: list[str]) -> tuple[str, ...]:
    """The groups that come with being somebody: those of a service account, and of having been authenticated."""
    found = list(groups)
    if user.startswith(SERVICE_ACCOUNT_PREFIX) and not groups:
        namespace = user.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")[0]
        found = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    if user == ANONYMOUS_USER:
        return (*found, UNAUTHENTICATED) if UNAUTHENTICATED not in found else tuple(found)
    return (*found, AUTHENTICATED) if AUTHENTICATED not in found else tuple(found)
