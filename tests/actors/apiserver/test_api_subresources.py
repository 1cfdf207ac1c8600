"""scale, binding, eviction, log; Service addresses; what a Pod is given; writes whose answer was lost."""

import asyncio

from actors.api import errors
from tests.actors.apiserver.api_harness import config_map, pod, with_account, with_api

CMS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def service(name: str, **spec) -> dict:
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "spec": {"ports": [{"port": 80}], **spec},
    }


def deployment(name: str, replicas: int) -> dict:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod("x")["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": name}, "spec": spec}


@with_api()
async def test_scale(api):
    await api.must("POST", DEPLOYMENTS, deployment("d", 3))
    scale = await api.must("GET", f"{DEPLOYMENTS}/d/scale")
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 3})
    scale["spec"]["replicas"] = 5
    assert (await api.must("PUT", f"{DEPLOYMENTS}/d/scale", scale))["spec"]["replicas"] == 5
    assert (await api.patch(f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 2}}))[1]["spec"]["replicas"] == 2
    assert (await api.put(f"{DEPLOYMENTS}/d/scale", scale))[0] == 409
    table = await api.must("GET", f"{DEPLOYMENTS}/d/scale", accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]
    assert table["rows"][0]["cells"][:3] == ["d", 2, 0]
    found = await api.must("GET", f"{DEPLOYMENTS}/d")
    assert found["spec"]["replicas"] == 2 and found["metadata"]["generation"] == 3
    assert (await api.patch(f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": -1}}))[0] == 422


@with_api()
async def test_binding_is_once(api):
    await with_account(api)
    await api.must("POST", PODS, pod("p"))
    body = {"kind": "Binding", "apiVersion": "v1", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "w1"}}
    answers = await asyncio.gather(*(api.post(f"{PODS}/p/binding", body) for _ in range(5)))
    assert sorted(status for status, _ in answers) == [201, 409, 409, 409, 409]
    found = await api.must("GET", f"{PODS}/p")
    assert found["spec"]["nodeName"] == "w1"
    assert [c["type"] for c in found["status"]["conditions"] if c["status"] == "True"] == ["PodScheduled"]
    await api.must("POST", PODS, pod("q"))
    assert (await api.post("/api/v1/namespaces/default/bindings", body | {"metadata": {"name": "q"}}))[0] == 201
    assert (await api.post(f"{PODS}/p/binding", body | {"target": {}}))[0] == 422


@with_api()
async def test_eviction_deletes(api):
    await with_account(api)
    await api.must("POST", PODS, pod("p", "w1"))
    body = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "p"}}
    assert (await api.post(f"{PODS}/p/eviction", body))[0] == 201
    assert (await api.must("GET", f"{PODS}/p"))["metadata"]["deletionTimestamp"]
    assert (await api.post(f"{PODS}/none/eviction", body | {"metadata": {"name": "none"}}))[0] == 404


@with_api()
async def test_logs_are_asked_of_the_right_kubelet(api):
    await with_account(api)
    await api.must("POST", PODS, pod("p", "sim-1"))
    answer = await api.raw("GET", f"{PODS}/p/log?tailLines=5&timestamps=true")
    assert [chunk async for chunk in answer.chunks] == [b"hello\n"]
    await answer.close()
    node, request = api.kubelets.asked[0]
    assert (node, request.container, request.tail_lines, request.timestamps) == ("sim-1", "main", 5, True)
    api.kubelets.error = errors.bad_request('container "main" is waiting to start')
    assert (await api.get(f"{PODS}/p/log"))[0] == 400
    assert (await api.get(f"{PODS}/p/log?container=zzz"))[0] == 400
    assert (await api.get(f"{PODS}/p/log?tailLines=-1"))[0] == 422
    await api.must("POST", PODS, pod("loose"))
    assert (await api.get(f"{PODS}/loose/log"))[1] == b""
    assert api.handler.in_flight.streams == 0


@with_api()
async def test_pod_is_given_account_priority_and_tolerations(api):
    await with_account(api)
    made = await api.must("POST", PODS, pod("p"))
    assert made["spec"]["serviceAccountName"] == "default" and made["spec"]["priority"] == 0
    assert {t["key"]: t["tolerationSeconds"] for t in made["spec"]["tolerations"]} == {
        "node.kubernetes.io/not-ready": 300,
        "node.kubernetes.io/unreachable": 300,
    }
    everything = [{"operator": "Exists"}]
    assert (await api.must("POST", PODS, pod("q", tolerations=everything)))["spec"]["tolerations"] == everything
    status, answer = await api.post(PODS, pod("r", serviceAccountName="nobody"))
    assert status == 403 and 'serviceaccount "nobody" not found' in answer["message"]
    assert (await api.post(PODS, pod("s", priorityClassName="nope")))[0] == 403


@with_api()
async def test_pod_waits_a_moment_for_its_account(api):
    creating = asyncio.ensure_future(api.post(PODS, pod("p")))
    await asyncio.sleep(0.01)
    assert not creating.done()
    await with_account(api)
    assert (await creating)[0] == 201


