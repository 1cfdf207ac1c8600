"""The whole API of the kinds of access and flow control: discovery, every verb, status; as conformance asks."""

import pytest

from tests.actors.apiserver.api_harness import with_api
from tests.actors.apiserver.certificates_of import request_pem, signing_request
from tests.actors.apiserver.test_api_fairness import flow_schema, priority_level
from tests.actors.apiserver.test_fairness import level, schema

STANDARD = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
PEM = request_pem("jane")


def request(name: str) -> dict:
    return signing_request(name, "example.com/signer", PEM)


KINDS = [
    pytest.param(
        "flowcontrol.apiserver.k8s.io",
        "flowschemas",
        lambda name: flow_schema(schema(name, "y", ["ann"])),
        ("status",),
        id="flowschemas",
    ),
    pytest.param(
        "flowcontrol.apiserver.k8s.io",
        "prioritylevelconfigurations",
        lambda name: priority_level(level(name, 7)),
        ("status",),
        id="levels",
    ),
    pytest.param("certificates.k8s.io", "certificatesigningrequests", request, ("status", "approval"), id="csrs"),
]


@pytest.mark.parametrize(("group", "plural", "made", "parts"), KINDS)
def test_every_operation_of_the_api(group, plural, made, parts):
    """API priority and fairness should support FlowSchema API operations [Conformance]
    API priority and fairness should support PriorityLevelConfiguration API operations [Conformance]
    Certificates API [Privileged:ClusterAdmin] should support CSR API operations [Conformance]
    """

    @with_api()
    async def check(api):
        groups = (await api.must("GET", "/apis"))["groups"]
        found = next(one for one in groups if one["name"] == group)
        assert {"groupVersion": f"{group}/v1", "version": "v1"} in found["versions"]
        listed = {one["name"]: one for one in (await api.must("GET", f"/apis/{group}/v1"))["resources"]}
        assert set(listed[plural]["verbs"]) == STANDARD
        assert all(set(listed[f"{plural}/{part}"]["verbs"]) == {"get", "patch", "update"} for part in parts)

        path = f"/apis/{group}/v1/{plural}"
        watch = await api.watch(f"{path}?watch=1&labelSelector=special=yes")
        for name in ("a", "b", "c"):
            obj = made(name)
            obj["metadata"]["labels"] = {"special": "yes"}
            await api.must("POST", path, obj)
        assert await watch.names(3) == [("ADDED", name) for name in ("a", "b", "c")]
        assert len((await api.must("GET", f"{path}?labelSelector=special=yes"))["items"]) == 3

        patched = await api.patch(f"{path}/a", {"metadata": {"annotations": {"patched": "true"}}})
        assert patched[1]["metadata"]["annotations"]["patched"] == "true"
        current = await api.must("GET", f"{path}/a")
        current["metadata"]["annotations"]["updated"] = "true"
        assert (await api.must("PUT", f"{path}/a", current))["metadata"]["annotations"]["updated"] == "true"
        assert await watch.names(2) == [("MODIFIED", "a")] * 2

        for part in parts:
            kind = "Approved" if part == "approval" else "Tested"
            condition = {"type": kind, "status": "True", "reason": "Test", "message": "by a test"}
            status, answer = await api.patch(f"{path}/a/{part}", {"status": {"conditions": [condition]}})
            assert status == 200, answer
            current = await api.must("GET", f"{path}/a/{part}")
            assert kind in [one["type"] for one in current["status"]["conditions"]]
            current["metadata"]["annotations"][part] = "updated"
            updated = await api.must("PUT", f"{path}/a/{part}", current)
            assert updated["metadata"]["annotations"][part] == "updated"
            await watch.names(2)

        await api.must("DELETE", f"{path}/a")
        assert (await api.get(f"{path}/a"))[0] == 404
        await api.must("DELETE", f"{path}?labelSelector=special=yes")
        await api.server.barrier.fresh()
        assert (await api.must("GET", f"{path}?labelSelector=special=yes"))["items"] == []
        await watch.close()

    check()
