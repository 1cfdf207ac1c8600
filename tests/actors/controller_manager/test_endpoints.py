from actors.api.meta import rfc3339
from actors.controller_manager.actions import Create, Delete, Update
from actors.controller_manager.endpoints import legacy, slices
from actors.controller_manager.endpoints.addresses import ports_of

from .objects import NOW, Object, metadata, node, pod, service


def pods_of(count, **more):
    return [
        pod(f"web-{number:03}", uid=f"pod-{number}", ip=f"10.244.1.{number}", **more) for number in range(1, count + 1)
    ]


def decide(found, pods, existing=(), nodes=None):
    return slices.reconcile(found, pods, list(existing), (nodes or {}).get, NOW)


def stored(actions, existing=()):
    """What the API server holds after these actions."""
    held = {found["metadata"]["name"]: found for found in existing}
    for number, action in enumerate(actions):
        match action:
            case Create():
                name = f"web-{len(held)}-{number}"
                more = {
                    key: action.obj["metadata"][key]
                    for key in ("labels", "annotations")
                    if key in action.obj["metadata"]
                }
                held[name] = {**action.obj, "metadata": metadata(name, **more)}
            case Update():
                held[action.obj["metadata"]["name"]] = action.obj
            case Delete():
                del held[action.name]
    return list(held.values())


def entries_of(held):
    return [entry for found in held for entry in found["endpoints"]]