@with_api(service_cidr="10.96.0.0/29")
async def test_cluster_ips_are_given_once_and_given_back(api):
    made = [await api.must("POST", SERVICES, service(f"s{n}")) for n in range(5)]
    ips = {one["spec"]["clusterIP"] for one in made}
    assert ips == {f"10.96.0.{n}" for n in range(2, 7)}
    status, answer = await api.post(SERVICES, service("full"))
    assert status == 500 and "range is full" in answer["message"]
    await api.must("DELETE", f"{SERVICES}/s3")
    again = await api.must("POST", SERVICES, service("again"))
    assert again["spec"]["clusterIP"] == made[3]["spec"]["clusterIP"]
    status, answer = await api.post(SERVICES, service("fixed", clusterIP="10.96.0.2"))
    assert status == 422 and "provided IP is already allocated" in answer["message"]
    assert (await api.post(SERVICES, service("far", clusterIP="192.0.2.1")))[0] == 422
    headless = await api.must("POST", SERVICES, service("headless", clusterIP="None"))
    assert headless["spec"]["clusterIPs"] == ["None"]


@with_api(service_cidr="10.96.0.0/28")
async def test_concurrent_creations_never_share_an_address(api):
    answers = await asyncio.gather(*(api.post(SERVICES, service(f"s{n}")) for n in range(13)))
    assert [status for status, _ in answers] == [201] * 13
    assert len({one["spec"]["clusterIP"] for _, one in answers}) == 13


@with_api(node_ports="30000-30003")
async def test_node_ports(api):
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    made = await api.must("POST", SERVICES, service("np", type="NodePort", ports=ports))
    given = {port["nodePort"] for port in made["spec"]["ports"]}
    assert len(given) == 2 and given <= set(range(30000, 30004))
    taken = service("taken", type="NodePort", ports=[{"port": 80, "nodePort": min(given)}])
    status, answer = await api.post(SERVICES, taken)
    assert status == 422 and "provided port is already allocated" in answer["message"]
    outside = service("outside", type="NodePort", ports=[{"port": 80, "nodePort": 29999}])
    assert "not in the valid range" in (await api.post(SERVICES, outside))[1]["message"]
    kept = await api.must("PUT", f"{SERVICES}/np", service("np", type="NodePort", ports=ports))
    assert kept["spec"]["ports"] == made["spec"]["ports"] and kept["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    plain = await api.must("PUT", f"{SERVICES}/np", service("np", ports=ports))
    assert all("nodePort" not in port for port in plain["spec"]["ports"])
    assert (await api.post(SERVICES, taken))[0] == 201


@with_api()
async def test_bootstrap_service_has_the_first_address(api):
    found = await api.must("GET", f"{SERVICES}/kubernetes")
    assert found["spec"]["clusterIP"] == "10.96.0.1"
    assert (await api.get("/api/v1/namespaces/default/endpoints/kubernetes"))[0] == 404


@with_api()
async def test_bootstrap_tells_of_the_network_of_services(api):
    found = await api.must("GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes")
    assert found["spec"] == {"cidrs": ["10.96.0.0/16"]}
    assert [(one["type"], one["status"]) for one in found["status"]["conditions"]] == [("Ready", "True")]


@with_api()
async def test_lost_answer_is_an_unknown_outcome(api):
    api.state.lose_answers = 1
    status, answer = await api.post(CMS, config_map("a"))
    assert status == 504 and "the outcome of the write is unknown" in answer["message"]
    assert "details" not in answer  # clients repeat by themselves whatever they are told to try again later
    assert (await api.get(f"{CMS}/a"))[0] == 200


@with_api()
async def test_repeated_write_is_recognized_as_our_own(api):
    api.state.repeat_txns = True
    assert (await api.post(CMS, config_map("a")))[0] == 201
    assert (await api.patch(f"{CMS}/a", {"data": {"k": "2"}}))[0] == 200
    api.state.repeat_txns = False
    assert (await api.post(CMS, config_map("a")))[0] == 409


@with_api()
async def test_concurrent_patches_all_happen(api):
    await api.must("POST", CMS, config_map("a"))
    answers = await asyncio.gather(*(api.patch(f"{CMS}/a", {"data": {f"k{n}": "x"}}) for n in range(20)))
    assert [status for status, _ in answers] == [200] * 20
    assert len((await api.must("GET", f"{CMS}/a"))["data"]) == 21


@with_api()
async def test_decision_on_a_stale_object_is_made_again(api):
    made = await api.must("POST", CMS, config_map("a"))
    await api.server.barrier.fresh()
    api.state.hold = asyncio.Event()
    newer = await api.must("PUT", f"{CMS}/a", {**made, "data": {"k": "2"}})
    assert (await api.put(f"{CMS}/a", {**newer, "data": {"k": "3"}}))[0] == 200
    assert (await api.put(f"{CMS}/a", {**newer, "data": {"k": "4"}}))[0] == 409
    assert (await api.delete(f"{CMS}/a"))[0] == 200
    assert (await api.patch(f"{CMS}/a", {"data": {"k": "5"}}))[0] == 404
    api.state.hold.set()


@with_api()
async def test_too_many_requests_are_turned_away(api):
    api.handler.in_flight.reads = 10_000
    status, answer = await api.get(CMS)
    assert (status, answer["reason"]) == (429, "TooManyRequests")
    assert (await api.post(CMS, config_map("a")))[0] == 201


@with_api()
async def test_bug_in_one_request_is_a_500(api, monkeypatch=None):
    def broken(*arguments):
        raise KeyError("bug")

    api.server.authorizer.check = broken
    status, answer = await api.get(CMS)
    assert status == 500 and answer["reason"] == "InternalError"
