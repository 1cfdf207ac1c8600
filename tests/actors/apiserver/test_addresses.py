"""Addresses of Services: which network they come from, what IPAddress objects say, and what is repaired."""

import asyncio

import pytest

from actors.apiserver.allocate import networks
from actors.apiserver.allocate.ip_addresses import ip_address
from actors.apiserver.allocate.ranges import NODE_PORTS, cluster_ips, node_ports
from actors.apiserver.bootstrap.address_upkeep import (
    BLOCKED_MESSAGE,
    DELETION_GRACE_S,
    AddressUpkeep,
    address_writes,
    cidr_writes,
)
from actors.apiserver.bootstrap.ensure import send_as_self
from actors.apiserver.bootstrap.port_upkeep import Held, PortUpkeep, leaked, ports_of, repairs
from actors.state.messages import DeleteRange, KeyValue, Put, Range, Txn
from tests.actors.apiserver.api_harness import with_api

SERVICES = "/api/v1/namespaces/default/services"
CIDRS = "/apis/networking.k8s.io/v1/servicecidrs"
ADDRESSES = "/apis/networking.k8s.io/v1/ipaddresses"
NOW = "2026-05-01T12:00:00Z"


def service(name: str, **spec) -> dict:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}, **spec}}


async def looked_after(api) -> AddressUpkeep:
    async def send(method: str, path: str, body: dict) -> int:
        status, _ = await send_as_self(api.handler, method, path, body)
        await api.server.barrier.fresh()
        return status

    await api.server.barrier.fresh()
    upkeep = AddressUpkeep(api.cache, api.clock, send)
    await upkeep.put_right()
    await upkeep.put_right()  # a finalizer first, and then the condition
    return upkeep


async def named(api) -> dict[str, str]:
    """The Services of all IPAddresses."""
    await api.server.barrier.fresh()
    items = (await api.must("GET", ADDRESSES))["items"]
    return {item["metadata"]["name"]: item["spec"]["parentRef"]["name"] for item in items}


def test_the_front_of_a_range_is_kept_from_chance():
    large, own = cluster_ips("10.96.0.0/16", "10.96.0.0/16"), cluster_ips("10.0.0.0/24", "10.96.0.0/16")
    assert (large.name(large.dynamic), own.name(own.dynamic)) == ("10.96.1.1", "10.0.0.17")
    small = cluster_ips("10.96.0.0/28", "10.96.0.0/16")
    assert small.dynamic == small.first
    ports = node_ports("30000-32767")
    assert (ports.dynamic, ports.last) == (30086, 32767)
    assert node_ports("30000-30003").dynamic == 30000


