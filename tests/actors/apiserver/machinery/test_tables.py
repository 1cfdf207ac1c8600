# ruff: noqa: E501 - a table reads best with one case a line
"""Tables, cell by cell."""

from datetime import datetime

import pytest

from actors.api.errors import ApiError
from actors.apiserver.machinery.durations import human_duration
from actors.apiserver.machinery.table import to_table
from tests.actors.apiserver.machinery.objects import created, loaded, resource

NOW = datetime.fromisoformat("2026-05-01T13:00:00Z").timestamp()  # an hour after objects were created


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"), (-1.5, "0s"), (0, "0s"), (59, "59s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (599, "9m59s"),
        (600, "10m"), (10799, "179m"), (10800, "3h"), (11100, "3h5m"), (28799, "7h59m"), (28800, "8h"), (172799, "47h"),
        (172800, "2d"), (176400, "2d1h"), (691199, "7d23h"), (691200, "8d"), (63071999, "729d"), (63072000, "2y"),
        (63158400, "2y1d"), (252288000, "8y"),
    ],
)  # fmt: skip
def test_durations(seconds, shown):
    assert human_duration(seconds) == shown


def row(kind: str, obj: dict | str) -> dict[str, object]:
    """Return the cells of one object by column."""
    obj = loaded(obj)
    obj.setdefault("metadata", {}).setdefault("creationTimestamp", "2026-05-01T12:00:00Z")
    table = to_table(resource(kind), [obj], NOW)
    return dict(zip([c["name"] for c in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True))


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("Pod", "Name Ready Status Restarts Age IP* Node* Nominated_Node* Readiness_Gates*"),
        (
            "Node",
            "Name Status Roles Age Version Internal-IP* External-IP* OS-Image* Kernel-Version* Container-Runtime*",
        ),
        ("Deployment", "Name Ready Up-to-date Available Age Containers* Images* Selector*"),
        ("ReplicaSet", "Name Desired Current Ready Age Containers* Images* Selector*"),
        ("ReplicationController", "Name Desired Current Ready Age Containers* Images* Selector*"),
        ("Service", "Name Type Cluster-IP External-IP Port(s) Age Selector*"),
        ("Endpoints", "Name Endpoints Age"),
        ("EndpointSlice", "Name AddressType Ports Endpoints Age"),
        ("Namespace", "Name Status Age"),
        ("ConfigMap", "Name Data Age"),
        ("Secret", "Name Type Data Age"),
        ("ServiceAccount", "Name Secrets Age"),
        ("Lease", "Name Holder Age"),
        ("Role", "Name Created_At"),
        ("ClusterRoleBinding", "Name Role Age Users* Groups* ServiceAccounts*"),
        ("Event", "Last_Seen Type Reason Object Subobject* Source* Message First_Seen* Count* Name*"),
    ],
)
def test_columns(kind, columns):
    definitions = to_table(resource(kind), [], NOW)["columnDefinitions"]
    shown = " ".join(d["name"].replace(" ", "_") + "*" * d["priority"] for d in definitions)
    assert shown == columns
    assert all({"name", "type", "format", "description", "priority"} == d.keys() for d in definitions)


