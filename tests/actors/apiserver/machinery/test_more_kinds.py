# ruff: noqa: E501 - a table reads best with one case a line
"""Batch, policy, storage, networking, autoscaling: defaults, causes, columns."""

import pytest

from actors.apiserver.machinery.kinds.cron import cron_error
from actors.apiserver.machinery.table import to_table
from tests.actors.apiserver.machinery.objects import UID, created, loaded, refused, resource, updated
from tests.actors.apiserver.machinery.test_update import refusal

TEMPLATE = "{metadata: {labels: {a: b}}, spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}"
ALWAYS = "{metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}"
JOB = f"{{metadata: {{name: x}}, spec: {{template: {TEMPLATE}}}}}"
CRON_JOB = (
    f"{{metadata: {{name: x}}, spec: {{schedule: '*/5 * * * *', jobTemplate: {{spec: {{template: {TEMPLATE}}}}}}}}}"
)
DAEMON_SET = f"{{metadata: {{name: x}}, spec: {{selector: {{matchLabels: {{a: b}}}}, template: {ALWAYS}}}}}"
STATEFUL_SET = f"{{metadata: {{name: x}}, spec: {{serviceName: s, selector: {{matchLabels: {{a: b}}}}, template: {ALWAYS}, volumeClaimTemplates: [{{metadata: {{name: v}}}}]}}}}"
CLAIM = "{metadata: {name: x}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}"
VOLUME = "{metadata: {name: x}, spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, hostPath: {path: /x}}}"
AUTOSCALER = (
    "{metadata: {name: x}, spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}}}"
)


def spec_of(kind: str, text: str, *left_out: str) -> dict:
    return {name: part for name, part in created(kind, text)["spec"].items() if name not in left_out}


def test_jobs():
    obj = created("Job", JOB)
    assert {name: part for name, part in obj["spec"].items() if name != "template"} == {
        "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False,
        "podReplacementPolicy": "TerminatingOrFailed", "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": UID}},
    }  # fmt: skip
    assert obj["spec"]["template"]["metadata"]["labels"] == {
        "a": "b", "controller-uid": UID, "job-name": "x", "batch.kubernetes.io/controller-uid": UID, "batch.kubernetes.io/job-name": "x",
    }  # fmt: skip
    assert obj["metadata"]["labels"] == {"a": "b"}


def test_cron_jobs():
    assert spec_of("CronJob", CRON_JOB, "jobTemplate") == {
        "schedule": "*/5 * * * *", "concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "schedule",
    ["* * * * *", "*/5 0-6 1,15 JAN MON-FRI", "@daily", "@every 1h30m", "0 0 ? * 6", "0 0 * mar-Nov SUN,tue-SAT/2"],
)
def test_cron_schedules(schedule):
    assert cron_error(schedule) == ""


@pytest.mark.parametrize(
    "schedule",
    [
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "5-1 * * * *",
        "x/y * * * *",
        "@often",
        "TZ=UTC * * * * *",
        "@every day",
        "0 0 * * 7",
        "0 0 * * 1-7",
        "*/0 * * * *",
        "XYZ * * * *",
        "SUN * * * *",
        "0 0 JAN * *",
        "0 0 * FOO *",
        "1-2-3 * * * *",
        "0 0 * NOV-MAR *",
        "-1 * * * *",
        "٣ * * * *",
        "1/ * * * *",
        "@every ١s",
    ],
)
def test_what_is_no_cron_schedule(schedule):
    assert cron_error(schedule)


