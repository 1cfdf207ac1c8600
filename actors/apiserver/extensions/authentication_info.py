"""What API servers behind this one must know to believe us: the ConfigMap extension-apiserver-authentication in
kube-system, and the role that lets them read it. They are told of both authorities: of clients, and of the front proxy.

Neighbours: `availability` keeps them; `remote` proves itself by what they say.
"""

from pathlib import Path
from typing import Any

from actors.apiserver.extensions.remote import FrontProxy

NAMESPACE, NAME = "kube-system", "extension-apiserver-authentication"
READER = "extension-apiserver-authentication-reader"
FRONT_PROXY_USER = "front-proxy-client"  # the name in the certificate that the cluster's PKI makes

Object = dict[str, Any]


def objects(clients: Path, proxy: FrontProxy) -> list[tuple[str, Object]]:
    """Return the objects, each with the path of its collection."""
    data = {
        "client-ca-file": clients.read_text(),
        "requestheader-client-ca-file": proxy.authority.read_text(),
        "requestheader-allowed-names": f'["{FRONT_PROXY_USER}"]',
        "requestheader-username-headers": '["X-Remote-User"]',
        "requestheader-uid-headers": '["X-Remote-Uid"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
    }
    config = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": NAME, "namespace": NAMESPACE}, "data": data}
    rules = [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [NAME], "verbs": ["get", "list", "watch"]}
    ]
    metadata = {
        "name": READER,
        "namespace": NAMESPACE,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }
    role = {"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata, "rules": rules}
    return [
        (f"/api/v1/namespaces/{NAMESPACE}/configmaps", config),
        (f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles", role),
    ]