@pytest.mark.parametrize(
    ("status", "cells"),
    [
        ("{phase: Pending}", "0/2 Pending 0"),
        ("{phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]}", "0/2 SchedulingGated 0"),
        ("{phase: Failed, reason: Evicted}", "0/2 Evicted 0"),
        ("{phase: Running, containerStatuses: [{name: a, ready: true, state: {running: {}}}, {name: b, ready: true, state: {running: {}}}]}",
         "2/2 Running 0"),
        ("{phase: Running, containerStatuses: [{name: a, ready: false, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {finishedAt: '2026-05-01T12:55:00Z'}}}, {name: b, ready: true, state: {running: {}}}]}",
         "1/2 CrashLoopBackOff 3 (5m ago)"),
        ("{phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ImagePullBackOff}}}]}", "0/2 ImagePullBackOff 0"),
        ("{phase: Succeeded, containerStatuses: [{name: a, state: {terminated: {reason: Completed, exitCode: 0}}}]}", "0/2 Completed 0"),
        ("{phase: Failed, containerStatuses: [{name: a, state: {terminated: {reason: OOMKilled, exitCode: 137}}}]}", "0/2 OOMKilled 0"),
        ("{phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3}}}]}", "0/2 ExitCode:3 0"),
        ("{phase: Failed, containerStatuses: [{name: a, state: {terminated: {signal: 9, exitCode: 137}}}]}", "0/2 Signal:9 0"),
        ("{phase: Running, conditions: [{type: Ready, status: 'False'}], containerStatuses: [{name: a, state: {terminated: {reason: Completed}}}, {name: b, ready: true, state: {running: {}}}]}",
         "1/2 NotReady 0"),
        ("{phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: a, state: {terminated: {reason: Completed}}}, {name: b, ready: true, state: {running: {}}}]}",
         "1/2 Running 0"),
        ("{phase: Pending, initContainerStatuses: [{name: i, state: {running: {}}}]}", "0/2 Init:0/2 0"),
        ("{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 0}}}, {name: j, state: {waiting: {reason: PodInitializing}}}]}", "0/2 Init:1/2 0"),
        ("{phase: Pending, initContainerStatuses: [{name: i, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}}]}", "0/2 Init:CrashLoopBackOff 2"),
        ("{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 1, reason: Error}}}]}", "0/2 Init:Error 0"),
        ("{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 1}}}]}", "0/2 Init:ExitCode:1 0"),
    ],
)  # fmt: skip
def test_pods(status, cells):
    spec = "{containers: [{name: a}, {name: b}], initContainers: [{name: i}, {name: j}]}"
    shown = row("Pod", f"{{metadata: {{name: x}}, spec: {spec}, status: {status}}}")
    assert f"{shown['Ready']} {shown['Status']} {shown['Restarts']}" == cells
    assert shown["Age"] == "60m"


def test_sidecars_count_as_containers():
    text = """{metadata: {name: x}, spec: {containers: [{name: a}], initContainers: [{name: s, restartPolicy: Always}]},
        status: {phase: Running, initContainerStatuses: [{name: s, started: true, ready: true, restartCount: 1, state: {running: {}}}],
        containerStatuses: [{name: a, ready: true, state: {running: {}}}]}}"""
    shown = row("Pod", text)
    assert (shown["Ready"], shown["Restarts"]) == ("2/2", "1")


@pytest.mark.parametrize(
    ("phase", "reason", "shown"),
    [("Running", "", "Terminating"), ("Running", "NodeLost", "Unknown"), ("Succeeded", "", "Succeeded")],
)
def test_pods_that_are_being_deleted(phase, reason, shown):
    text = {
        "metadata": {"name": "x", "deletionTimestamp": "2026-05-01T12:00:00Z"},
        "status": {"phase": phase, "reason": reason},
    }
    assert row("Pod", text)["Status"] == shown


def test_wide_pods():
    text = """{metadata: {name: x}, spec: {nodeName: n, readinessGates: [{conditionType: a/b}, {conditionType: c/d}]},
        status: {podIPs: [{ip: 10.0.0.1}], conditions: [{type: a/b, status: 'True'}]}}"""
    shown = row("Pod", text)
    assert (shown["IP"], shown["Node"], shown["Nominated Node"], shown["Readiness Gates"]) == (
        "10.0.0.1",
        "n",
        "<none>",
        "1/2",
    )


def test_nodes():
    text = """{metadata: {name: x, labels: {node-role.kubernetes.io/control-plane: '', kubernetes.io/role: worker}},
        spec: {unschedulable: true}, status: {conditions: [{type: Ready, status: 'True'}],
        addresses: [{type: InternalIP, address: 10.0.0.1}], nodeInfo: {kubeletVersion: v1.36.0}}}"""
    shown = row("Node", text)
    assert shown["Status"] == "Ready,SchedulingDisabled"
    assert shown["Roles"] == "control-plane,worker"
    assert (shown["Version"], shown["Internal-IP"], shown["External-IP"]) == ("v1.36.0", "10.0.0.1", "<none>")
    assert row("Node", "{metadata: {name: x}}")["Status"] == "Unknown"
    unknown = "{metadata: {name: x}, status: {conditions: [{type: Ready, status: Unknown}]}}"
    assert (row("Node", unknown)["Status"], row("Node", unknown)["Roles"]) == ("NotReady", "<none>")


def test_deployments():
    obj = created("Deployment")
    obj["status"] = {"readyReplicas": 1, "updatedReplicas": 2}
    shown = row("Deployment", obj)
    assert (shown["Ready"], shown["Up-to-date"], shown["Available"]) == ("1/1", 2, 0)
    assert (shown["Containers"], shown["Images"], shown["Selector"]) == ("c", "nginx", "app=x")