def test_a_slice_says_who_serves():
    zone = node("w1", labels={"topology.kubernetes.io/zone": "a"})
    (create,) = decide(service(labels={"team": "x"}), pods_of(1), nodes={"w1": zone})
    made = create.obj
    assert made["addressType"] == "IPv4"
    assert made["metadata"]["labels"] == {
        "team": "x",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert made["metadata"]["generateName"] == "web-"
    assert made["metadata"]["ownerReferences"][0]["kind"] == "Service"
    assert made["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert made["endpoints"] == [
        {
            "addresses": ["10.244.1.1"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "web-001", "uid": "pod-1"},
            "nodeName": "w1",
            "zone": "a",
        }
    ]


def test_conditions_of_unready_terminating_and_published_pods():
    def conditions(found, one):
        ((entry,),) = [action.obj["endpoints"] for action in decide(found, [one])]
        return tuple(entry["conditions"][name] for name in ("ready", "serving", "terminating"))

    assert conditions(service(), pod("a", ready=False)) == (False, False, False)
    assert conditions(service(), pod("a", deleting=True)) == (False, True, True)
    published = service(spec={"publishNotReadyAddresses": True})
    assert conditions(published, pod("a", ready=False)) == (True, False, False)
    assert conditions(published, pod("a", deleting=True)) == (True, True, True)


def test_pods_without_an_address_or_finished_are_left_out():
    pods = [pod("a", ip=None), pod("b", phase="Succeeded"), pod("c", phase="Failed")]
    (create,) = decide(service(), pods)
    assert create.obj["endpoints"] == []


def test_named_ports_may_differ_between_pods():
    found = service(ports=[{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}])

    def serving(name, number, ip):
        ports = [{"name": "web", "containerPort": number}]
        return pod(name, ip=ip, spec={"containers": [{"name": "c", "ports": ports}]})

    old, new = serving("old", 8080, "10.0.0.1"), serving("new", 9090, "10.0.0.2")
    assert ports_of(old, found) == (("http", "TCP", 8080, ""),)
    made = {create.obj["ports"][0]["port"]: create.obj["endpoints"] for create in decide(found, [old, new])}
    assert {number: entry[0]["addresses"] for number, entry in made.items()} == {8080: ["10.0.0.1"], 9090: ["10.0.0.2"]}


def test_a_named_port_of_a_sidecar_counts_and_an_unknown_one_is_left_out():
    found = service(
        ports=[{"name": "a", "port": 1, "targetPort": "metrics"}, {"name": "b", "port": 2, "targetPort": "no"}]
    )
    sidecar = {"name": "s", "restartPolicy": "Always", "ports": [{"name": "metrics", "containerPort": 9000}]}
    assert ports_of(pod("a", spec={"containers": [], "initContainers": [sidecar]}), found) == (("a", "TCP", 9000, ""),)


def test_at_most_a_hundred_endpoints_in_a_slice():
    actions = decide(service(), pods_of(250))
    assert [len(create.obj["endpoints"]) for create in actions] == [100, 100, 50]


def test_converged_means_nothing_to_do():
    for count in (0, 1, 250):
        held = stored(decide(service(), pods_of(count)))
        assert decide(service(), pods_of(count), held) == []


def test_one_pod_more_or_less_is_one_write():
    held = stored(decide(service(), pods_of(150)))
    (update,) = decide(service(), pods_of(151), held)
    assert isinstance(update, Update)
    assert len(update.obj["endpoints"]) == 51
    (update,) = decide(service(), pods_of(150)[1:], held)
    assert len(update.obj["endpoints"]) == 99


def test_a_pod_that_moves_on_takes_its_replacement_into_the_same_slice():
    held = stored(decide(service(), pods_of(150)))
    (update,) = decide(service(), pods_of(151)[1:], held)
    assert len(update.obj["endpoints"]) == 100


def test_a_change_of_readiness_keeps_the_place():
    held = stored(decide(service(), pods_of(3)))
    pods = pods_of(3)
    pods[1] = pod("web-002", uid="pod-2", ip="10.244.1.2", ready=False)
    (update,) = decide(service(), pods, held)
    assert [entry["conditions"]["ready"] for entry in update.obj["endpoints"]] == [True, False, True]


def test_an_empty_slice_stands_for_no_endpoints_at_all():
    held = stored(decide(service(), pods_of(150)))
    held = stored(decide(service(), [], held), held)
    assert [found["endpoints"] for found in held] == [[]]
    held = stored(decide(service(), pods_of(1), held), held)
    assert len(held) == 1
    assert len(entries_of(held)) == 1


def test_labels_of_the_service_and_headlessness_are_followed():
    held = stored(decide(service(), pods_of(1)))
    (update,) = decide(service(labels={"a": "b"}, spec={"clusterIP": "None"}), pods_of(1), held)
    labels = update.obj["metadata"]["labels"]
    assert labels["a"] == "b"
    assert labels["service.kubernetes.io/headless"] == ""


def test_headless_services_without_ports_have_host_names():
    found = service(ports=[], spec={"clusterIP": "None"})
    named = pod("db-0", spec={"containers": [], "hostname": "db-0", "subdomain": "web"})
    (create,) = decide(found, [named])
    assert create.obj["endpoints"][0]["hostname"] == "db-0"
    assert create.obj["ports"] == []


def test_the_trigger_time_is_when_the_pod_changed():
    held = stored(decide(service(), pods_of(1)))
    (update,) = decide(service(), [*pods_of(1), pod("new", ip="10.0.0.9", ready_for_s=3)], held)
    assert update.obj["metadata"]["annotations"][slices.TRIGGER_TIME] == rfc3339(NOW - 3)


def test_slices_of_a_family_that_the_service_lost_are_deleted():
    held = stored(decide(service(), pods_of(1)))
    other: Object = {**held[0], "addressType": "IPv6", "metadata": metadata("web-v6")}
    (delete,) = decide(service(), pods_of(1), [*held, other])
    assert delete.name == "web-v6"


def legacy_of(found, pods, current=None):
    return legacy.reconcile(found, pods, current)


def test_endpoints_has_ready_and_unready_addresses():
    pods = [pod("b", ip="10.0.0.2", ready=False), pod("a", ip="10.0.0.1"), pod("gone", ip="10.0.0.3", deleting=True)]
    (create,) = legacy_of(service(), pods)
    (subset,) = create.obj["subsets"]
    assert [entry["ip"] for entry in subset["addresses"]] == ["10.0.0.1"]
    assert [entry["ip"] for entry in subset["notReadyAddresses"]] == ["10.0.0.2"]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    current = {**create.obj, "metadata": {**metadata("web"), **create.obj["metadata"]}}
    assert legacy_of(service(), list(reversed(pods)), current) == []


def test_endpoints_are_cut_off_at_a_thousand():
    pods = [pod(f"p{number}", ip=f"10.1.{number // 250}.{number % 250 + 1}") for number in range(1100)]
    (create,) = legacy_of(service(), pods)
    assert len(create.obj["subsets"][0]["addresses"]) == legacy.MAX_ADDRESSES
    assert create.obj["metadata"]["annotations"] == {"endpoints.kubernetes.io/over-capacity": "truncated"}
    current = {**create.obj, "metadata": {**metadata("web"), **create.obj["metadata"]}}
    (update,) = legacy_of(service(), pods[:1], current)
    assert update.obj["metadata"]["annotations"] == {}