@with_api()
async def test_an_address_comes_and_goes_with_its_service(api):
    made = await api.must("POST", SERVICES, service("a"))
    address = made["spec"]["clusterIP"]
    found = await api.must("GET", f"{ADDRESSES}/{address}")
    assert found["spec"]["parentRef"] == {"resource": "services", "namespace": "default", "name": "a"}
    assert found["metadata"]["labels"] == {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    assert (await named(api)) == {"10.96.0.1": "kubernetes", address: "a"}
    await api.must("PUT", f"{SERVICES}/a", {**made, "spec": {"type": "ExternalName", "externalName": "x.example"}})
    assert (await named(api)) == {"10.96.0.1": "kubernetes"}


@with_api()
async def test_a_service_gets_ports_and_an_address_when_its_type_changes(api):
    await api.must(
        "POST", SERVICES, {"metadata": {"name": "a"}, "spec": {"type": "ExternalName", "externalName": "x.y"}}
    )
    changed = {"spec": {"type": "NodePort", "externalName": None, "ports": [{"port": 80}]}}
    made = (await api.must("PATCH", f"{SERVICES}/a", changed, content_type="application/merge-patch+json"))["spec"]
    assert (await named(api)) == {"10.96.0.1": "kubernetes", made["clusterIP"]: "a"}
    assert 30000 <= made["ports"][0]["nodePort"] <= 32767


@with_api()
async def test_an_address_that_somebody_else_has_is_not_given(api):
    other = {"metadata": {"name": "10.96.0.77"}, "spec": {"parentRef": {"resource": "things", "name": "x"}}}
    await api.must("POST", ADDRESSES, other)
    status, answer = await api.post(SERVICES, service("a", clusterIP="10.96.0.77"))
    assert (status, "already allocated" in answer["message"]) == (422, True)


@with_api(service_cidr="10.96.0.0/29")
async def test_a_second_network(api):
    await asyncio.gather(*(api.must("POST", SERVICES, service(f"s{n}")) for n in range(5)))
    assert (await api.post(SERVICES, service("more")))[0] == 500
    await api.must("POST", CIDRS, {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.100.0.0/29"]}})
    await api.server.barrier.fresh()
    assert (await api.post(SERVICES, service("more")))[0] == 500, "it is not ready"
    upkeep = await looked_after(api)
    made = await api.must("POST", SERVICES, service("more"))
    assert made["spec"]["clusterIP"].startswith("10.100.0.")

    await api.must("DELETE", f"{CIDRS}/more")
    await api.server.barrier.fresh()
    await upkeep.put_right()
    [ready] = (await api.must("GET", f"{CIDRS}/more"))["status"]["conditions"]
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "Terminating", BLOCKED_MESSAGE)
    assert (await api.post(SERVICES, service("another")))[0] == 500, "it is going"
    await api.must("DELETE", f"{SERVICES}/more")
    await api.server.barrier.fresh()
    api.clock.advance(DELETION_GRACE_S + 1)
    await upkeep.put_right()
    assert (await api.get(f"{CIDRS}/more"))[0] == 404


@with_api()
async def test_a_lost_address_is_made_again_and_a_leaked_one_goes(api):
    made = await api.must("POST", SERVICES, service("a"))
    before = await named(api)
    for address in before:
        await api.must("DELETE", f"{ADDRESSES}/{address}")
    leaked = ip_address("10.96.3.3", {"metadata": {"namespace": "default", "name": "nobody"}})
    await api.must("POST", ADDRESSES, leaked)
    wrong = ip_address("10.96.3.4", {"metadata": {"namespace": "default", "name": "a"}})
    await api.must("POST", ADDRESSES, wrong)
    upkeep = await looked_after(api)
    assert (await named(api)) == {**before, "10.96.3.3": "nobody"}
    api.clock.advance(120)
    await upkeep.put_right()
    assert (await named(api)) == before
    events = (await api.must("GET", "/api/v1/namespaces/default/events"))["items"]
    assert {(event["involvedObject"]["name"], event["reason"]) for event in events} == {
        ("a", "ClusterIPNotAllocated"),
        ("kubernetes", "ClusterIPNotAllocated"),
    }
    assert made["spec"]["clusterIP"] in before


def stored(name: str, address: str, uid: str = "u") -> dict:
    metadata = {"name": name, "namespace": "default", "uid": uid}
    return {"metadata": metadata, "spec": {"type": "ClusterIP", "clusterIPs": [address]}}


def cidr(name: str, *cidrs: str, **metadata) -> dict:
    return {"metadata": {"name": name, **metadata}, "spec": {"cidrs": list(cidrs)}}


def test_two_services_with_one_address_are_told_of():
    one, two, far = stored("a", "10.0.0.5"), stored("b", "10.0.0.5"), stored("c", "192.0.2.1")
    address = ip_address("10.0.0.5", one)
    address["metadata"] |= {"uid": "x", "creationTimestamp": NOW}
    cidrs = [cidr("kubernetes", "10.0.0.0/24")]
    writes, troubles = address_writes([one, two, far], {"10.0.0.5": address}, cidrs, 0.0)
    assert writes == []
    assert [(service["metadata"]["name"], reason) for service, reason, _ in troubles] == [
        ("b", "ClusterIPAlreadyAllocated"),
        ("c", "ClusterIPOutOfRange"),
    ]


def test_a_network_within_another_one_may_go():
    finalizers = ["networking.k8s.io/service-cidr-finalizer"]
    going = cidr("small", "10.0.0.0/28", deletionTimestamp="2026-05-01T12:00:00Z", finalizers=finalizers)
    whole = cidr("kubernetes", "10.0.0.0/24", finalizers=finalizers)
    address = ip_address("10.0.0.5", stored("a", "10.0.0.5"))
    [(method, path, _)] = [
        write for write in cidr_writes([going, whole], [address], 2e9, NOW) if write[1].endswith("small")
    ]
    assert (method, path) == ("PUT", f"{CIDRS}/small")
    [(_, path, body)] = cidr_writes([going], [address], 2e9, NOW)
    assert (path, body["status"]["conditions"][0]["status"]) == (f"{CIDRS}/small/status", "False")


def test_what_is_in_several_networks():
    found = networks.holding([cidr("a", "10.0.0.0/24"), cidr("b", "10.0.0.0/8", "fd00::/64")], "10.0.1.1")
    assert [obj["metadata"]["name"] for obj in found] == ["b"]


OPEN = {"clusterIP": "None", "selector": None}
BOTH = ["IPv4", "IPv6"]


@pytest.mark.parametrize(
    ("spec", "policy", "families"),
    [
        ({}, "SingleStack", ["IPv4"]),
        ({"ipFamilyPolicy": "PreferDualStack"}, "PreferDualStack", ["IPv4"]),
        ({"clusterIP": "None"}, "SingleStack", ["IPv4"]),
        (OPEN, "RequireDualStack", BOTH),
        ({**OPEN, "ipFamilies": ["IPv6"]}, "RequireDualStack", ["IPv6", "IPv4"]),
        ({**OPEN, "ipFamilyPolicy": "SingleStack"}, "SingleStack", ["IPv4"]),
    ],
)
def test_families_that_are_inferred(spec, policy, families):
    @with_api()
    async def run(api):
        made = (await api.must("POST", SERVICES, service("a", **spec)))["spec"]
        assert (made["ipFamilyPolicy"], made["ipFamilies"]) == (policy, families)

    run()


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            "spec.ipFamilyPolicy",
            "this cluster is not configured for dual",
        ),
        ({"ipFamilies": ["IPv6"]}, "spec.ipFamilies[0]", "not configured on this cluster"),
        ({"ipFamilies": BOTH}, "spec.ipFamilyPolicy", "when multiple IP families are specified"),
        ({"ipFamilies": ["IPv4", "IPv4"]}, "spec.ipFamilies[1]", "Duplicate value"),
        ({"ipFamilies": ["IPv5"]}, "spec.ipFamilies[0]", "Unsupported value"),
        ({"ipFamilyPolicy": "Some"}, "spec.ipFamilyPolicy", "Unsupported value"),
        ({"clusterIP": "fd00::1"}, "spec.clusterIPs[0]", "IPv6 is not configured on this cluster"),
        ({"clusterIP": "10.96.0.9", "ipFamilies": ["IPv6"]}, "spec.clusterIPs[0]", "expected an IPv6 value"),
        ({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "10.96.0.8"]}, "spec.clusterIPs", "one IP for each IP"),
        (
            {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::1"]},
            "spec.ipFamilyPolicy",
            "when multiple cluster IPs are specified",
        ),
        ({"clusterIP": "None", "clusterIPs": ["None", "10.96.0.8"]}, "spec.clusterIPs", "must be the first and only"),
    ],
)
def test_families_that_are_refused(spec, field, said):
    @with_api()
    async def run(api):
        status, answer = await api.post(SERVICES, service("a", **spec))
        assert status == 422
        assert [said in cause["message"] for cause in answer["details"]["causes"] if cause["field"] == field] == [True]

    run()


