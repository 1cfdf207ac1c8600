"""Flow schemas and priority levels as objects, and a server that obeys them: seats, waiting, 429, headers, figures."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from actors.apiserver.bootstrap.ensure import send_as_self
from actors.apiserver.call import AUTHENTICATED, ApiCall, Identity
from actors.apiserver.fairness import defaults
from actors.apiserver.fairness.gate import FairnessCollector
from actors.apiserver.fairness.upkeep import Upkeep, wanted_writes
from tests.actors.apiserver.api_harness import config_map, with_api
from tests.actors.apiserver.test_fairness import level, schema

GROUP = "/apis/flowcontrol.apiserver.k8s.io/v1"
CMS = "/api/v1/namespaces/default/configmaps"
ANN, BOB = Identity("ann", ("system:masters-not", AUTHENTICATED)), Identity("bob", (AUTHENTICATED,))


def flow_schema(obj: dict) -> dict:
    return {"kind": "FlowSchema", "apiVersion": "flowcontrol.apiserver.k8s.io/v1", **obj}


def priority_level(obj: dict) -> dict:
    return {"kind": "PriorityLevelConfiguration", "apiVersion": "flowcontrol.apiserver.k8s.io/v1", **obj}


async def upkept(api) -> None:
    async def send(method: str, path: str, body: dict) -> int:
        status, answer = await send_as_self(api.handler, method, path, body)
        assert status < 300, answer
        return status

    await Upkeep(api.cache, api.clock, send).put_right()
    await api.server.barrier.fresh()


@pytest.mark.parametrize(
    ("path", "obj", "where"),
    [
        ("flowschemas", flow_schema(schema("x", "y", ["ann"], precedence=1)), "spec.matchingPrecedence"),
        ("flowschemas", flow_schema(schema("x", "", ["ann"])), "spec.priorityLevelConfiguration.name"),
        ("flowschemas", flow_schema(schema("x", "y", [])), "spec.rules[0].subjects"),
        ("prioritylevelconfigurations", priority_level(level("exempt", 3)), "spec.type"),
        ("prioritylevelconfigurations", priority_level(level("x", -1)), "spec.limited.nominalConcurrencyShares"),
        ("prioritylevelconfigurations", priority_level(level("x", 1, 101)), "spec.limited.lendablePercent"),
    ],
)
def test_wrong_objects_are_refused_with_the_field(path, obj, where):
    @with_api()
    async def check(api):
        status, answer = await api.post(f"{GROUP}/{path}", obj)
        assert status == 422, answer
        assert [cause["field"] for cause in answer["details"]["causes"]] == [where]

    check()


@with_api()
async def test_a_cluster_starts_with_kubernetes_own_objects_and_says_which_count(api):
    """API priority and fairness should support FlowSchema API operations [Conformance]"""
    await upkept(api)
    await upkept(api)
    schemas = (await api.must("GET", f"{GROUP}/flowschemas"))["items"]
    assert len(schemas) == 13 and len((await api.must("GET", f"{GROUP}/prioritylevelconfigurations"))["items"]) == 8
    assert all(one["status"]["conditions"][0]["status"] == "False" for one in schemas)
    await api.must("POST", f"{GROUP}/flowschemas", flow_schema(schema("lost", "nowhere", ["ann"])))
    await api.server.barrier.fresh()
    await upkept(api)
    lost = await api.must("GET", f"{GROUP}/flowschemas/lost")
    assert [(c["type"], c["status"], c["reason"]) for c in lost["status"]["conditions"]] == [
        ("Dangling", "True", "NotFound")
    ]
    assert lost["metadata"]["generation"] == 1


@with_api()
async def test_mandatory_objects_come_back_and_suggested_ones_stay_away(api):
    """API priority and fairness should support PriorityLevelConfiguration API operations [Conformance]"""
    await upkept(api)
    for name in ("catch-all", "probes"):
        await api.must("DELETE", f"{GROUP}/flowschemas/{name}")
    path = f"{GROUP}/prioritylevelconfigurations/system"
    changed = {"spec": {"limited": {"nominalConcurrencyShares": 77}}}
    assert (await api.patch(path, changed))[0] == 200
    await api.server.barrier.fresh()
    await upkept(api)
    assert (await api.must("GET", path))["spec"]["limited"]["nominalConcurrencyShares"] == 30
    await api.patch(path, {**changed, "metadata": {"annotations": {defaults.AUTOUPDATE: "false"}}})
    await api.server.barrier.fresh()
    await upkept(api)
    assert (await api.must("GET", path))["spec"]["limited"]["nominalConcurrencyShares"] == 77
    assert (await api.get(f"{GROUP}/flowschemas/catch-all"))[0] == 200
    assert (await api.get(f"{GROUP}/flowschemas/probes"))[0] == 404


def test_nothing_is_written_where_all_is_well():
    present = {(obj["kind"], obj["metadata"]["name"]): obj for obj in defaults.objects()}
    assert wanted_writes(present) == []


async def full_level(api) -> None:
    """Ann and Bob may read ConfigMaps; Ann's level has one seat."""
    for kind, obj in (
        ("prioritylevelconfigurations", priority_level(level("narrow", 1, borrowing=0))),
        ("prioritylevelconfigurations", priority_level(level("wide", 1199, borrowing=0))),
        ("flowschemas", flow_schema(schema("ann", "narrow", ["ann"]))),
        ("flowschemas", flow_schema(schema("bob", "wide", ["bob"]))),
    ):
        await api.must("POST", f"{GROUP}/{kind}", obj)
    rbac = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    binding = {
        "kind": "ClusterRoleBinding",
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"name": "view"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [
            {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name} for name in ("ann", "bob")
        ],
    }
    await api.must("POST", rbac, binding)
    await api.must("POST", CMS, config_map("a"))
    await api.server.barrier.fresh()


