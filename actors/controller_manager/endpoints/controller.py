"""The EndpointSlice and Endpoints control loops: which Services a change concerns, and what they select.

Both index Pods by label and Services by one pair of their selector, so that a change of a Pod finds its Services, and a
Service its Pods, without looking at the rest of the namespace. A third loop mirrors Endpoints that no Pods are behind.
"""

from collections.abc import Iterable
from typing import Any

from actors.api.meta import key_of
from actors.api.selectors import from_labels
from actors.controller_manager.actions import Action, Failure
from actors.controller_manager.controller import Controller
from actors.controller_manager.endpoints import legacy, mirror, slices
from actors.controller_manager.endpoints.addresses import selects_pods
from actors.controller_manager.pods import Pod, is_ready, is_terminal, is_terminating
from actors.controller_manager.relations import namespace_of

Object = dict[str, Any]

SERVICES = "services"
_BY_LABEL = "label"
_BY_SELECTOR = "selector"
_BY_SERVICE = "service"
_BY_MIRRORED = "mirrored"


class _ServiceController(Controller):
    """What both loops share: Services, the Pods that they select, and the keys between."""

    rests = True

    def set_up(self) -> None:
        self.services = self.watch(SERVICES, lambda key, old, new: (key,))
        self.pods = self.watch("pods", self._keys_of_pod)
        self.caches.index(self.services, _BY_SELECTOR, _term_of_service)
        self.caches.index(self.pods, _BY_LABEL, _terms_of_pod)

    def selected(self, service: Object) -> list[Pod]:
        """Return the Pods behind a Service, in the order of names."""
        selector = from_labels(service["spec"]["selector"])
        (term,) = _term_of_service(service)
        found = self.pods.by_index(_BY_LABEL, term)
        matching = [pod for pod in found if selector.matches(pod["metadata"].get("labels"))]
        return sorted(matching, key=lambda pod: pod["metadata"]["name"])

    def _keys_of_pod(self, key: str, old: Pod | None, new: Pod | None) -> Iterable[str]:
        if old is not None and new is not None and _facts(old) == _facts(new):
            return set()
        return {key_of(service) for pod in (old, new) if pod is not None for service in self._services_of(pod)}

    def _services_of(self, pod: Pod) -> Iterable[Object]:
        labels = pod["metadata"].get("labels") or {}
        for term in _terms_of_pod(pod):
            for service in self.services.by_index(_BY_SELECTOR, term):
                if from_labels(service["spec"]["selector"]).matches(labels):
                    yield service


class EndpointSliceController(_ServiceController):
    name = "endpoint-slice"

    def set_up(self) -> None:
        super().set_up()
        self.nodes = self.cache("nodes")
        self.slices = self.watch(slices.ENDPOINT_SLICES, _keys_of_slice)
        self.caches.index(self.slices, _BY_SERVICE, lambda found: _keys_of_slice("", None, found))

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        service = self.services.get(key)
        if service is None or not selects_pods(service) or is_terminating(service):
            return []  # slices of a Service that is gone go with their owner
        existing = sorted(self.slices.by_index(_BY_SERVICE, key), key=lambda found: found["metadata"]["name"])
        return slices.reconcile(service, self.selected(service), existing, self.nodes.get, self.clock.wall())


class EndpointsController(_ServiceController):
    name = "endpoint"

    def set_up(self) -> None:
        super().set_up()
        self.endpoints = self.watch(legacy.ENDPOINTS, lambda key, old, new: (key,))

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        service, current = self.services.get(key), self.endpoints.get(key)
        if service is None:
            labels = (current or {"metadata": {}})["metadata"].get("labels") or {}
            ours = current is not None and labels.get(legacy.MANAGED_BY_LABEL) == legacy.MANAGED_BY
            return [legacy.remove(current)] if current is not None and ours and not is_terminating(current) else []
        if not selects_pods(service) or is_terminating(service):
            return []
        return legacy.reconcile(service, self.selected(service), current)


class EndpointSliceMirroringController(Controller):
    """Slices for Endpoints that somebody keeps by hand."""

    name = "endpoint-slice-mirroring"

    def set_up(self) -> None:
        self.services = self.watch(SERVICES, lambda key, old, new: (key,))
        self.endpoints = self.watch(legacy.ENDPOINTS, lambda key, old, new: (key,))
        self.slices = self.watch(slices.ENDPOINT_SLICES, _keys_of_mirror)
        self.caches.index(self.slices, _BY_MIRRORED, lambda found: _keys_of_mirror("", None, found))

    async def decide(self, key: str, failure: Failure | None) -> list[Action]:
        endpoints, service = self.endpoints.get(key), self.services.get(key)
        existing = self.slices.by_index(_BY_MIRRORED, key)
        if endpoints is None or is_terminating(endpoints) or not mirror.is_mirrored(endpoints, service):
            return [mirror.remove(found) for found in existing if not is_terminating(found)]
        return mirror.reconcile(endpoints, existing)


def _term_of_service(service: Object) -> tuple[str, ...]:
    """Return one pair of a Service's selector, as an index value."""
    if not selects_pods(service):
        return ()
    label, value = min(service["spec"]["selector"].items())
    return (f"{namespace_of(service)}/{label}={value}",)


def _terms_of_pod(pod: Pod) -> list[str]:
    labels = pod["metadata"].get("labels") or {}
    return [f"{namespace_of(pod)}/{label}={value}" for label, value in labels.items()]


def _keys_of_slice(key: str, old: Object | None, new: Object | None) -> tuple[str, ...]:
    """Return the key of the Service that one of our slices belongs to."""
    return _services_of_slices((old, new), slices.MANAGED_BY)


def _keys_of_mirror(key: str, old: Object | None, new: Object | None) -> tuple[str, ...]:
    """Return the key of the Endpoints, and the Service, that a mirrored slice belongs to."""
    return _services_of_slices((old, new), mirror.MANAGED_BY)


def _services_of_slices(of: Iterable[Object | None], manager: str) -> tuple[str, ...]:
    keys = set()
    for found in of:
        labels = (found["metadata"].get("labels") or {}) if found is not None else {}
        if found is not None and labels.get(slices.MANAGED_BY_LABEL) == manager:
            service = labels.get(slices.SERVICE_NAME_LABEL)
            if service:
                keys.add(f"{namespace_of(found)}/{service}")
    return tuple(keys)


def _facts(pod: Pod) -> tuple[Any, ...]:
    """Return what an endpoint depends on; most updates of a Pod change none of it."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    return (
        metadata["uid"],
        metadata.get("labels"),
        is_terminating(pod),
        is_terminal(pod),
        is_ready(pod),
        status.get("podIP"),
        status.get("podIPs"),
        spec.get("nodeName"),
        spec.get("hostname"),
        spec.get("subdomain"),
    )
