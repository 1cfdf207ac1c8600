# ruff: noqa: E501 - a table reads best with one case a line
"""Defaults, as Kubernetes documents them."""

import base64

import pytest

from actors.apiserver.machinery.kinds.pod_defaults import pull_policy
from tests.actors.apiserver.machinery.objects import created, decoded, loaded, resource


def defaulted(kind: str, text: str) -> dict:
    obj = decoded(kind, text)
    resource(kind).strategy.default(obj)
    once = loaded(obj)
    resource(kind).strategy.default(obj)
    assert obj == once, "defaults are idempotent"
    return obj


def test_a_minimal_pod():
    assert defaulted("Pod", "")["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "busybox:1.36",
                "imagePullPolicy": "IfNotPresent",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {},
        "enableServiceLinks": True,
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"), ("nginx:latest", "Always"), ("nginx:1.27", "IfNotPresent"),
        ("registry:5000/nginx", "Always"), ("registry:5000/a/nginx:2", "IfNotPresent"),
        ("nginx@sha256:" + "0" * 64, "IfNotPresent"), ("nginx:latest@sha256:" + "0" * 64, "Always"), ("", "Always"),
    ],
)  # fmt: skip
def test_pull_policy(image, policy):
    assert pull_policy(image) == policy


def test_a_template_does_not_say_which_ports_of_a_node_its_pods_take():
    ports = "{hostNetwork: true, containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}"
    pod = defaulted("Pod", f"{{metadata: {{name: x}}, spec: {ports}}}")
    assert pod["spec"]["containers"][0]["ports"][0]["hostPort"] == 80
    template = f"template: {{metadata: {{labels: {{a: b}}}}, spec: {ports}}}"
    made = defaulted(
        "DaemonSet", f"{{metadata: {{name: x}}, spec: {{selector: {{matchLabels: {{a: b}}}}, {template}}}}}"
    )
    assert "hostPort" not in made["spec"]["template"]["spec"]["containers"][0]["ports"][0]


def test_the_parts_of_a_pod():
    spec = defaulted(
        "Pod",
        """
        metadata: {name: x}
        spec:
          serviceAccount: old-name
          hostNetwork: true
          volumes:
          - {name: nothing}
          - {name: s, secret: {secretName: x}}
          - {name: c, configMap: {name: x}}
          - {name: h, hostPath: {path: /}}
          - {name: d, downwardAPI: {items: [{path: p, fieldRef: {fieldPath: metadata.name}}]}}
          - {name: p, projected: {sources: [{serviceAccountToken: {path: t}}]}}
          containers:
          - name: c
            image: i
            ports: [{containerPort: 80}]
            env:
            - {name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: B, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
            livenessProbe: {httpGet: {port: 80}}
            readinessProbe: {grpc: {port: 80}, periodSeconds: 3}
            lifecycle: {preStop: {httpGet: {port: 80}}}
            resources: {limits: {cpu: '1', memory: 1Gi}, requests: {cpu: 500m}}
        """,
    )["spec"]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("old-name", "old-name")
    assert {volume["name"]: {k: v for k, v in volume.items() if k != "name"} for volume in spec["volumes"]} == {
        "nothing": {"emptyDir": {}},
        "s": {"secret": {"secretName": "x", "defaultMode": 420}},
        "c": {"configMap": {"name": "x", "defaultMode": 420}},
        "h": {"hostPath": {"path": "/", "type": ""}},
        "d": {
            "downwardAPI": {
                "defaultMode": 420,
                "items": [{"path": "p", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}],
            }
        },
        "p": {
            "projected": {
                "defaultMode": 420,
                "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
            }
        },
    }
    container = spec["containers"][0]
    assert container["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]
    assert container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert container["env"][1]["valueFrom"]["resourceFieldRef"]["divisor"] == "0"
    assert container["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
    }  # fmt: skip
    assert container["readinessProbe"]["periodSeconds"] == 3
    assert container["readinessProbe"]["grpc"] == {"port": 80, "service": ""}
    assert container["lifecycle"]["preStop"]["httpGet"] == {"port": 80, "path": "/", "scheme": "HTTP"}
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}


def test_a_deployment():
    obj = created("Deployment")
    spec = obj["spec"]
    assert {k: v for k, v in spec.items() if k not in ("selector", "template")} == {
        "replicas": 1,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    }
    assert "enableServiceLinks" not in spec["template"]["spec"]
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    assert (obj["metadata"]["generation"], obj["status"]) == (1, {})


def test_recreate_has_no_rolling_update():
    text = """{metadata: {name: x}, spec: {strategy: {type: Recreate}, selector: {matchLabels: {a: b}},
        template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}"""
    assert created("Deployment", text)["spec"]["strategy"] == {"type": "Recreate"}


def test_a_replication_controller_takes_its_labels_from_its_template():
    obj = defaulted(
        "ReplicationController",
        "{metadata: {name: x}, spec: {template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}",
    )
    assert (obj["spec"]["selector"], obj["metadata"]["labels"], obj["spec"]["replicas"]) == ({"a": "b"}, {"a": "b"}, 1)