@pytest.mark.parametrize(
    ("service", "cells"),
    [
        ("{spec: {type: ClusterIP, clusterIP: 10.0.0.1, ports: [{port: 80, protocol: TCP}]}}", "10.0.0.1 <none> 80/TCP"),
        ("{spec: {type: NodePort, clusterIP: 10.0.0.1, ports: [{port: 80, nodePort: 30080, protocol: TCP}, {port: 53, protocol: UDP}]}}",
         "10.0.0.1 <none> 80:30080/TCP,53/UDP"),
        ("{spec: {type: LoadBalancer, clusterIP: 10.0.0.1, ports: []}}", "10.0.0.1 <pending> <none>"),
        ("{spec: {type: LoadBalancer, clusterIP: 10.0.0.1, externalIPs: [1.1.1.1]}, status: {loadBalancer: {ingress: [{ip: 2.2.2.2}]}}}",
         "10.0.0.1 2.2.2.2,1.1.1.1 <none>"),
        ("{spec: {type: ExternalName, externalName: a.b}}", "<none> a.b <none>"),
        ("{spec: {type: ClusterIP, clusterIP: None, externalIPs: [1.1.1.1]}}", "None 1.1.1.1 <none>"),
    ],
)  # fmt: skip
def test_services(service, cells):
    shown = row("Service", service)
    assert f"{shown['Cluster-IP']} {shown['External-IP']} {shown['Port(s)']}" == cells


@pytest.mark.parametrize(
    ("subsets", "cell"),
    [
        ("[]", "<none>"),
        ("[{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{port: 80}]}]", "10.0.0.1:80,10.0.0.2:80"),
        (
            "[{addresses: [{ip: '1'}, {ip: '2'}, {ip: '3'}, {ip: '4'}, {ip: '5'}], ports: [{port: 80}]}]",
            "1:80,2:80,3:80 + 2 more...",
        ),
        ("[{addresses: [{ip: 10.0.0.1}]}]", "10.0.0.1"),
        ("[{addresses: [{ip: '::1'}], ports: [{port: 80}]}]", "[::1]:80"),
        ("[{notReadyAddresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]", "<none>"),
    ],
)
def test_endpoints(subsets, cell):
    assert row("Endpoints", f"{{subsets: {subsets}}}")["Endpoints"] == cell


def test_events_in_both_forms():
    core = """{metadata: {name: e}, involvedObject: {kind: Pod, name: p, fieldPath: 'spec.containers{c}'}, type: Warning, reason: Failed,
        message: ' it failed ', source: {component: kubelet, host: n}, firstTimestamp: '2026-05-01T12:00:00Z',
        lastTimestamp: '2026-05-01T12:59:00Z', count: 4}"""
    shown = row("Event", core)
    assert shown == {
        "Last Seen": "60s", "Type": "Warning", "Reason": "Failed", "Object": "pod/p", "Subobject": "spec.containers{c}",
        "Source": "kubelet, n", "Message": "it failed", "First Seen": "60m", "Count": 4, "Name": "e",
    }  # fmt: skip
    new = resource("Event", "events.k8s.io/v1")
    converted = new.conversion.from_stored(loaded(core))
    assert converted["regarding"]["name"] == "p"
    assert to_table(new, [converted], NOW)["rows"][0]["cells"][2:4] == ["Failed", "pod/p"]
    back = new.conversion.to_stored(converted)
    assert back == {**loaded(core), "apiVersion": "v1"}


def test_events_with_only_an_event_time():
    shown = row(
        "Event", "{metadata: {name: e}, eventTime: '2026-05-01T12:30:00.000000Z', involvedObject: {kind: Pod, name: p}}"
    )
    assert (shown["Last Seen"], shown["Count"]) == ("30m", 1)


class TestForm:
    def test_how_much_of_the_object_a_row_carries(self):
        obj = created("ConfigMap")

        def carried(include: str) -> object:
            return to_table(resource("ConfigMap"), [obj], NOW, include)["rows"][0].get("object")

        meta = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
        assert (carried("Metadata"), carried(""), carried("Object"), carried("None")) == (meta, meta, obj, None)
        with pytest.raises(ApiError):
            carried("Everything")

    def test_list_metadata_is_passed_on(self):
        table = to_table(resource("ConfigMap"), [], NOW, list_meta={"resourceVersion": "7"})
        assert (table["kind"], table["apiVersion"], table["metadata"]) == (
            "Table",
            "meta.k8s.io/v1",
            {"resourceVersion": "7"},
        )
        assert table["rows"] == []
