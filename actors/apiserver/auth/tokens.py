"""Bearer tokens: service account tokens that the API server signs and checks, and a file of static ones.

A service account token is a JWT (ES256) bound to the account's uid, and maybe to a Pod, Secret or Node. The signature
is checked once; the account and the bound object are looked up in the watch cache at every request, so that a token
dies with what it is bound to.

Neighbours: `http_front` authenticates with it; `verbs.token` issues; `verbs.review` answers TokenReviews.
"""

import csv
import hashlib
import hmac
import math
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from actors.api.meta import parse_time
from actors.apiserver.auth.identities import authenticated
from actors.apiserver.call import AUTHENTICATED, Identity
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.watch_cache import WatchCache
from runtime.clock import Clock

ALGORITHM = "ES256"
MIN_LIFETIME_S = 600  # Kubernetes' minimum
MAX_LIFETIME_S = 1 << 32
VERIFIED_TOKENS = 4096  # remembered: about 1 KB each
MAX_TOKEN_BYTES = 16 << 10  # a longer one is nobody's
LEEWAY_S = 10  # of not-before, between clocks
EXTENDED_LIFETIME_S = 3607  # what kubelets ask for pods' default tokens: an hour, and a number that nobody else picks
EXTENSION_S = 365 * 24 * 3600
DELETED_GRACE_S = 60  # that tokens outlive the deletion of what they are bound to, while it ends in good order
PRIVATE_CLAIMS = "kubernetes.io"


@dataclass(frozen=True, slots=True)
class Verified:
    """A token whose signature is good: who, until when, for whom, and bound to what."""

    identity: Identity
    expires: float
    audiences: tuple[str, ...]
    bound: tuple[tuple[bytes, str], ...]  # (storage key, uid) of everything that must still be there
    stale_after: float = math.inf  # its holder should have read a new one by then


class ServiceAccountTokens:
    """Signs and verifies. `issuer` is also the audience of a token that names none."""

    def __init__(self, private_key: bytes, public_key: bytes, domain: str, cache: WatchCache, clock: Clock) -> None:
        signing, verifying = load_pem_private_key(private_key, password=None), load_pem_public_key(public_key)
        if not isinstance(signing, EllipticCurvePrivateKey) or not isinstance(verifying, EllipticCurvePublicKey):
            raise ValueError("the keys of service account tokens must be EC keys on P-256")
        self._private_key, self._public_key = signing, verifying
        self.key_id = hashlib.sha256(public_key).hexdigest()[:32]
        self.issuer = f"https://kubernetes.default.svc.{domain}"
        self.audiences = (self.issuer, "kubernetes.default.svc", "api")
        self._cache = cache
        self._clock = clock
        self._verified: OrderedDict[str, Verified] = OrderedDict()
        self._uids: dict[bytes, tuple[Entry, str, float]] = {}  # key -> (seen in, uid, until when it counts)

    def issue(
        self,
        account: dict[str, Any],
        audiences: Sequence[str],
        lifetime_s: int,
        bound: dict[str, Any] | None = None,
        node: dict[str, str] | None = None,
    ) -> tuple[str, int]:
        """Return (token, when it expires, in seconds since the epoch).

        A token of the default kind that pods get (EXTENDED_LIFETIME_S, bound to a Pod, for us) really lives for a year,
        and is stale after the time that it says: clients that never read it again go on working, and are found out.
        """
        now = int(self._clock.wall())
        metadata = account["metadata"]
        private: dict[str, Any] = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        if bound:
            private[bound["kind"].lower()] = {"name": bound["name"], "uid": bound["uid"]}
        if node:
            private["node"] = node
        ends = now + lifetime_s
        is_pods = bool(bound) and bound is not None and bound["kind"] == "Pod"
        if lifetime_s == EXTENDED_LIFETIME_S and is_pods and set(audiences or self.audiences) & set(self.audiences):
            private["warnafter"], ends = ends, now + EXTENSION_S
        claims = {
            "aud": list(audiences) or [self.issuer],
            "exp": ends,
            "iat": now,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            PRIVATE_CLAIMS: private,
            "nbf": now,
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
        }
        token = jwt.encode(claims, self._private_key, ALGORITHM, headers={"kid": self.key_id})
        return token, now + lifetime_s

    def authenticate(self, token: str, audiences: Sequence[str] = ()) -> Identity | None:
        """Return whose token it is, or None when it is not good (any more) or not meant for `audiences`."""
        verified = self.verified(token)
        if verified is None:
            return None
        wanted = audiences or self.audiences
        for audience in verified.audiences:
            if audience in wanted:
                return verified.identity
        return None

    def verified(self, token: str) -> Verified | None:
        """Return what a good token says; None when it is bad, expired, or what it is bound to is gone."""
        known = self._verified.get(token)
        if known is None:
            known = self._verify(token)
            if known is None:
                return None
            self._verified[token] = known
            if len(self._verified) > VERIFIED_TOKENS:
                self._verified.popitem(last=False)
        is_good = known.expires > self._clock.wall()
        for key, uid in known.bound:
            is_good = is_good and self._is_there(key, uid)
        if not is_good:
            self._verified.pop(token, None)
            return None
        return known

    @property
    def public_key(self) -> EllipticCurvePublicKey:
        return self._public_key

    def key_set(self) -> dict[str, Any]:
        """The JSON Web Key Set with which others check our tokens."""
        key = jwt.algorithms.ECAlgorithm.to_jwk(self._public_key, as_dict=True)
        return {"keys": [{"use": "sig", "kid": self.key_id, "alg": ALGORITHM, **key}]}

    def _verify(self, token: str) -> Verified | None:
        if len(token) > MAX_TOKEN_BYTES:
            return None
        try:
            claims = jwt.decode(
                token,
                self._public_key,
                algorithms=[ALGORITHM],
                issuer=self.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "iss", "sub"], "verify_aud": False, "verify_exp": False},
            )
            return _of_claims(claims)
        except (jwt.PyJWTError, KeyError, TypeError, AttributeError, ValueError):
            return None

    def _is_there(self, key: bytes, uid: str) -> bool:
        cache = self._cache.find(key)
        entry = cache.entries.get(key) if cache is not None else None
        if entry is None:
            return False
        known = self._uids.get(key)
        if known is None or known[0] is not entry:
            if len(self._uids) > VERIFIED_TOKENS:
                self._uids.clear()
            known = self._uids[key] = (entry, *_uid_and_end(entry.decode()["metadata"]))
        return known[1] == uid and known[2] > self._clock.wall()


