"""sig-auth: what pods find of their service accounts."""

import sys

import pytest

from tests.conformance.access import Object
from tests.conformance.pods import Space, container, pod

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
MOUNTS = {  # what the pod says, what its account says: whether the token is mounted
    (None, None): True,
    (None, True): True,
    (None, False): False,
    (True, None): True,
    (True, True): True,
    (True, False): True,
    (False, None): False,
    (False, True): False,
    (False, False): False,
}

# Finds the keys by the issuer's own documents, with nothing but what the pod was given, and checks the token with them.
VERIFY = """
import json, os, ssl, urllib.request
import jwt
token, address = os.environ["TOKEN"], os.environ["ADDRESS"]
tls = ssl.create_default_context(cadata=os.environ["CA"])
def get(path):
    asked = urllib.request.Request(f"https://{address}{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, context=tls, timeout=10) as answer:
        return json.load(answer)
found = get("/.well-known/openid-configuration")
keys = get("/" + found["jwks_uri"].split("/", 3)[3])
key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
claims = jwt.decode(token, key.key, algorithms=found["id_token_signing_alg_values_supported"],
                    issuer=found["issuer"], options={"verify_aud": False})
print(claims["sub"], claims["kubernetes.io"]["pod"]["name"])
"""


def account(name: str, mounts: bool | None) -> Object:
    metadata = {"name": name}
    more = {} if mounts is None else {"automountServiceAccountToken": mounts}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, **more}


def test_a_pod_has_its_token(space: Space):
    """Service Account Tokens Must AutoMount"""
    files = ("token", "ca.crt", "namespace")
    made = pod(*(container(["cat", f"{ACCOUNT_DIR}/{name}"], name.replace(".", "-")) for name in files))
    del made["spec"]["automountServiceAccountToken"]
    name = space.start(made)
    assert space.ended(name)["status"]["phase"] == "Succeeded"
    token, authority, namespace = (space.log(name, of=one.replace(".", "-")) for one in files)
    assert namespace == space.name
    assert authority == (space.api.cluster.data_dir / "pki" / "ca.crt").read_text()
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status = space.api.json("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
    assert status["user"]["username"] == f"system:serviceaccount:{space.name}:default"


def test_a_token_is_opted_out_of(space: Space):
    """Service account tokens auto mount optionally"""
    accounts = {None: "mounts-unsaid", True: "mounts", False: "mounts-not"}
    for mounts, name in accounts.items():
        space.create("serviceaccounts", account(name, mounts))
    started = {}
    for of_pod, of_account in MOUNTS:
        made = pod(container(f"test -e {ACCOUNT_DIR}/token && echo yes || echo no"))
        made["spec"]["serviceAccountName"] = accounts[of_account]
        if of_pod is None:
            del made["spec"]["automountServiceAccountToken"]
        else:
            made["spec"]["automountServiceAccountToken"] = of_pod
        started[of_pod, of_account] = space.start(made)
    assert {case: space.output(name).strip() == "yes" for case, name in started.items()} == MOUNTS


def test_a_pod_verifies_its_token(space: Space):
    """
    OIDC Discovery (ServiceAccountIssuerDiscovery)

    The toolbox has no TLS worth the name: the machine's own files are mounted, and the test's interpreter runs in them.
    """
    run = f"""export TOKEN="$(cat {ACCOUNT_DIR}/token)" CA="$(cat {ACCOUNT_DIR}/ca.crt)"
    export ADDRESS=$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT; exec chroot /machine {sys.executable} -c "$VERIFY"
    """
    mount = {"name": "machine", "mountPath": "/machine", "readOnly": True}
    made = pod(
        container(run, env=[{"name": "VERIFY", "value": VERIFY}], volumeMounts=[mount]),
        volumes=[{"name": "machine", "hostPath": {"path": "/", "type": "Directory"}}],
    )
    del made["spec"]["automountServiceAccountToken"]
    name = space.start(made)
    assert space.output(name).split() == [f"system:serviceaccount:{space.name}:default", name]
