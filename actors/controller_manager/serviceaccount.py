"""What each Namespace gets to begin with: the ServiceAccount `default`, and the cluster's CA for its Pods.

A Pod can't be admitted without its ServiceAccount, so that this is on the way of the first Pod of a Namespace. Both are
watched by name only: a cluster may hold many ConfigMaps that are no concern of this.
"""

from pathlib import Path
from typing import Any

from actors.controller_manager.actions import Action, Create, Failure, Update
from actors.controller_manager.controller import Controller
from actors.controller_manager.pods import is_terminating
from actors.controller_manager.relations import namespace_of

Object = dict[str, Any]

DEFAULT_ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def is_active(namespace: Object | None) -> bool:
    """May objects be created in this Namespace?"""
    if namespace is None or is_terminating(namespace):
        return False
    return (namespace.get("status") or {}).get("phase", "Active") == "Active"


def reconcile_account(namespace: Object | None, account: Object | None) -> list[Action]:
    if namespace is None or not is_active(namespace) or account is not None:
        return []
    metadata = {"name": DEFAULT_ACCOUNT, "namespace": namespace["metadata"]["name"]}
    return [Create("serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})]


def reconcile_root_ca(namespace: Object | None, published: Object | None, certificate: str) -> list[Action]:
    if namespace is None or not is_active(namespace):
        return []
    data = {"ca.crt": certificate}
    if published is None:
        metadata = {
            "name": ROOT_CA,
            "namespace": namespace["metadata"]["name"],
            "annotations": {"kubernetes.io/description": _DESCRIPTION},
        }
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        return [Create("configmaps", obj)]
    if published.get("data") == data:
        return []
    return [Update("configmaps", {**published, "data": data})]


class _PerNamespace(Controller):
    """One object of a fixed name in each Namespace; the key is the Namespace's name."""

    resource = ""
    object_name = ""

    def set_up(self) -> None:
        self.namespaces = self.watch("namespaces", lambda key, old, new: (key,))
        self.objects = self.watch(
            self.resource,
            lambda key, old, new: (namespace_of(new or old or {"metadata": {}}),),
            field_selector=f"metadata.name={self.object_name}",
        )

    def current(self, key: str) -> tuple[Object | None, Object | None]:
        return self.namespaces.get(key), self.objects.get(f"{key}/{self.object_name}")


class ServiceAccountController(_PerNamespace):
    name = "serviceaccount"
    resource, object_name = "serviceaccounts", DEFAULT_ACCOUNT

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        return reconcile_account(*self.current(key))


class RootCaPublisher(_PerNamespace):
    name = "root-ca-certificate-publisher"
    resource, object_name = "configmaps", ROOT_CA

    async def begin(self) -> None:
        path = Path(self.around.data_dir) / "pki" / "ca.crt"
        self._certificate = path.read_text(encoding="ascii")

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        return reconcile_root_ca(*self.current(key), self._certificate)
