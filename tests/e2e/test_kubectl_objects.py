"""kubectl's commands that make and change objects without a manifest: create, run, set, label, scale, rollout."""

import json

import pytest

from tests.cluster import Cluster, eventually
from tests.e2e.kubectl import Kubectl

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def kubectl(shared_cluster: Cluster) -> Kubectl:
    shared_cluster.kubectl("create", "namespace", "kubectl-objects")
    return Kubectl(shared_cluster, "kubectl-objects")


GENERATORS = [
    ("job/j", "job j --image=i -- true"),
    ("cronjob/c", "cronjob c --image=i --schedule=@hourly -- date"),
    ("ingress/ing", "ingress ing --rule=foo.com/bar=web:80 --default-backend=web:80 --annotation=a=b --class=x"),
    ("poddisruptionbudget/p", "poddisruptionbudget p --selector=app=none --min-available=50%"),
    ("quota/q", "quota q --hard=pods=100 --scopes=NotTerminating"),
    ("role/ro", "role ro --verb=get,list --resource=pods,pods/log,deployments.apps --resource-name=x"),
    ("rolebinding/rb", "rolebinding rb --role=ro --user=u --group=g --serviceaccount=default:default"),
    ("secret/s", "secret generic s --from-literal=a=b --type=x/y"),
    ("secret/dr", "secret docker-registry dr --docker-username=a --docker-password=b --docker-email=c@d"),
    ("configmap/cm", "configmap cm --from-literal=x=y --from-file=manifest=/dev/null"),
    ("service/sc", "service clusterip sc --tcp=80:8080 --clusterip=None"),
    ("service/sn", "service nodeport sn --tcp=80:8080"),
    ("service/sl", "service loadbalancer sl --tcp=80"),
    ("service/se", "service externalname se --external-name=a.b.c"),
    ("serviceaccount/robot", "serviceaccount robot"),
]


@pytest.mark.parametrize(("made", "words"), GENERATORS, ids=[made for made, _ in GENERATORS])
def test_create(kubectl, made, words):
    assert kubectl("create", *words.split()).endswith("created")
    assert kubectl("get", made, "-o", "jsonpath={.metadata.name}") == made.split("/")[1]
    assert kubectl("describe", made).split()[:2] == ["Name:", made.split("/")[1]]


def test_create_what_has_no_namespace(kubectl):
    objects = {
        "priorityclass/kubectl-high": "priorityclass kubectl-high --value=1000 --description=x",
        "clusterrole/kubectl-logs": "clusterrole kubectl-logs --non-resource-url=/logs/* --verb=get",
        "clusterrole/kubectl-sum": "clusterrole kubectl-sum --aggregation-rule=a=b",
        "clusterrolebinding/kubectl-logs": "clusterrolebinding kubectl-logs --clusterrole=kubectl-logs --user=u",
    }
    for words in objects.values():
        assert kubectl("create", *words.split(), "--dry-run=server").endswith("created (server dry run)")
        kubectl("create", *words.split())
    assert kubectl("delete", *objects).count("deleted") == len(objects)


def test_create_a_tls_secret_of_the_clusters_own_certificate(kubectl):
    pki = kubectl.cluster.data_dir / "pki"
    kubectl("create", "secret", "tls", "t", f"--cert={pki / 'apiserver.crt'}", f"--key={pki / 'apiserver.key'}")
    assert kubectl("get", "secret", "t", "-o", "jsonpath={.type}") == "kubernetes.io/tls"


def test_create_a_token_bound_to_an_object(kubectl):
    kubectl("create", "secret", "generic", "holder")
    kubectl("create", "serviceaccount", "bound")
    bound = ("--bound-object-kind=Secret", "--bound-object-name=holder")
    token = kubectl("create", "token", "bound", "--duration=1h", "--audience=a", *bound)
    assert len(token.split(".")) == 3
    assert 'secrets "nobody" not found' in kubectl.refused(
        "create", "token", "bound", bound[0], "--bound-object-name=nobody"
    )


def test_a_job_from_a_cron_job(kubectl):
    kubectl("create", "cronjob", "hourly", "--image=i", "--schedule=0 * * * *", "--", "date")
    kubectl("create", "job", "now", "--from=cronjob/hourly")
    owner = kubectl.get("job", "now")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("CronJob", "hourly")


def test_run_and_expose(kubectl):
    words = ["--image=any:1", "--port=80", "--expose", "--env=A=b", "--labels=app=one", "--restart=Never"]
    assert set(kubectl("run", "one", *words).splitlines()) == {"service/one created", "pod/one created"}
    kubectl("wait", "pod/one", "--for=condition=Ready", "--timeout=30s")
    kubectl("expose", "pod", "one", "--name=again", "--port=80", "--target-port=8080", "--type=NodePort")
    eventually(
        lambda: len(kubectl.get("endpointslices", "-l", "kubernetes.io/service-name=again")["items"]) == 1,
        "the service has its slice",
    )
    assert kubectl("logs", "one") == ""
    kubectl("delete", "pod/one", "service/one", "service/again", "--now")


@pytest.fixture(scope="module")
def web(kubectl):
    kubectl("create", "deployment", "web", "--image=any:1", "--replicas=2", "--port=80")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    return kubectl


