"""What the rules of one Service do to a packet."""

from actors.proxy import base
from actors.proxy.model import AffinitySet
from actors.proxy.render import Locality, render_service
from tests.actors.proxy.objects import NODE, Object, endpoint, endpoint_slice, service
from tests.actors.proxy.reader import Reader

POD_CIDR = "10.244.0.0/16"
HERE = Locality(NODE, POD_CIDR)
MASQUERADE = f"jump {base.MARK_FOR_MASQUERADE}"


def render(obj: Object | None, *slices: Object) -> Reader:
    return Reader(render_service(obj, slices, HERE))


def test_a_cluster_ip_is_spread_over_its_ready_endpoints():
    rules = render(
        service(),
        endpoint_slice(endpoint("10.244.0.6"), endpoint("10.244.0.5", node="n2"), endpoint("10.244.0.7", ready=False)),
    )
    assert rules.to_address("10.96.0.10", 80) == "service"
    assert rules.targets("service") == ["10.244.0.5:8080", "10.244.0.6:8080"]
    assert "numgen random mod 2" in rules.chain("service")[0]


def test_the_port_is_found_by_its_name_and_protocol():
    both = service(ports=(("http", 80, 0, "TCP"), ("dns", 53, 0, "UDP")))
    slices = (
        endpoint_slice(endpoint("10.244.0.5"), port=8080, port_name="http"),
        endpoint_slice(endpoint("10.244.0.6"), port=5353, port_name="dns", protocol="UDP"),
    )
    rules = render(both, *slices)
    assert rules.to_address("10.96.0.10", 53, "udp") == "service"
    assert rules.to_address("10.96.0.10", 53, "tcp") == "unknown"
    udp = [r for chain in rules.chains("service").values() for r in chain if r.startswith("meta l4proto udp")]
    assert len(udp) == 1 and "10.244.0.6 . 5353" in udp[0] and "10.244.0.5" not in udp[0]


def test_without_any_endpoint_it_is_rejected():
    rules = render(service(), endpoint_slice(endpoint("10.244.0.5", ready=False)))
    assert rules.to_address("10.96.0.10", 80) == "reject"
    assert render(service()).to_address("10.96.0.10", 80) == "reject"


def test_when_none_is_ready_those_that_serve_while_they_terminate_take_over():
    going = endpoint("10.244.0.5", ready=False, serving=True, terminating=True)
    gone = endpoint("10.244.0.6", ready=False, serving=False, terminating=True)
    assert render(service(), endpoint_slice(going, gone)).targets("service") == ["10.244.0.5:8080"]
    ready = endpoint("10.244.0.7")
    assert render(service(), endpoint_slice(going, ready)).targets("service") == ["10.244.0.7:8080"]


def test_an_endpoint_in_two_slices_counts_once_and_as_ready_if_either_says_so():
    slices = endpoint_slice(endpoint("10.244.0.5", ready=False)), endpoint_slice(endpoint("10.244.0.5"))
    assert render(service(), *slices).targets("service") == ["10.244.0.5:8080"]


def test_a_node_port_and_external_addresses_masquerade_and_then_balance():
    exposed = service(
        type="LoadBalancer", ports=(("", 80, 30080, "TCP"),), ingress=("192.0.2.9",), externalIPs=["192.0.2.8"]
    )
    rules = render(exposed, endpoint_slice(endpoint("10.244.1.5", node="n2")))
    assert rules.to_node_port(30080) == "external"
    assert rules.to_address("192.0.2.9", 80) == rules.to_address("192.0.2.8", 80) == "external"
    first, then = rules.chain("external")
    assert first == MASQUERADE
    assert then.startswith("goto service-")


def test_an_exposed_port_without_endpoints_is_rejected_everywhere():
    rules = render(service(type="NodePort", ports=(("", 80, 30080, "TCP"),)))
    assert rules.to_node_port(30080) == rules.to_address("10.96.0.10", 80) == "reject"


def test_a_node_port_that_a_cluster_ip_service_still_carries_is_not_served():
    rules = render(service(ports=(("", 80, 30080, "TCP"),)), endpoint_slice(endpoint("10.244.0.5")))
    assert rules.to_node_port(30080) == "unknown"


def test_external_policy_local_keeps_the_clients_address_and_this_nodes_endpoints():
    exposed = service(type="NodePort", ports=(("", 80, 30080, "TCP"),), externalTrafficPolicy="Local")
    rules = render(exposed, endpoint_slice(endpoint("10.244.0.5"), endpoint("10.244.1.5", node="n2")))
    assert rules.targets("local") == ["10.244.0.5:8080"]
    assert rules.targets("service") == ["10.244.0.5:8080", "10.244.1.5:8080"]
    from_pods, *from_this_node, from_outside = rules.chain("external")
    assert from_pods.startswith(f"ip saddr {POD_CIDR} goto service-")
    assert all("fib saddr type local" in rule for rule in from_this_node)
    assert from_outside.startswith("goto local-")