def _uid_and_end(metadata: dict[str, Any]) -> tuple[str, float]:
    deleted = metadata.get("deletionTimestamp")
    return metadata.get("uid", ""), parse_time(deleted) + DELETED_GRACE_S if deleted else math.inf


def _of_claims(claims: dict[str, Any]) -> Verified:
    """Read our own claims; KeyError or TypeError when a signed token is not of our making."""
    private = claims[PRIVATE_CLAIMS]
    namespace, account = private["namespace"], private["serviceaccount"]
    bound = [(f"/registry/serviceaccounts/{namespace}/{account['name']}".encode(), account["uid"])]
    extra = {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]} if claims.get("jti") else {}
    for kind in ("pod", "secret"):
        if kind in private:
            bound.append((f"/registry/{kind}s/{namespace}/{private[kind]['name']}".encode(), private[kind]["uid"]))
    if "pod" in private:
        extra["authentication.kubernetes.io/pod-name"] = [private["pod"]["name"]]
        extra["authentication.kubernetes.io/pod-uid"] = [private["pod"]["uid"]]
    elif "node" in private:
        bound.append((f"/registry/nodes/{private['node']['name']}".encode(), private["node"]["uid"]))
    if "node" in private:
        extra["authentication.kubernetes.io/node-name"] = [private["node"]["name"]]
        if private["node"].get("uid"):
            extra["authentication.kubernetes.io/node-uid"] = [private["node"]["uid"]]
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    identity = Identity(claims["sub"], groups, account["uid"], extra)
    audiences = claims.get("aud") or []
    meant = (audiences,) if isinstance(audiences, str) else tuple(audiences)
    stale_after = float(private.get("warnafter") or math.inf)
    return Verified(identity, float(claims["exp"]), meant, tuple(bound), stale_after)


class StaticTokens:
    """Tokens out of a file in Kubernetes' form: token,user,uid,"group1,group2" a line."""

    def __init__(self, path: Path | None) -> None:
        self._identities: dict[str, Identity] = {}
        if path is None or not path.exists():
            return
        with path.open(newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row or row[0].startswith("#"):
                    continue
                if len(row) < 3 or not row[0] or not row[1]:
                    raise ValueError(f"{path}, line {number}: expected token,user,uid[,groups]")
                groups = tuple(g for g in (row[3].split(",") if len(row) > 3 else ()) if g)
                self._identities[row[0]] = authenticated(row[1], groups, row[2])

    def authenticate(self, token: str) -> Identity | None:
        found = None
        for known, identity in self._identities.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                found = identity
        return found