def test_scale_and_autoscale(web):
    assert "Expected replicas to be 9" in web.refused(
        "scale", "deployment", "web", "--replicas=3", "--current-replicas=9"
    )
    web("scale", "deployment/web", "--replicas=3", "--current-replicas=2")
    web("wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=30s")
    web("autoscale", "deployment", "web", "--min=1", "--max=5", "--cpu=80%")
    assert web("get", "hpa", "web", "--no-headers").split()[:2] == ["web", "Deployment/web"]
    assert web("delete", "hpa", "web")


def test_set(web):
    web("create", "configmap", "settings", "--from-literal=COLOR=red")
    web("set", "image", "deployment/web", "any=any:2")
    web("set", "env", "deployment/web", "A=b")
    web("set", "env", "deployment/web", "--from=configmap/settings", "--prefix=P_")
    web("set", "resources", "deployment", "web", "--limits=cpu=200m,memory=512Mi", "--requests=cpu=100m")
    web("create", "serviceaccount", "runner")
    web("set", "serviceaccount", "deployment", "web", "runner")
    spec = web.get("deployment", "web")["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert (container["image"], spec["serviceAccountName"]) == ("any:2", "runner")
    assert [variable["name"] for variable in container["env"]] == ["A", "P_COLOR"]
    assert container["resources"] == {"limits": {"cpu": "200m", "memory": "512Mi"}, "requests": {"cpu": "100m"}}
    assert "P_COLOR from configmap settings, key COLOR" in web("set", "env", "deployment/web", "--list")
    web("create", "service", "clusterip", "chosen", "--tcp=80")
    web("set", "selector", "service", "chosen", "a=b")
    assert web.get("service", "chosen")["spec"]["selector"] == {"a": "b"}
    web("create", "rolebinding", "view", "--clusterrole=view", "--user=ann")
    web("set", "subject", "rolebinding", "view", "--user=bob")
    assert [subject["name"] for subject in web.get("rolebinding", "view")["subjects"]] == ["ann", "bob"]


def test_rollout(web):
    web("rollout", "status", "deployment/web", "--timeout=30s")
    web("rollout", "pause", "deployment/web")
    web("set", "image", "deployment/web", "any=any:3")
    assert web.get("deployment", "web")["spec"]["paused"]
    web("rollout", "resume", "deployment/web")
    web("annotate", "deployment/web", "kubernetes.io/change-cause=third image")
    web("rollout", "status", "deployment/web", "--timeout=30s")
    eventually(lambda: "third image" in web("rollout", "history", "deployment/web"), "the cause is in the history")
    assert "any:1" in web("rollout", "history", "deployment/web", "--revision=1")
    web("rollout", "undo", "deployment/web", "--to-revision=1")
    web("rollout", "restart", "deployment", "-l", "app=web")
    web("rollout", "status", "deployment/web", "--timeout=30s")
    assert web.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "any:1"


def test_label_and_annotate(kubectl):
    for name in ("l1", "l2"):
        kubectl("create", "configmap", name, "--dry-run=client", "-o", "json")
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": "l"}}}
        kubectl("create", "-f", "-", stdin=json.dumps(made))
    assert kubectl("label", "configmaps", "-l", "set=l", "x=1", "y=2").count("labeled") == 2
    assert "'x' already has a value" in kubectl.refused("label", "configmap", "l1", "x=2")
    kubectl("label", "configmap", "l1", "x=2", "y-", "--overwrite")
    assert sorted(kubectl("label", "configmap", "l1", "--list").splitlines()) == ["set=l", "x=2"]
    stale = kubectl.refused("label", "configmap", "l1", "z=1", "--resource-version=1")
    assert "the object has been modified" in stale
    kubectl("annotate", "configmap", "l1", "note=something with spaces", "other=x")
    kubectl("annotate", "configmap", "l1", "other-")
    assert kubectl("annotate", "configmap", "l1", "--list") == "note=something with spaces"
    assert "metadata.labels: Invalid value" in kubectl.refused(
        "patch", "configmap", "l1", "-p", '{"metadata":{"labels":{"a b":""}}}'
    )


def test_delete(kubectl):
    for name in ("d1", "d2", "d3", "d4"):
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": "d"}}}
        kubectl("create", "-f", "-", stdin=json.dumps(made))
    assert kubectl("delete", "configmap", "d1", "--dry-run=server").endswith("(server dry run)")
    assert kubectl("delete", "configmap", "d1", "-o", "name") == "configmap/d1"
    assert kubectl("delete", "configmap", "d1", "--ignore-not-found") == ""
    assert kubectl("delete", "configmaps", "--field-selector=metadata.name=d2").count("deleted") == 1
    assert kubectl("delete", "configmaps", "-l", "set=d", "--wait=false").count("deleted") == 2
    kubectl("run", "slow", "--image=i")
    forced = kubectl.cluster.run(
        "kubectl", "-n", kubectl.namespace, "delete", "pod", "slow", "--grace-period=0", "--force"
    )
    assert "Immediate deletion" in forced.stderr


@pytest.mark.parametrize("cascade", ["orphan", "background", "foreground"])
def test_delete_cascades(kubectl, cascade):
    name = f"of-{cascade}"
    kubectl("create", "deployment", name, "--image=i")
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=30s")
    kubectl("delete", "deployment", name, f"--cascade={cascade}")
    owned = ("get", "replicasets", "-l", f"app={name}", "-o", "name")
    if cascade == "orphan":
        assert kubectl(*owned)
        kubectl("delete", "replicasets", "-l", f"app={name}")
    elif cascade == "foreground":
        assert kubectl(*owned) == ""
    eventually(lambda: kubectl("get", "replicasets,pods", "-l", f"app={name}", "-o", "name") == "", "all is gone")