PORTS = node_ports("30000-30010")


def held(name: str, *ports: int, revision: int = 7) -> Held:
    key = f"/registry/services/default/{name}".encode()
    return Held(key, revision, stored(name, "10.0.0.5"), ports)


def claim(port: int, owner: bytes, revision: int = 3) -> KeyValue:
    return KeyValue(PORTS.key(port), owner, revision, revision, 1)


def test_ports_of_a_service():
    spec = {"ports": [{"nodePort": 30002}, {"nodePort": 30001}, {"nodePort": 30002}, {}], "healthCheckNodePort": 30009}
    assert ports_of({"spec": spec}) == (30001, 30002, 30009)


def test_what_is_wrong_with_claims_of_ports():
    one, two, far = held("a", 30001), held("b", 30001, 30002), held("c", 8080)
    claims = {PORTS.key(30001): claim(30001, one.key)}
    found = list(repairs([one, two, far], claims, PORTS))
    told = [(one[0]["metadata"]["name"], one[1]) for one in found if not isinstance(one, Txn)]
    assert told == [("b", "PortAlreadyAllocated"), ("b", "PortNotAllocated"), ("c", "PortOutOfRange")]
    [txn] = [one for one in found if isinstance(one, Txn)]
    assert txn.success == [Put(PORTS.key(30002), two.key)]
    assert [(one.key, one.operand) for one in txn.compare] == [(two.key, 7), (PORTS.key(30002), 0)]


