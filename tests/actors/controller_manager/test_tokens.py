"""Secrets that are tokens: filled for their account, gone with it; bootstrap tokens go when they have expired."""

import base64

import pytest

from actors.api.meta import rfc3339
from actors.controller_manager.actions import ConfirmAbsent, Delete, RequeueAfter, Update
from actors.controller_manager.tokens import bootstrap, service_account
from actors.controller_manager.tokens.service_account import ACCOUNT_NAME, ACCOUNT_UID, reconcile

NOW = 1_800_000_000.0
ACCOUNT = {"metadata": {"name": "robot", "namespace": "default", "uid": "u1"}}


def secret(data: dict | None = None, **annotations: str) -> dict:
    metadata = {"name": "t", "namespace": "default", "uid": "s1", "annotations": annotations}
    return {"metadata": metadata, "type": service_account.SECRET_TYPE} | ({"data": data} if data else {})


def sign(claims: dict) -> str:
    return f"signed for {claims['sub']}"


def test_a_secret_is_filled_once():
    (write,) = reconcile(secret(**{ACCOUNT_NAME: "robot"}), ACCOUNT, b"CA", sign)
    assert isinstance(write, Update)
    data = {key: base64.b64decode(value).decode() for key, value in write.obj["data"].items()}
    token = "signed for system:serviceaccount:default:robot"
    assert data == {"ca.crt": "CA", "namespace": "default", "token": token}
    assert write.obj["metadata"]["annotations"][ACCOUNT_UID] == "u1"
    assert reconcile(write.obj, ACCOUNT, b"CA", sign) == []
    (renewed,) = reconcile(write.obj, ACCOUNT, b"other CA", sign)
    assert renewed.obj["data"]["token"] == write.obj["data"]["token"]


def test_a_secret_goes_with_its_account():
    for given, account in (
        (secret(**{ACCOUNT_NAME: "robot"}), None),
        (secret(**{ACCOUNT_NAME: "robot", ACCOUNT_UID: "u0"}), ACCOUNT),
    ):
        confirm, delete = reconcile(given, account, b"CA", sign)
        assert isinstance(confirm, ConfirmAbsent) and confirm.name == "robot"
        assert isinstance(delete, Delete) and delete.uid == "s1"
    assert reconcile(secret(), None, b"CA", sign) == []


@pytest.mark.parametrize(
    ("expiration", "action"),
    [(None, None), ("soon", None), (rfc3339(NOW - 1), Delete), (rfc3339(NOW + 60), RequeueAfter)],
)
def test_bootstrap_tokens_go_when_they_have_expired(expiration, action):
    data = {} if expiration is None else {"expiration": base64.b64encode(expiration.encode()).decode()}
    actions = bootstrap.reconcile(secret(data), NOW)
    assert [type(one) for one in actions] == ([] if action is None else [action])
