"""serviceaccount-token: fills a Secret of type kubernetes.io/service-account-token, and removes it with its account.

The Secret names its account by annotation; it gets a token that does not expire, the namespace, and the cluster's CA.
Whose account is gone, or another one by the same name, goes too.

Neighbours: the API server's `auth.legacy_tokens` takes these tokens for good.
"""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt

from actors.controller_manager.actions import Action, ConfirmAbsent, Delete, Failure, Update
from actors.controller_manager.controller import Controller
from actors.controller_manager.pods import is_terminating

Object = dict[str, Any]
Sign = Callable[[Object], str]  # claims -> token

SECRET_TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
ISSUER = "kubernetes/serviceaccount"
CLAIM = "kubernetes.io/serviceaccount/"
_BY_ACCOUNT = "by-account"


def reconcile(secret: Object, account: Object | None, authority: bytes, sign: Sign) -> list[Action]:
    """Return the write that fills a token Secret, or its deletion."""
    metadata = secret["metadata"]
    annotations = metadata.get("annotations") or {}
    name = annotations.get(ACCOUNT_NAME, "")
    if is_terminating(secret) or not name:
        return []
    wanted_uid = annotations.get(ACCOUNT_UID, "")
    if account is None or (wanted_uid and wanted_uid != account["metadata"]["uid"]):
        gone = ConfirmAbsent("serviceaccounts", metadata["namespace"], name, wanted_uid or None)
        return [gone, Delete("secrets", metadata["namespace"], metadata["name"], metadata["uid"])]
    uid = account["metadata"]["uid"]
    data = dict(secret.get("data") or {})
    data["ca.crt"] = base64.b64encode(authority).decode()
    data["namespace"] = base64.b64encode(metadata["namespace"].encode()).decode()
    if not data.get("token"):
        data["token"] = base64.b64encode(sign(claims_of(secret, name, uid)).encode()).decode()
    if data == secret.get("data") and wanted_uid == uid:
        return []
    marked = {**metadata, "annotations": {**annotations, ACCOUNT_UID: uid}}
    return [Update("secrets", {**secret, "metadata": marked, "data": data})]


def claims_of(secret: Object, account: str, uid: str) -> Object:
    namespace = secret["metadata"]["namespace"]
    return {
        "iss": ISSUER,
        CLAIM + "namespace": namespace,
        CLAIM + "secret.name": secret["metadata"]["name"],
        CLAIM + "service-account.name": account,
        CLAIM + "service-account.uid": uid,
        "sub": f"system:serviceaccount:{namespace}:{account}",
    }


def account_of(secret: Object) -> str:
    """The key of the account that a Secret names."""
    name = (secret["metadata"].get("annotations") or {}).get(ACCOUNT_NAME, "")
    return f"{secret['metadata']['namespace']}/{name}"


class ServiceAccountTokenController(Controller):
    name = "serviceaccount-token"
    workers = 2

    def set_up(self) -> None:
        self.secrets = self.watch("secrets", lambda key, old, new: (key,), field_selector=f"type={SECRET_TYPE}")
        self.caches.index(self.secrets, _BY_ACCOUNT, lambda secret: (account_of(secret),))
        self.accounts = self.watch("serviceaccounts", self._secrets_of)

    async def begin(self) -> None:
        pki = Path(self.around.data_dir) / "pki"
        self._authority = (pki / "ca.crt").read_bytes()
        self._key = (pki / "sa.key").read_bytes()
        self._key_id = hashlib.sha256((pki / "sa.pub").read_bytes()).hexdigest()[:32]

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        secret = self.secrets.get(key)
        if secret is None:
            return []
        return reconcile(secret, self.accounts.get(account_of(secret)), self._authority, self._sign)

    def _secrets_of(self, key: str, old: Object | None, new: Object | None) -> list[str]:
        if old is not None and new is not None and old["metadata"]["uid"] == new["metadata"]["uid"]:
            return []
        return [
            f"{secret['metadata']['namespace']}/{secret['metadata']['name']}"
            for secret in self.secrets.by_index(_BY_ACCOUNT, key)
        ]

    def _sign(self, claims: Object) -> str:
        return jwt.encode(claims, self._key, "ES256", headers={"kid": self._key_id})
