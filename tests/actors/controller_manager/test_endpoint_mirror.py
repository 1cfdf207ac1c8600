from actors.controller_manager.actions import Create, Delete, Update
from actors.controller_manager.endpoints import mirror

from .objects import metadata, service

PORT = {"name": "http", "port": 80, "protocol": "TCP"}


def endpoints_of(*subsets, **more):
    return {"metadata": metadata("web", **more), "subsets": list(subsets)}


def subset(*addresses, ports=(PORT,), **more):
    return {"addresses": [{"ip": address} for address in addresses], "ports": list(ports), **more}


def stored(actions, existing=()):
    held = {found["metadata"]["name"]: found for found in existing}
    for action in actions:
        match action:
            case Create():
                name = f"web-{len(held)}"
                held[name] = {**action.obj, "metadata": {**metadata(name), **action.obj["metadata"]}}
            case Update():
                held[action.obj["metadata"]["name"]] = action.obj
            case Delete():
                del held[action.name]
    return list(held.values())


def test_a_subset_becomes_a_slice():
    address = {"ip": "10.0.0.1", "hostname": "a", "nodeName": "w1", "targetRef": {"kind": "Pod", "name": "a"}}
    one = {"addresses": [address], "notReadyAddresses": [{"ip": "10.0.0.2"}], "ports": [PORT]}
    annotations = {"mine": "x", mirror.LAST_APPLIED: "{}"}
    (create,) = mirror.reconcile(endpoints_of(one, labels={"team": "x"}, annotations=annotations), [])
    made = create.obj
    assert (made["addressType"], made["ports"]) == ("IPv4", [PORT])
    assert made["endpoints"] == [
        {
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": True},
            "hostname": "a",
            "nodeName": "w1",
            "targetRef": {"kind": "Pod", "name": "a"},
        },
        {"addresses": ["10.0.0.2"], "conditions": {"ready": False}},
    ]
    assert made["metadata"]["labels"] == {
        "team": "x",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    }
    assert made["metadata"]["annotations"] == {"mine": "x"}
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Endpoints", "web")


def test_families_and_ports_have_slices_of_their_own():
    other = {"name": "other", "port": 81, "protocol": "UDP"}
    found = endpoints_of(subset("10.0.0.1", "2001:db8::1"), subset("10.0.0.2", ports=[other]))
    made = [create.obj for create in mirror.reconcile(found, [])]
    assert [(one["addressType"], one["ports"][0]["port"]) for one in made] == [("IPv4", 80), ("IPv6", 80), ("IPv4", 81)]


def test_what_is_said_already_is_not_written():
    found = endpoints_of(subset("10.0.0.1"))
    assert mirror.reconcile(found, stored(mirror.reconcile(found, []))) == []


def test_a_change_is_one_update_and_another_port_another_slice():
    held = stored(mirror.reconcile(endpoints_of(subset("10.0.0.1")), []))
    (update,) = mirror.reconcile(endpoints_of(subset("10.0.0.2")), held)
    assert isinstance(update, Update) and update.obj["endpoints"][0]["addresses"] == ["10.0.0.2"]
    create, delete = mirror.reconcile(endpoints_of(subset("10.0.0.1", ports=[{**PORT, "port": 81}])), held)
    assert isinstance(create, Create) and isinstance(delete, Delete)


def test_many_addresses_are_bounded_and_spread():
    many = [f"10.0.{number // 200}.{number % 200}" for number in range(1100)]
    made = [create.obj for create in mirror.reconcile(endpoints_of(subset(*many)), [])]
    assert [len(one["endpoints"]) for one in made] == [100] * 10
    held = stored(mirror.reconcile(endpoints_of(subset(*many)), []))
    fewer = mirror.reconcile(endpoints_of(subset(*many[:150])), held)
    assert [type(action) for action in fewer] == [Update] + [Delete] * 8


def test_whose_endpoints_are_mirrored():
    without = service(spec={"ports": [{"port": 80}]})
    without["spec"].pop("selector", None)
    found = endpoints_of(subset("10.0.0.1"))
    assert mirror.is_mirrored(found, without)
    assert not mirror.is_mirrored(found, None) and not mirror.is_mirrored(None, without)
    assert not mirror.is_mirrored(found, service())
    assert not mirror.is_mirrored(endpoints_of(labels={mirror.SKIP_LABEL: "true"}), without)
    assert not mirror.is_mirrored(endpoints_of(annotations={mirror.LEADER_ANNOTATION: "{}"}), without)