@with_api()
async def test_a_full_level_refuses_with_a_hint_and_others_go_on(api):
    await full_level(api)
    calls = [asyncio.ensure_future(api.raw("GET", f"{CMS}/a", identity=ANN)) for _ in range(5)]
    others = [asyncio.ensure_future(api.raw("GET", f"{CMS}/a", identity=BOB)) for _ in range(5)]
    answers = [await call for call in calls]
    assert sorted(answer.status for answer in answers) == [200, 429, 429, 429, 429]
    assert {answer.headers["Retry-After"] for answer in answers if answer.status == 429} == {"1"}
    assert [(await other).status for other in others] == [200] * 5


@with_api()
async def test_who_waits_is_served_in_turn_and_who_gives_up_leaves_no_trace(api):
    await full_level(api)
    await api.patch(
        f"{GROUP}/prioritylevelconfigurations/narrow",
        {"spec": {"limited": level("narrow", 1, borrowing=0, queues=4)["spec"]["limited"]}},
    )
    await api.server.barrier.fresh()
    calls = [asyncio.ensure_future(api.raw("GET", f"{CMS}/a", identity=ANN)) for _ in range(5)]
    await asyncio.sleep(0)
    calls.pop().cancel()
    assert [(await call).status for call in calls] == [200] * 4
    await asyncio.sleep(0)
    assert api.handler.gate.fairness.waiting == 0
    assert all(one.in_use == 0 for one in api.handler.gate.fairness.seats.levels.values())
    registry = CollectorRegistry()
    registry.register(FairnessCollector(api.handler.gate))
    text = generate_latest(registry).decode()
    assert 'apiserver_flowcontrol_dispatched_requests_total{flow_schema="ann",priority_level="narrow"} 4.0' in text


@with_api()
async def test_a_watch_keeps_no_seat_and_answers_name_their_class(api):
    await full_level(api)
    watches = [await api.watch(f"{CMS}?watch=1", identity=ANN) for _ in range(5)]
    call = ApiCall(ANN, "GET", f"{CMS}/a")
    assert (await api.handler.handle(call)).status == 200
    uid = (await api.must("GET", f"{GROUP}/flowschemas/ann"))["metadata"]["uid"]
    assert f"x-kubernetes-pf-flowschema-uid: {uid}\r\n".encode() in call.answer_head
    for watch in watches:
        await watch.close()
