"""sig-network: Services, Endpoints and EndpointSlices as objects; nothing must flow through them."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster import eventually
from tests.conformance.access import Api, Object
from tests.conformance.pods import Space, condition_of, container, pod
from tests.conformance.watching import watching

pytestmark = pytest.mark.timeout(90)

SLICES = "discovery.k8s.io/v1/endpointslices"
LATENCIES = 100


def service(name: str, *ports: Object, **spec: Any) -> Object:
    metadata = {"name": name, "labels": {"of": name}}
    fields = {"ports": list(ports) or [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": fields}


def start(space: Space, name: str, label: str, **ports: int) -> str:
    """Start a pod with named ports; return its address once it is ready."""
    named = [{"name": port, "containerPort": number} for port, number in ports.items()]
    space.start(pod(container(None, ports=named), name=name, labels={"app": label}))
    return str(space.ready(name)["status"]["podIP"])


def endpoints_of(space: Space, name: str) -> dict[str, set[int]]:
    """Return the ports of each address of the Endpoints object, which must be there."""
    found: dict[str, set[int]] = {}
    for subset in space.get("endpoints", name).get("subsets") or ():
        for address in subset.get("addresses") or ():
            found.setdefault(address["ip"], set()).update(port["port"] for port in subset["ports"])
    return found


def slices_of(space: Space, name: str) -> list[Object]:
    return space.list(SLICES, f"kubernetes.io/service-name={name}")


def sliced(space: Space, name: str) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for one in slices_of(space, name):
        for endpoint in one["endpoints"] or ():
            if endpoint["conditions"]["ready"]:
                found.setdefault(endpoint["addresses"][0], set()).update(port["port"] for port in one["ports"] or ())
    return found


def become(space: Space, name: str, wanted: dict[str, set[int]]) -> None:
    eventually(lambda: endpoints_of(space, name) == sliced(space, name) == wanted, f"{name} has {wanted}", 20)


def test_the_api_servers_own_service(whole: Space):
    """Find Kubernetes Service in default Namespace"""
    found = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in whole.list("services")]
    assert ("default", "kubernetes") in found


def test_nobody_is_selected(space: Space):
    """Endpoints, "empty" Service"""
    space.create("services", service("empty", selector={"app": "nobody"}))
    become(space, "empty", {})
    space.delete("services", "empty")
    eventually(lambda: not space.has("endpoints", "empty"), "its Endpoints are gone", 20)
    eventually(lambda: slices_of(space, "empty") == [], "its slices are gone", 20)


def test_slices_follow_pods(space: Space):
    """EndpointSlice, creation/deletion"""
    port = {"name": "http", "port": 80, "targetPort": "web"}
    space.create("services", service("sliced", port, selector={"app": "sliced"}))
    addresses = {start(space, f"sliced-{number}", "sliced", web=3000 + number) for number in range(2)}
    eventually(lambda: set(sliced(space, "sliced")) == addresses, "both pods are in slices", 20)
    found = slices_of(space, "sliced")
    assert {port["port"] for one in found for port in one["ports"]} == {3000, 3001}
    assert {endpoint["targetRef"]["name"] for one in found for endpoint in one["endpoints"]} == {"sliced-0", "sliced-1"}
    assert set(endpoints_of(space, "sliced")) == addresses
    space.delete("services", "sliced")
    eventually(lambda: slices_of(space, "sliced") == [], "the slices are gone", 20)
    eventually(lambda: not space.has("endpoints", "sliced"), "its Endpoints are gone", 20)


def test_endpoints_follow_pods(space: Space):
    """Service, endpoints"""
    space.create("services", service("follows", {"port": 80, "targetPort": 8080}, selector={"app": "follows"}))
    become(space, "follows", {})
    first = start(space, "follows-1", "follows", web=8080)
    become(space, "follows", {first: {8080}})
    second = start(space, "follows-2", "follows", web=8080)
    become(space, "follows", {first: {8080}, second: {8080}})
    space.delete("pods", "follows-2", grace_s=0)
    become(space, "follows", {first: {8080}})
    space.delete("pods", "follows-1", grace_s=0)
    become(space, "follows", {})


def test_two_ports_of_two_pods(space: Space):
    """Service, endpoints with multiple ports"""
    ports = ({"name": "one", "port": 80, "targetPort": "first"}, {"name": "two", "port": 81, "targetPort": "second"})
    space.create("services", service("ports", *ports, selector={"app": "ports"}))
    become(space, "ports", {})
    first = start(space, "ports-1", "ports", first=100)
    become(space, "ports", {first: {100}})
    second = start(space, "ports-2", "ports", second=101)
    become(space, "ports", {first: {100}, second: {101}})
    space.delete("pods", "ports-1", grace_s=0)
    become(space, "ports", {second: {101}})
    space.delete("pods", "ports-2", grace_s=0)
    become(space, "ports", {})


def test_the_life_of_endpoints(space: Space, api: Api):
    """Endpoint resource lifecycle"""
    metadata = {"name": "own", "labels": {"static": "yes"}}
    subsets = [{"addresses": [{"ip": "10.0.0.24"}], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}]
    with watching(api, space.path("endpoints"), labelSelector="static=yes") as watch:
        space.create("endpoints", {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets})
        watch.until("ADDED", "own")
        everywhere = api.json("GET", "/api/v1/endpoints", labelSelector="static=yes")["items"]
        assert [item["metadata"]["name"] for item in everywhere] == ["own"]
        space.modify("endpoints", "own", lambda found: found["metadata"]["labels"].update(updated="yes"))
        assert watch.until("MODIFIED", "own")["metadata"]["labels"]["updated"] == "yes"
        other = [{"addresses": [{"ip": "10.0.0.25"}], "ports": [{"name": "http-test", "port": 8080}]}]
        space.patch("endpoints", "own", {"metadata": {"labels": {"patched": "yes"}}, "subsets": other})
        found = watch.until("MODIFIED", "own")
        assert (found["metadata"]["labels"]["patched"], endpoints_of(space, "own")) == ("yes", {"10.0.0.25": {8080}})
        space.delete_all("endpoints", "static=yes")
        watch.until("DELETED", "own")


def test_endpoints_made_by_hand_are_mirrored(space: Space, api: Api):
    """EndpointSlice Mirroring"""
    served = {item["name"]: item for item in api.json("GET", "/apis/discovery.k8s.io/v1")["resources"]}
    assert served["endpointslices"]["kind"] == "EndpointSlice"
    space.create("services", service("mirrored", {"name": "example", "port": 80}))
    subsets = [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"name": "example", "port": 80, "protocol": "TCP"}]}]
    made = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "mirrored"}, "subsets": subsets}
    space.create("endpoints", made)
    become(space, "mirrored", {"10.1.2.3": {80}})
    (found,) = slices_of(space, "mirrored")
    assert (found["addressType"], found["ports"][0]["name"]) == ("IPv4", "example")
    other = [{"addresses": [{"ip": "10.2.3.4"}], "ports": [{"name": "example", "port": 9090, "protocol": "TCP"}]}]
    space.modify("endpoints", "mirrored", lambda one: one.update(subsets=other))
    become(space, "mirrored", {"10.2.3.4": {9090}})
    space.delete("endpoints", "mirrored")
    eventually(lambda: slices_of(space, "mirrored") == [], "the slice is gone", 20)


def test_the_status_of_a_service(space: Space, api: Api):
    """Service, complete ServiceStatus lifecycle"""
    with watching(api, space.path("services"), labelSelector="of=status") as watch:
        space.create("services", service("status", type="LoadBalancer"))
        watch.until("ADDED", "status")
        assert space.get("services", "status", "status")["status"] == {"loadBalancer": {}}
        ingress = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}
        patched = {"metadata": {"annotations": {"patched": "yes"}}, "status": ingress}
        space.patch("services", "status", patched, "status")
        found = watch.until("MODIFIED", "status")
        assert found["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.1"
        assert found["metadata"]["annotations"] == {"patched": "yes"}
        told = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from an e2e test"}
        told["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        space.modify("services", "status", lambda one: one["status"].update(conditions=[told]), "status")
        assert condition_of(watch.until("MODIFIED", "status"), "StatusUpdate") == "True"
        space.patch("services", "status", {"metadata": {"labels": {"patched": "yes"}}})
        assert watch.until("MODIFIED", "status")["metadata"]["labels"]["patched"] == "yes"
        space.delete("services", "status")
        watch.until("DELETED", "status")


def test_endpoints_come_soon(space: Space):
    """Service endpoint latency, thresholds"""
    start(space, "latency", "latency", web=80)

    def latency_s(number: int) -> float:
        name = f"latency-{number}"
        began = time.monotonic()
        space.create("services", service(name, selector={"app": "latency"}))
        eventually(lambda: endpoints_of(space, name), f"the endpoints of {name}", 50)
        took = time.monotonic() - began
        space.delete("services", name)
        return took

    with ThreadPoolExecutor(4) as pool:
        percentiles = statistics.quantiles(pool.map(latency_s, range(LATENCIES)), n=100)
    assert percentiles[49] < 20
    assert percentiles[89] < 50
