"""Only what changed is written, and what is written is what is wanted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.proxy.conntrack import stale, udp_flows
from actors.proxy.model import Chain, Element, Ruleset
from actors.proxy.render import Locality, render_service
from actors.proxy.transaction import full, partial
from tests.actors.proxy.objects import NODE, endpoint, endpoint_slice, service

items = st.one_of(
    st.builds(Chain, st.sampled_from(("c1", "c2", "c3"))),
    st.builds(Element, st.sampled_from(("m1", "m2")), st.sampled_from(("k1", "k2", "k3"))),
)
fragments = st.dictionaries(items, st.sampled_from(("v1", "v2")), max_size=4)
steps = st.lists(
    st.tuples(st.sampled_from(("a", "b", "c")), fragments, st.sampled_from(("write", "fail", "wait"))), max_size=20
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_differences_lead_the_kernel_to_what_is_wanted(steps):
    ruleset, kernel = Ruleset(), {}
    owners = {}
    for owner, fragment, then in steps:
        ruleset.put(owner, fragment)
        owners[owner] = fragment
        if then == "fail":
            ruleset.forget_written()
            kernel.clear()
        if then == "wait":
            continue
        difference = ruleset.difference()
        assert not difference.added.keys() & kernel.keys()
        assert difference.changed.keys() <= kernel.keys() and difference.removed <= kernel.keys()
        kernel |= difference.added | difference.changed
        for item in difference.removed:
            del kernel[item]
        ruleset.written(difference)
        assert not ruleset.difference()
        expected = {}
        for name in sorted(owners, reverse=True):
            expected |= owners[name]
        assert kernel == ruleset.wanted() == expected


HERE = Locality(NODE, "10.244.0.0/16")


def written(*services) -> Ruleset:
    ruleset = Ruleset()
    for obj, slices in services:
        ruleset.put(f"default/{obj['metadata']['name']}", render_service(obj, slices, HERE))
    ruleset.written(ruleset.difference())
    return ruleset


def test_a_new_endpoint_rewrites_its_services_chain_and_nothing_else():
    other = service("other", "10.96.0.11"), [endpoint_slice(endpoint("10.244.0.9"))]
    ruleset = written((service(), [endpoint_slice(endpoint("10.244.0.5"))]), other)
    slices = [endpoint_slice(endpoint("10.244.0.5"), endpoint("10.244.0.6"))]
    ruleset.put("default/web", render_service(service(), slices, HERE))
    difference = ruleset.difference()
    assert [item.name.split("-")[0] for item in difference.changed] == ["service"]
    assert difference.added.keys() == {Element("hairpin", "10.244.0.6 . 10.244.0.6")}
    assert not difference.removed
    text = partial("t", difference)
    assert "other" not in text and "delete" not in text


def test_the_same_objects_again_change_nothing():
    slices = [endpoint_slice(endpoint("10.244.0.6"), endpoint("10.244.0.5"))]
    ruleset = written((service(), slices))
    again = [endpoint_slice(endpoint("10.244.0.5"), endpoint("10.244.0.6"))]
    ruleset.put("default/web", render_service(service(), again, HERE))
    assert not ruleset.difference()


def test_a_pod_behind_two_services_stays_until_the_last_of_them_goes():
    slices = [endpoint_slice(endpoint("10.244.0.5"))]
    ruleset = written((service(), slices), (service("other", "10.96.0.11"), slices))
    hairpin = Element("hairpin", "10.244.0.5 . 10.244.0.5")
    ruleset.put("default/web", {})
    difference = ruleset.difference()
    assert difference.removed and hairpin not in difference.removed
    ruleset.written(difference)
    ruleset.put("default/other", {})
    assert hairpin in ruleset.difference().removed


def test_what_is_referred_to_is_declared_before_and_removed_after():
    slices = [endpoint_slice(endpoint("10.244.0.5"))]
    sticky = service(sessionAffinity="ClientIP", type="NodePort", ports=(("", 80, 30080, "TCP"),))
    ruleset = Ruleset()
    ruleset.put("default/web", render_service(sticky, slices, HERE))
    difference = ruleset.difference()
    lines = full("t", "10.244.0.0/16", "10.96.0.0/16", difference.added).splitlines()
    kinds = [" ".join(line.split()[:2]) for line in lines if "-" in line]
    assert kinds.index("add element") > max(i for i, kind in enumerate(kinds) if kind == "add chain")
    ruleset.written(difference)
    ruleset.put("default/web", {})
    verbs = [" ".join(line.split()[:2]) for line in partial("t", ruleset.difference()).splitlines()]
    order = ["delete element", "flush chain", "delete chain", "delete set"]
    assert sorted(set(verbs), key=verbs.index) == order


def test_udp_flows_to_a_gone_endpoint_and_from_the_time_of_refusal_are_forgotten():
    dns = service("dns", ports=(("", 53, 30053, "UDP"),), type="NodePort")

    def flows(*ips: str):
        return udp_flows(dns, [endpoint_slice(*map(endpoint, ips), protocol="UDP")], NODE)

    at_ip, at_port = ("--orig-dst", "10.96.0.10", "--orig-port-dst", "53"), ("--orig-port-dst", "30053")
    assert stale(flows("10.244.0.5", "10.244.0.6"), flows("10.244.0.6")) == [
        ("-D", "-p", "udp", *at_ip, "--reply-src", "10.244.0.5"),
        ("-D", "-p", "udp", *at_port, "--reply-src", "10.244.0.5"),
    ]
    assert stale(flows(), flows("10.244.0.5")) == [("-D", "-p", "udp", *at_ip), ("-D", "-p", "udp", *at_port)]
    assert stale(flows("10.244.0.5"), flows("10.244.0.5", "10.244.0.6")) == []
    assert len(stale(flows("10.244.0.5"), {})) == 2
    assert udp_flows(service(), [endpoint_slice(endpoint("10.244.0.5"))], NODE) == {}