def test_daemon_and_stateful_sets():
    assert spec_of("DaemonSet", DAEMON_SET, "selector", "template") == {
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
        "revisionHistoryLimit": 10,
    }
    assert spec_of("StatefulSet", STATEFUL_SET, "selector", "template", "volumeClaimTemplates") == {
        "serviceName": "s", "replicas": 1, "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    }  # fmt: skip


def test_autoscalers():
    spec = spec_of("HorizontalPodAutoscaler", AUTOSCALER)
    assert spec["minReplicas"] == 1
    assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 80


def test_limit_ranges():
    text = "{metadata: {name: x}, spec: {limits: [{type: Container, max: {cpu: '2'}, default: {memory: 1Gi}, min: {cpu: 1m}}]}}"
    (limit,) = created("LimitRange", text)["spec"]["limits"]
    assert (limit["default"], limit["defaultRequest"]) == ({"memory": "1Gi", "cpu": "2"}, {"memory": "1Gi", "cpu": "2"})


def test_network_policies():
    text = "{metadata: {name: x}, spec: {podSelector: {}, egress: [{ports: [{port: 53}]}]}}"
    spec = created("NetworkPolicy", text)["spec"]
    assert (spec["policyTypes"], spec["egress"][0]["ports"]) == (
        ["Ingress", "Egress"],
        [{"port": 53, "protocol": "TCP"}],
    )


def test_storage():
    assert created("PersistentVolumeClaim", CLAIM)["status"] == {"phase": "Pending"}
    assert created("PersistentVolume", VOLUME)["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    made = created("StorageClass", "{metadata: {name: x}, provisioner: p/q}")
    assert (made["reclaimPolicy"], made["volumeBindingMode"]) == ("Delete", "Immediate")


@pytest.mark.parametrize(
    ("kind", "text", "field", "said"),
    [
        ("Job", f"{{metadata: {{name: x}}, spec: {{template: {ALWAYS}}}}}", "spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"'),
        ("Job", f"{{metadata: {{name: x}}, spec: {{completionMode: Indexed, parallelism: 1, template: {TEMPLATE}}}}}", "spec.completions", "Required value"),
        ("CronJob", CRON_JOB.replace("*/5", "x!"), "spec.schedule", "Invalid value"),
        ("CronJob", CRON_JOB.replace("name: x", "name: " + "x" * 53, 1), "metadata.name", "must be no more than 52 characters"),
        ("DaemonSet", DAEMON_SET.replace("spec: {selector", "spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 0}}, selector"), "spec.updateStrategy.rollingUpdate.maxUnavailable", "cannot be 0 when maxSurge is 0"),
        ("StatefulSet", STATEFUL_SET.replace("spec: {serviceName", "spec: {podManagementPolicy: X, serviceName"), "spec.podManagementPolicy", "Unsupported value"),
        ("HorizontalPodAutoscaler", AUTOSCALER.replace("3", "0"), "spec.maxReplicas", "must be greater than 0"),
        ("PodDisruptionBudget", "{metadata: {name: x}, spec: {minAvailable: 1, maxUnavailable: 1}}", "spec", "cannot be both set"),
        ("PriorityClass", "{metadata: {name: x}, value: 1000000001}", "value", "maximum allowed value"),
        ("PriorityClass", "{metadata: {name: system-x}, value: 1}", "metadata.name", "reserved for system use only"),
        ("ResourceQuota", "{metadata: {name: x}, spec: {hard: {pods: '-1'}}}", "spec.hard[pods]", "greater than or equal to 0"),
        ("PersistentVolumeClaim", "{metadata: {name: x}, spec: {}}", "spec.accessModes", "at least 1 access mode is required"),
        ("PersistentVolume", "{metadata: {name: x}, spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}}}", "spec", "must specify a volume type"),
        ("StorageClass", "{metadata: {name: x}, provisioner: ''}", "provisioner", "Required value"),
        ("Ingress", "{metadata: {name: x}, spec: {}}", "spec", "either `defaultBackend` or `rules` must be specified"),
        ("Ingress", "{metadata: {name: x}, spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: s, port: {number: 1}}}}]}}]}}", "spec.rules[0].http.paths[0].pathType", "pathType must be specified"),
        ("Ingress", "{metadata: {name: x}, spec: {defaultBackend: {service: {name: s}}}}", "spec.defaultBackend.service.port", "port name or number is required"),
        ("NetworkPolicy", "{metadata: {name: x}, spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: x}}]}]}}", "spec.ingress[0].from[0].ipBlock.cidr", "must be a valid CIDR"),
        ("NetworkPolicy", "{metadata: {name: x}, spec: {podSelector: {}, ingress: [{from: [{}]}]}}", "spec.ingress[0].from[0]", "must specify a peer"),
        ("IPAddress", "{metadata: {name: x}, spec: {parentRef: {resource: a, name: b}}}", "metadata.name", "must be a valid IP address"),
        ("IPAddress", "{metadata: {name: '2001:DB8::1'}, spec: {parentRef: {resource: a, name: b}}}", "metadata.name", "must be in canonical form"),
        ("IPAddress", "{metadata: {name: 10.1.1.1}, spec: {}}", "spec.parentRef", "Required value"),
        ("IPAddress", "{metadata: {name: 10.1.1.1}, spec: {parentRef: {name: b}}}", "spec.parentRef.resource", "Required value"),
        ("ServiceCIDR", "{metadata: {name: x}, spec: {}}", "spec.cidrs", "Required value"),
        ("ServiceCIDR", "{metadata: {name: x}, spec: {cidrs: [10.1.1.0/24, 10.1.2.0/24]}}", "spec.cidrs", "no more than one IP for each"),
        ("ServiceCIDR", "{metadata: {name: x}, spec: {cidrs: [10.1.1.1/24]}}", "spec.cidrs[0]", 'canonical form ("10.1.1.0/24")'),
        ("LimitRange", "{metadata: {name: x}, spec: {limits: [{type: X}]}}", "spec.limits[0].type", "Unsupported value"),
        ("ControllerRevision", "{metadata: {name: x}, revision: 1}", "data", "Required value"),
    ],
)  # fmt: skip
def test_causes(kind, text, field, said):
    found = refused(kind, text)
    assert said in found[field], found


class TestUpdates:
    def test_a_jobs_template_is_fixed_once_it_runs(self):
        old = created("Job", JOB)
        assert "spec.template" in refusal("Job", old, spec__template__spec__containers__0__image="j")
        suspended = updated("Job", old, spec__suspend=True)
        updated("Job", suspended, spec__template__spec__nodeSelector={"disk": "fast"})

    def test_a_stateful_sets_claims_are_fixed(self):
        old = created("StatefulSet", STATEFUL_SET)
        updated("StatefulSet", old, spec__replicas=3)
        assert "forbidden" in refusal("StatefulSet", old, spec__volumeClaimTemplates=[])["spec"]

    def test_an_address_keeps_its_parent_and_a_network_may_get_a_second_family(self):
        address = created("IPAddress", "{metadata: {name: 10.1.1.1}, spec: {parentRef: {resource: a, name: b}}}")
        assert "immutable" in refusal("IPAddress", address, spec__parentRef__name="c")["spec.parentRef"]
        network = created("ServiceCIDR", "{metadata: {name: x}, spec: {cidrs: [10.1.1.0/24]}}")
        updated("ServiceCIDR", network, spec__cidrs=["10.1.1.0/24", "2001:db8::/64"])
        assert "immutable" in refusal("ServiceCIDR", network, spec__cidrs=["10.1.2.0/24"])["spec.cidrs"]

    def test_a_claim_may_be_bound_and_grow(self):
        old = created("PersistentVolumeClaim", CLAIM)
        bound = updated("PersistentVolumeClaim", old, spec__volumeName="v")
        grown = updated("PersistentVolumeClaim", bound, spec__resources={"requests": {"storage": "2Gi"}})
        shrunk = refusal("PersistentVolumeClaim", grown, spec__resources={"requests": {"storage": "1Gi"}})
        assert "can not be less than previous value" in shrunk["spec.resources.requests.storage"]
        assert "spec" in refusal("PersistentVolumeClaim", bound, spec__volumeName="w")

    def test_a_storage_class_is_fixed(self):
        old = created("StorageClass", "{metadata: {name: x}, provisioner: p/q}")
        assert "updates to provisioner are forbidden." in refusal("StorageClass", old, provisioner="r/s")["provisioner"]


@pytest.mark.parametrize(
    ("kind", "text", "cells"),
    [
        ("Job", "{metadata: {name: x}, spec: {completions: 3}, status: {succeeded: 1, startTime: '2026-05-01T12:00:00Z', completionTime: '2026-05-01T12:00:05Z'}}", ["x", "Running", "1/3", "5s"]),
        ("Job", "{metadata: {name: x}, spec: {parallelism: 2}, status: {conditions: [{type: Complete, status: 'True'}]}}", ["x", "Complete", "0/1 of 2", ""]),
        ("CronJob", "{metadata: {name: x}, spec: {schedule: '@daily', suspend: false}}", ["x", "@daily", "<none>", "False", 0, "<none>"]),
        ("DaemonSet", "{metadata: {name: x}, status: {desiredNumberScheduled: 2, numberReady: 1}}", ["x", 2, 0, 1, 0, 0, "<none>"]),
        ("PersistentVolumeClaim", "{metadata: {name: x}, spec: {volumeName: v}, status: {phase: Bound, accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}}}", ["x", "Bound", "v", "1Gi", "RWO", "", "<unset>"]),
        ("PersistentVolume", "{metadata: {name: x}, spec: {capacity: {storage: 1Gi}, claimRef: {namespace: n, name: c}}, status: {phase: Bound}}", ["x", "1Gi", "", "", "Bound", "n/c"]),
        ("StorageClass", "{metadata: {name: x, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}, provisioner: p}", ["x (default)", "p", "Delete", "Immediate", False]),
        ("Ingress", "{metadata: {name: x}, spec: {ingressClassName: n, rules: [{host: a}, {host: b}, {host: c}, {host: d}], tls: [{}]}}", ["x", "n", "a,b,c + 1 more...", "", "80, 443"]),
        ("HorizontalPodAutoscaler", "{metadata: {name: x}, spec: {scaleTargetRef: {kind: Deployment, name: d}, minReplicas: 1, maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {averageUtilization: 80}}}]}}", ["x", "Deployment/d", "cpu: <unknown>/80%", "1", 3, 0]),
        ("PodDisruptionBudget", "{metadata: {name: x}, spec: {minAvailable: 1}, status: {disruptionsAllowed: 2}}", ["x", "1", "N/A", 2]),
        ("ResourceQuota", "{metadata: {name: x}, status: {hard: {pods: '5', limits.cpu: '2'}, used: {pods: '1'}}}", ["x", "pods: 1/5", "limits.cpu: 0/2"]),
        ("PodTemplate", "{metadata: {name: x}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}", ["x", "c", "i", "a=b"]),
    ],
)  # fmt: skip
def test_cells(kind, text, cells):
    table = to_table(resource(kind), [loaded(text)], 0.0)
    assert table["rows"][0]["cells"][: len(cells)] == cells