def test_external_policy_local_without_a_local_endpoint_drops_what_comes_from_outside_only():
    exposed = service(type="NodePort", ports=(("", 80, 30080, "TCP"),), externalTrafficPolicy="Local")
    fragment = render_service(exposed, [endpoint_slice(endpoint("10.244.1.5", node="n2"))], HERE)
    rules = Reader(fragment)
    assert rules.elements(base.NO_ENDPOINT_NODEPORTS) == {"tcp . 30080"}
    assert rules.to_node_port(30080) == "external"
    assert not any(rule.startswith(("goto", "jump")) for rule in rules.chain("external"))
    assert rules.to_address("10.96.0.10", 80) == "service"


def test_internal_policy_local_uses_this_nodes_endpoints_or_drops():
    internal = service(internalTrafficPolicy="Local")
    rules = render(internal, endpoint_slice(endpoint("10.244.0.5"), endpoint("10.244.1.5", node="n2")))
    assert rules.to_address("10.96.0.10", 80) == "local"
    assert rules.targets("local") == ["10.244.0.5:8080"]
    elsewhere = render(internal, endpoint_slice(endpoint("10.244.1.5", node="n2")))
    assert elsewhere.to_address("10.96.0.10", 80) == "drop"


def test_session_affinity_asks_each_endpoint_whether_it_knows_the_client():
    sticky = service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}})
    fragment = render_service(sticky, [endpoint_slice(endpoint("10.244.0.5"), endpoint("10.244.0.6"))], HERE)
    sets = [item.name for item in fragment if isinstance(item, AffinitySet)]
    assert len(sets) == 2 and all(fragment[AffinitySet(name)] == 60 for name in sets)
    rules = Reader(fragment)
    *known, spread = rules.chain("service")
    assert len(known) == 2 and all("ip saddr @affinity-" in rule for rule in known)
    assert spread.startswith("numgen random mod 2 vmap")
    for remember, send in rules.chains("endpoint").values():
        assert remember.startswith("update @affinity-")
        assert "dnat ip to 10.244.0." in send


def test_a_pod_that_is_sent_to_itself_is_masqueraded():
    rules = render(service(), endpoint_slice(endpoint("10.244.0.5")))
    assert rules.elements(base.HAIRPIN) == {"10.244.0.5 . 10.244.0.5"}


def test_source_ranges_guard_the_load_balancers_addresses_only():
    guarded = service(
        type="LoadBalancer",
        ports=(("", 80, 30080, "TCP"),),
        ingress=("192.0.2.9",),
        loadBalancerSourceRanges=["198.51.100.0/24", "203.0.113.0/24"],
    )
    rules = render(guarded, endpoint_slice(endpoint("10.244.0.5")))
    assert rules.elements(base.FIREWALL_IPS) == {"192.0.2.9 . tcp . 80"}
    assert rules.chain("firewall") == ("ip saddr != { 198.51.100.0/24, 203.0.113.0/24 } drop",)


def test_headless_external_name_and_deleted_services_need_nothing():
    slices = [endpoint_slice(endpoint("10.244.0.5"))]
    assert not render_service(service(ip="None"), slices, HERE)
    assert not render_service(service(type="ExternalName", ip=""), slices, HERE)
    assert not render_service(None, slices, HERE)


def test_ipv6_is_left_alone():
    dual = service(ip="10.96.0.10", clusterIPs=["10.96.0.10", "fd00::10"])
    six = endpoint_slice(endpoint("fd00::5")) | {"addressType": "IPv6"}
    rules = render(dual, six, endpoint_slice(endpoint("10.244.0.5")))
    assert rules.targets("service") == ["10.244.0.5:8080"]
    assert rules.elements(base.CLUSTER_IPS) == {"10.96.0.10"}


def test_names_stay_within_what_the_kernel_takes():
    long = service(name="s" * 63, sessionAffinity="ClientIP", ports=(("p" * 15, 80, 0, "TCP"),))
    long["metadata"]["namespace"] = "n" * 63
    fragment = render_service(long, [endpoint_slice(endpoint("10.244.0.5"), port_name="p" * 15)], HERE)
    assert all(len(item.name) < 128 for item in fragment if hasattr(item, "name"))
