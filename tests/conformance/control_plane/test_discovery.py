"""sig-api-machinery: what the API server says of itself, and the API server behind it."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import eventually
from tests.conformance.access import Api, Object, Refused
from tests.conformance.definitions import DEFINITIONS, definition, established
from tests.conformance.pods import Space
from tests.conformance.watching import watching
from tests.e2e.extension_server import GROUP, VERSION, ExtensionServer

pytestmark = pytest.mark.timeout(60)

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
V2BETA1 = V2.replace("v=v2", "v=v2beta1")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

# Of every built-in group and version: one resource, and of the core group all that conformance is about.
BUILT_IN = {
    "v1": "pods nodes configmaps secrets services namespaces endpoints events limitranges resourcequotas "
    "serviceaccounts replicationcontrollers persistentvolumes persistentvolumeclaims podtemplates",
    "admissionregistration.k8s.io/v1": "mutatingwebhookconfigurations validatingwebhookconfigurations "
    "validatingadmissionpolicies validatingadmissionpolicybindings mutatingadmissionpolicies",
    "apiextensions.k8s.io/v1": "customresourcedefinitions",
    "apiregistration.k8s.io/v1": "apiservices",
    "apps/v1": "controllerrevisions daemonsets deployments replicasets statefulsets",
    "authentication.k8s.io/v1": "tokenreviews selfsubjectreviews",
    "authorization.k8s.io/v1": "subjectaccessreviews localsubjectaccessreviews selfsubjectaccessreviews "
    "selfsubjectrulesreviews",
    "autoscaling/v1": "horizontalpodautoscalers",
    "autoscaling/v2": "horizontalpodautoscalers",
    "batch/v1": "jobs cronjobs",
    "certificates.k8s.io/v1": "certificatesigningrequests",
    "coordination.k8s.io/v1": "leases",
    "discovery.k8s.io/v1": "endpointslices",
    "events.k8s.io/v1": "events",
    "flowcontrol.apiserver.k8s.io/v1": "flowschemas prioritylevelconfigurations",
    "networking.k8s.io/v1": "ingresses ingressclasses networkpolicies ipaddresses servicecidrs",
    "node.k8s.io/v1": "runtimeclasses",
    "policy/v1": "poddisruptionbudgets",
    "rbac.authorization.k8s.io/v1": "roles rolebindings clusterroles clusterrolebindings",
    "resource.k8s.io/v1": "deviceclasses resourceclaims resourceclaimtemplates resourceslices",
    "scheduling.k8s.io/v1": "priorityclasses",
    "storage.k8s.io/v1": "storageclasses volumeattachments csidrivers csinodes csistoragecapacities "
    "volumeattributesclasses",
}


def aggregated(api: Api, accept: str = V2) -> dict[str, dict[str, Object]]:
    """Return the resources of the aggregated documents, by group version and name."""
    found: dict[str, dict[str, Object]] = {}
    for path in ("/api", "/apis"):
        answer = api.ask("GET", path, headers={"Accept": accept})
        assert answer.headers["content-type"] == V2
        listed = json.loads(answer.body)
        assert (listed["kind"], listed["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
        for group in listed["items"]:
            for version in group["versions"]:
                name = group["metadata"].get("name", "")
                of_version = f"{name}/{version['version']}" if name else version["version"]
                found[of_version] = {item["resource"]: item for item in version["resources"]}
    return found


def all_are_in(found: dict[str, dict[str, Any]]) -> None:
    missing = {one: set(names.split()) - set(found.get(one, ())) for one, names in BUILT_IN.items()}
    assert {one: names for one, names in missing.items() if names} == {}


def test_the_aggregated_documents(api: Api):
    """Aggregated Discovery Interface"""
    found = aggregated(api)
    all_are_in(found)
    pods, deployments = found["v1"]["pods"], found["apps/v1"]["deployments"]
    assert (pods["responseKind"]["kind"], pods["scope"], pods["shortNames"]) == ("Pod", "Namespaced", ["po"])
    assert {"status", "scale"} <= {sub["subresource"] for sub in deployments["subresources"]}
    tag = api.ask("GET", "/apis", headers={"Accept": V2}).headers["etag"]
    assert api.ask("GET", "/apis", headers={"Accept": V2, "If-None-Match": tag}).code == 304


def test_what_is_accepted(api: Api):
    """Aggregated Discovery Endpoint Accept Headers"""
    for accept in (V2, f"{V2},application/json", f"{V2},{V2BETA1},application/json", f"application/yaml;q=0.1,{V2}"):
        all_are_in(aggregated(api, accept))
    for path, kind in (("/api", "APIVersions"), ("/apis", "APIGroupList")):
        for accept in ("application/json", "*/*", ""):
            answer = api.ask("GET", path, headers={"Accept": accept} if accept else {})
            assert (answer.headers["content-type"], json.loads(answer.body)["kind"]) == ("application/json", kind)
    assert api.ask("GET", "/apis", headers={"Accept": "application/nothing"}).code == 406


def test_a_definition_is_in_the_aggregated_documents(api: Api, whole: Space):
    """Aggregated Discovery Interface CRDs"""
    with established(whole, definition()) as custom:
        found = aggregated(api)[f"{custom.group}/v1"][custom.plural]
        assert (found["responseKind"]["kind"], found["scope"]) == (custom.kind, "Namespaced")
        assert "deletecollection" in found["verbs"]
    assert custom.plural not in aggregated(api).get(f"{custom.group}/v1", {})
    assert not whole.has(DEFINITIONS, custom.name)


def served_resources(api: Api) -> dict[str, dict[str, Object]]:
    """Return the resources of each group version, by name; all documents must agree."""
    found = {"v1": {item["name"]: item for item in api.json("GET", "/api/v1")["resources"]}}
    for group in api.json("GET", "/apis")["groups"]:
        alone = api.json("GET", f"/apis/{group['name']}")
        assert (alone["preferredVersion"], alone["versions"]) == (group["preferredVersion"], group["versions"])
        for version in group["versions"]:
            listed = api.json("GET", f"/apis/{version['groupVersion']}")
            assert (listed["kind"], listed["groupVersion"]) == ("APIResourceList", version["groupVersion"])
            assert version["groupVersion"] == f"{group['name']}/{version['version']}"
            found[version["groupVersion"]] = {item["name"]: item for item in listed["resources"]}
    assert all(found.values())
    return found


def test_each_group_has_its_version_and_resources(api: Api):
    """Discovery, confirm the groupVerion and a resourcefrom each apiGroup"""
    # Somebody else's group may go between two of the requests.
    all_are_in(eventually(lambda: served_resources(api), "the documents agree", 10))


def test_the_version(api: Api):
    """Confirm a server version"""
    version = api.json("GET", "/version")
    assert version["major"].isdigit() and version["minor"].isdigit()
    assert version["gitVersion"].startswith(f"v{version['major']}.{version['minor']}.")


def test_what_is_no_table(api: Api):
    """API metadata HTTP return"""
    spec = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}
    kind = "SelfSubjectAccessReview"
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    path = f"/apis/authorization.k8s.io/v1/{kind.lower()}s"
    answer = api.ask("POST", path, review, {"Accept": TABLE, "Content-Type": "application/json"})
    status = json.loads(answer.body)
    assert (answer.code, status["code"], status["reason"]) == (406, 406, "NotAcceptable")


@pytest.fixture
def extension(api: Api, whole: Space) -> Iterator[ExtensionServer]:
    """An API server behind ours: a Service names where it listens, an APIService what it serves."""
    server = ExtensionServer(api.cluster.data_dir / "pki" / "front-proxy-ca.crt", "sample.default.svc")
    service = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": server.port}]}
    default = Space(api, "default")
    default.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sample"}, "spec": service})
    yield server
    server.close()
    default.delete("services", "sample")


def test_a_server_behind_ours(api: Api, whole: Space, extension: ExtensionServer):
    """aggregator-supports-the-sample-apiserver"""
    services, name = "apiregistration.k8s.io/v1/apiservices", f"{VERSION}.{GROUP}"
    spec = {
        "group": GROUP,
        "version": VERSION,
        "groupPriorityMinimum": 2000,
        "versionPriority": 200,
        "service": {"namespace": "default", "name": "sample", "port": extension.port},
        "caBundle": base64.b64encode(extension.certificate).decode(),
    }
    metadata = {"name": name, "labels": {"of": "sample"}}
    whole.create(
        services,
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": metadata, "spec": spec},
    )

    def available() -> bool:
        conditions = whole.get(services, name, "status").get("status", {}).get("conditions", [])
        return any((one["type"], one["status"]) == ("Available", "True") for one in conditions)

    try:
        eventually(available, "the server behind ours is available", 15)
        assert GROUP in {group["name"] for group in api.json("GET", "/apis")["groups"]}
        assert "flunders" in aggregated(api)[f"{GROUP}/{VERSION}"]
        default, flunders = Space(api, "default"), f"{GROUP}/{VERSION}/flunders"
        made = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Flunder", "metadata": {"name": "one"}}
        assert default.create(flunders, made)["metadata"]["uid"]
        assert [item["metadata"]["name"] for item in default.list(flunders)] == ["one"]
        with watching(api, default.path(flunders)) as watch:
            assert watch.next_of("one", 1) == ["ADDED"]
        assert extension.askers[-1]["user"] == "kubernetes-admin"
        default.delete(flunders, "one")
        assert not default.has(flunders, "one")
        assert whole.patch(services, name, {"metadata": {"labels": {"p": "q"}}})["metadata"]["labels"]["p"] == "q"
        whole.modify(services, name, lambda found: found["metadata"]["labels"].update(u="v"))
        assert [item["metadata"]["name"] for item in whole.list(services, "of=sample,p=q,u=v")] == [name]
    finally:
        whole.delete_all(services, "of=sample")
    with pytest.raises(Refused):
        api.json("GET", f"/apis/{GROUP}/{VERSION}")