def test_a_claim_in_the_name_of_a_service_that_has_not_the_port_is_taken_over():
    one = held("a", 30001)
    [txn] = repairs([one, held("b", 30002)], {PORTS.key(30001): claim(30001, held("b").key), 
        PORTS.key(30002): claim(30002, held("b").key)}, PORTS)  # fmt: skip
    assert isinstance(txn, Txn) and txn.success == [Put(PORTS.key(30001), one.key)]
    assert list(
        leaked([one], {PORTS.key(30001): claim(30001, one.key), PORTS.key(30003): claim(30003, b"x")}, PORTS)
    ) == [PORTS.key(30003)]


async def keys_under(api, prefix: bytes) -> dict[bytes, bytes]:
    reply = await api.server.state.range(Range(prefix, prefix[:-1] + b"0"))
    return {kv.key.removeprefix(prefix): kv.value for kv in reply.result.kvs}


@with_api()
async def test_what_an_earlier_version_stored_is_put_right(api):
    made = await api.must("POST", SERVICES, service("a", type="NodePort"))
    port = str(made["spec"]["ports"][0]["nodePort"]).encode()
    lost, leaking, old = NODE_PORTS + port, NODE_PORTS + b"32001", b"/registry/ranges/clusterips/10.96.0.9"
    await api.server.state.txn(Txn([], [DeleteRange(lost), Put(leaking, b"gone"), Put(old, b"a")]))
    await api.server.barrier.fresh()

    async def send(method: str, path: str, body: dict) -> int:
        return (await send_as_self(api.handler, method, path, body))[0]

    upkeep = PortUpkeep(api.server.state, api.cache, api.clock, node_ports("30000-32767"), send, api.log)
    await upkeep.put_right()
    owner = b"/registry/services/default/a"
    assert await keys_under(api, NODE_PORTS) == {port: owner, b"32001": b"gone"}
    assert await keys_under(api, b"/registry/ranges/clusterips/") == {}
    await upkeep.put_right()
    await upkeep.put_right()
    assert await keys_under(api, NODE_PORTS) == {port: owner}
    events = (await api.must("GET", "/api/v1/namespaces/default/events"))["items"]
    assert [(one["reason"], one["message"]) for one in events] == [
        ("PortNotAllocated", f"Port {port.decode()} is not allocated; repairing now")
    ]
    await api.must("DELETE", f"{SERVICES}/a")
    assert await keys_under(api, NODE_PORTS) == {}