def test_services():
    spec = created("Service")["spec"]
    assert spec == {
        "selector": {"app": "x"},
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ipFamilyPolicy": "SingleStack",
        "ipFamilies": ["IPv4"],
    }
    balancer = created(
        "Service", "{metadata: {name: x}, spec: {type: LoadBalancer, sessionAffinity: ClientIP, ports: [{port: 1}]}}"
    )
    assert balancer["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    assert balancer["spec"]["externalTrafficPolicy"] == "Cluster"
    assert balancer["spec"]["allocateLoadBalancerNodePorts"] is True
    assert balancer["status"] == {"loadBalancer": {}}
    external = created("Service", "{metadata: {name: x}, spec: {type: ExternalName, externalName: example.com}}")
    assert external["spec"] == {"type": "ExternalName", "externalName": "example.com", "sessionAffinity": "None"}


def test_a_given_cluster_ip_fills_the_list():
    spec = created("Service", "{metadata: {name: x}, spec: {clusterIP: 10.96.0.10, ports: [{port: 53}]}}")["spec"]
    assert spec["clusterIPs"] == ["10.96.0.10"]
    headless = created("Service", "{metadata: {name: x}, spec: {clusterIP: None, selector: {a: b}}}")["spec"]
    assert headless["clusterIPs"] == ["None"]


def test_secrets():
    obj = created("Secret", "{metadata: {name: x}, data: {a: djE=, b: djE=}, stringData: {b: two}}")
    assert obj["type"] == "Opaque"
    assert obj["data"] == {"a": "djE=", "b": base64.b64encode(b"two").decode()}
    assert "stringData" not in obj


def test_namespaces():
    obj = created("Namespace")
    assert obj["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}
    assert (obj["spec"], obj["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
    other = created("Namespace", "{metadata: {name: x, labels: {kubernetes.io/metadata.name: y, a: b}}}")
    assert other["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x", "a": "b"}


def test_nodes_keep_their_status():
    obj = created("Node", "{metadata: {name: x}, spec: {podCIDR: 10.0.0.0/24}, status: {capacity: {cpu: '4'}}}")
    assert obj["status"] == {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "4"}}
    assert obj["spec"]["podCIDRs"] == ["10.0.0.0/24"]


def test_role_bindings():
    obj = created(
        "RoleBinding",
        """{metadata: {name: x}, roleRef: {kind: Role, name: r}, subjects: [{kind: User, name: u},
            {kind: ServiceAccount, name: s, namespace: n}]}""",
    )
    assert obj["roleRef"]["apiGroup"] == obj["subjects"][0]["apiGroup"] == "rbac.authorization.k8s.io"
    assert "apiGroup" not in obj["subjects"][1]


def test_endpoint_slices():
    obj = created("EndpointSlice", "{metadata: {name: x}, addressType: IPv4, ports: [{port: 80}]}")
    assert (obj["ports"], obj["endpoints"]) == ([{"port": 80, "name": "", "protocol": "TCP"}], [])


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        (["{}"], "BestEffort"),
        (["{requests: {cpu: 1m}}"], "Burstable"),
        (["{limits: {cpu: '1', memory: 1Gi}}"], "Guaranteed"),
        (["{limits: {cpu: '1', memory: 1Gi}, requests: {cpu: 1000m}}"], "Guaranteed"),
        (["{limits: {cpu: '1', memory: 1Gi}, requests: {cpu: 500m}}"], "Burstable"),
        (["{limits: {cpu: '1'}}"], "Burstable"),
        (["{limits: {cpu: '1', memory: 1Gi}}", "{}"], "Burstable"),
        (["{requests: {x.y/z: 1}, limits: {x.y/z: 1}}"], "BestEffort"),
    ],
)
def test_quality_of_service(resources, qos):
    containers = ", ".join(f"{{name: c{i}, image: i, resources: {r}}}" for i, r in enumerate(resources))
    pod = created("Pod", f"{{metadata: {{name: x}}, spec: {{containers: [{containers}]}}}}")
    assert pod["status"] == {"phase": "Pending", "qosClass": qos}


@pytest.mark.parametrize(
    ("whole", "requests", "qos"),
    [
        ("{limits: {cpu: '1', memory: 1Gi}}", {"cpu": "200m", "memory": "1Gi"}, "Burstable"),
        ("{limits: {memory: 1Gi}, requests: {memory: 1Gi, cpu: '1'}}", {"cpu": "1", "memory": "1Gi"}, "Burstable"),
        ("{limits: {cpu: 200m, memory: 1Gi}}", {"cpu": "200m", "memory": "1Gi"}, "Guaranteed"),
        ("{requests: {memory: 1Gi}}", {"memory": "1Gi"}, "Burstable"),
    ],
)
def test_resources_of_the_whole_pod(whole, requests, qos):
    containers = "[{name: a, image: i, resources: {requests: {cpu: 200m}}}, {name: b, image: i}]"
    pod = created("Pod", f"{{metadata: {{name: x}}, spec: {{resources: {whole}, containers: {containers}}}}}")
    assert pod["spec"]["resources"]["requests"] == requests
    assert pod["status"]["qosClass"] == qos


def test_the_creators_status_is_dropped():
    text = "{metadata: {name: x}, spec: {containers: [{name: c, image: i}]}, status: {phase: Running}}"
    assert created("Pod", text)["status"]["phase"] == "Pending"


def test_an_empty_request_for_devices():
    requests = "{spec: {devices: {requests: [{name: a, exactly: {}}]}}}"
    request = defaulted("ResourceClaim", requests)["spec"]["devices"]["requests"][0]
    assert request["exactly"] == {"allocationMode": "ExactCount", "count": 1}
