# ruff: noqa: E501 - a table reads best with one case a line
"""What is refused, with which causes; and that all causes are told."""

import pytest

from actors.api.errors import ApiError
from tests.actors.apiserver.machinery.objects import created, refused


def pod(spec: str = "", container: str = "", metadata: str = "name: x") -> str:
    more = f", {spec}" if spec else ""
    inner = f", {container}" if container else ""
    return f"{{metadata: {{{metadata}}}, spec: {{containers: [{{name: c, image: i{inner}}}]{more}}}}}"


@pytest.mark.parametrize(
    ("metadata", "field", "said"),
    [
        ("generateName: ''", "metadata.name", "Required value: name or generateName is required"),
        ("name: X", "metadata.name", 'Invalid value: "X": a lowercase RFC 1123 subdomain must consist of'),
        (f"name: {'a' * 254}", "metadata.name", "must be no more than 253 bytes"),
        ("generateName: '-x'", "metadata.generateName", "RFC 1123"),
        ("name: x, labels: {'a b': c}", "metadata.labels", "name part must consist of alphanumeric characters"),
        ("name: x, labels: {a: 'b c'}", "metadata.labels", "a valid label must be an empty string or consist of"),
        (f"name: x, labels: {{a: {'b' * 64}}}", "metadata.labels", "must be no more than 63 bytes"),
        ("name: x, labels: {a/b/c: d}", "metadata.labels", "a qualified name"),
        ("name: x, annotations: {'': x}", "metadata.annotations", "name part must be non-empty"),
        (f"name: x, annotations: {{a: {'b' * 262144}}}", "metadata.annotations", "Too long: may not be more than 262144 bytes"),
        ("name: x, finalizers: [plain]", "metadata.finalizers[0]", "neither a standard finalizer name"),
        ("name: x, finalizers: [orphan, foregroundDeletion]", "metadata.finalizers", "cannot be both set"),
        ("name: x, ownerReferences: [{kind: A, name: b, uid: c}]", "metadata.ownerReferences[0].apiVersion", "must not be empty"),
        ("name: x, ownerReferences: [{apiVersion: v1, kind: A, name: b, uid: c, controller: true}, {apiVersion: v1, kind: A, name: d, uid: e, controller: true}]",
         "metadata.ownerReferences", 'Only one reference can have Controller set to true. Found "true" in references for b and d'),
    ],
)  # fmt: skip
def test_metadata(metadata, field, said):
    assert said in refused("Pod", pod(metadata=metadata))[field]


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        ("restartPolicy: Sometimes", "spec.restartPolicy", 'Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"'),
        ("dnsPolicy: X", "spec.dnsPolicy", "Unsupported value"),
        ("dnsPolicy: None", "spec.dnsConfig.nameservers", "Required value"),
        ("terminationGracePeriodSeconds: -1", "spec.terminationGracePeriodSeconds", "must be greater than or equal to 0"),
        ("activeDeadlineSeconds: 0", "spec.activeDeadlineSeconds", "must be between 1 and 2147483647, inclusive"),
        ("nodeSelector: {a b: c}", "spec.nodeSelector", "name part must consist of"),
        ("nodeName: A_B", "spec.nodeName", "RFC 1123 subdomain"),
        ("hostname: a.b", "spec.hostname", "RFC 1123 label"),
        ("volumes: [{name: A}]", "spec.volumes[0].name", "RFC 1123 label"),
        ("volumes: [{name: a}, {name: a}]", "spec.volumes[1].name", 'Duplicate value: "a"'),
        ("volumes: [{name: a, emptyDir: {}, hostPath: {path: /}}]", "spec.volumes[0].hostPath", "Forbidden: may not specify more than 1 volume type"),
        ("volumes: [{name: a, secret: {}}]", "spec.volumes[0].secret.secretName", "Required value"),
        ("volumes: [{name: a, image: {}}]", "spec.volumes[0].image.reference", "Required value"),
        ("volumes: [{name: a, image: {reference: x, pullPolicy: Often}}]", "spec.volumes[0].image.pullPolicy", 'Unsupported value: "Often"'),
        ("volumes: [{name: a, configMap: {name: x, items: [{key: k, path: ../x}]}}]", "spec.volumes[0].configMap.items[0].path", "must not contain '..'"),
        ("volumes: [{name: a, configMap: {name: x, defaultMode: 512}}]", "spec.volumes[0].configMap.defaultMode", "between 0 and 0777"),
        ("volumes: [{name: a, projected: {sources: [{serviceAccountToken: {path: t, expirationSeconds: 1}}]}}]", "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds", "10 minutes"),
        ("tolerations: [{operator: Equal, value: x}]", "spec.tolerations[0].operator", "operator must be Exists when `key` is empty"),
        ("tolerations: [{key: a, operator: Exists, value: x}]", "spec.tolerations[0].operator", "value must be empty"),
        ("tolerations: [{key: a, effect: Explode}]", "spec.tolerations[0].effect", "Unsupported value"),
        ("tolerations: [{key: a, effect: NoSchedule, tolerationSeconds: 1}]", "spec.tolerations[0].effect", "effect must be 'NoExecute'"),
        ("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}",
         "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms", "Required value"),
        ("affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {}, topologyKey: ''}]}}",
         "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey", "can not be empty"),
        ("topologySpreadConstraints: [{maxSkew: 0, topologyKey: a, whenUnsatisfiable: DoNotSchedule}]", "spec.topologySpreadConstraints[0].maxSkew", "greater than zero"),
        ("securityContext: {runAsUser: -1}", "spec.securityContext.runAsUser", "between 0 and 2147483647"),
        ("hostAliases: [{ip: x}]", "spec.hostAliases[0].ip", "must be a valid IP address"),
        ("imagePullSecrets: [{}]", "spec.imagePullSecrets[0].name", "Required value"),
        ("initContainers: [{name: c, image: i}]", "spec.initContainers[0].name", 'Duplicate value: "c"'),
        ("initContainers: [{name: d, image: i, livenessProbe: {exec: {command: [a]}}}]", "spec.initContainers[0].livenessProbe", "may not be set for init containers"),
    ],
)  # fmt: skip
def test_pod_specs(spec, field, said):
    assert said in refused("Pod", pod(spec))[field]


@pytest.mark.parametrize(
    ("container", "field", "said"),
    [
        ("imagePullPolicy: X", "imagePullPolicy", "Unsupported value"),
        ("volumeMounts: [{name: a, mountPath: /a, recursiveReadOnly: Enabled}]", "volumeMounts[0].recursiveReadOnly", "may only be specified when readOnly is true"),
        ("ports: [{containerPort: 0}]", "ports[0].containerPort", "Required value"),
        ("ports: [{containerPort: 65536}]", "ports[0].containerPort", "must be between 1 and 65535, inclusive"),
        ("ports: [{containerPort: 1, protocol: X}]", "ports[0].protocol", 'supported values: "SCTP", "TCP", "UDP"'),
        ("ports: [{containerPort: 1, name: a}, {containerPort: 2, name: a}]", "ports[1].name", "Duplicate value"),
        ("ports: [{containerPort: 1, name: sixteen-letters-}]", "ports[0].name", "must be no more than 15 characters"),
        ("ports: [{containerPort: 1, hostPort: 1}, {containerPort: 2, hostPort: 1}]", "ports[1].hostPort", "Duplicate value"),
        *(
            (f"livenessProbe: {{httpGet: {{port: 1, httpHeaders: [{{name: '{name}', value: v}}]}}}}",
             "livenessProbe.httpGet.httpHeaders[0].name", "a valid HTTP header must consist of alphanumeric characters or '-'")
            for name in ("", "a_b", "é", "a b")
        ),
        ("env: [{value: x}]", "env[0].name", "Required value"),
        ("env: [{name: a=b}]", "env[0].name", "environment variable name"),
        ("env: [{name: a, valueFrom: {fileKeyRef: {volumeName: v, path: f}}}]", "env[0].valueFrom.fileKeyRef.key", "Required value"),
        ("env: [{name: a, valueFrom: {fileKeyRef: {volumeName: v, path: f, key: k}}}]", "env[0].valueFrom.fileKeyRef.volumeName", 'Not found: "v"'),
        ("env: [{name: a, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]", "env[0].valueFrom", "may not be specified when `value` is not empty"),
        ("env: [{name: a, valueFrom: {fieldRef: {fieldPath: metadata.nope}}}]", "env[0].valueFrom.fieldRef.fieldPath", "Unsupported value"),
        ("env: [{name: a, valueFrom: {secretKeyRef: {name: x}}}]", "env[0].valueFrom.secretKeyRef.key", "Required value"),
        ("envFrom: [{}]", "envFrom[0]", "must specify one of"),
        ("volumeMounts: [{name: missing, mountPath: /x}]", "volumeMounts[0].name", 'Not found: "missing"'),
        ("volumeMounts: [{name: missing}]", "volumeMounts[0].mountPath", "Required value"),
        ("resources: {requests: {cpu: '2'}, limits: {cpu: '1'}}", "resources.requests", 'Invalid value: "2": must be less than or equal to cpu limit of 1'),
        ("resources: {limits: {cpu: '-1'}}", "resources.limits[cpu]", "must be greater than or equal to 0"),
        ("resources: {limits: {teapots: '1'}}", "resources.limits[teapots]", "must be a standard resource"),
        ("resources: {limits: {x.y/z: 500m}}", "resources.limits[x.y/z]", "must be an integer"),
        ("resources: {requests: {x.y/z: '1'}}", "resources.limits", "Limit must be set for non overcommitable resources"),
        ("livenessProbe: {}", "livenessProbe", "must specify a handler type"),
        ("livenessProbe: {exec: {command: [a]}, httpGet: {port: 1}}", "livenessProbe.httpGet", "may not specify more than 1 handler type"),
        ("livenessProbe: {httpGet: {port: 0}}", "livenessProbe.httpGet.port", "must be between 1 and 65535"),
        ("livenessProbe: {tcpSocket: {port: 'A_B'}}", "livenessProbe.tcpSocket.port", "alpha-numeric characters (a-z, 0-9)"),
        ("livenessProbe: {exec: {command: [a]}, successThreshold: 2}", "livenessProbe.successThreshold", "must be 1"),
        ("livenessProbe: {exec: {command: [a]}, initialDelaySeconds: -1}", "livenessProbe.initialDelaySeconds", "greater than or equal to 0"),
        ("securityContext: {privileged: true, allowPrivilegeEscalation: false}", "securityContext", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"),
        ("terminationMessagePolicy: X", "terminationMessagePolicy", "Unsupported value"),
    ],
)  # fmt: skip
def test_containers(container, field, said):
    assert said in refused("Pod", pod(container=container))[f"spec.containers[0].{field}"]


def test_all_causes_are_told_at_once():
    text = "{metadata: {name: X}, spec: {restartPolicy: Nope, containers: [{image: i}, {name: b, ports: [{containerPort: -1}]}]}}"
    assert set(refused("Pod", text)) == {
        "metadata.name",
        "spec.restartPolicy",
        "spec.containers[0].name",
        "spec.containers[1].image",
        "spec.containers[1].ports[0].containerPort",
    }


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("Pod", "{metadata: {name: x}, spec: {containers: [{name: c}]}}",
         'Pod "x" is invalid: spec.containers[0].image: Required value'),
        ("Pod", "{metadata: {name: x}}", 'Pod "x" is invalid: spec.containers: Required value'),
        ("Pod", "{metadata: {generateName: x-}, spec: {}}", 'Pod "x-" is invalid: spec.containers: Required value'),
        ("Deployment", "{metadata: {name: x}}",
         'Deployment.apps "x" is invalid: [spec.selector: Required value, spec.template.metadata.labels: Invalid value: '
         "null: `selector` does not match template `labels`, spec.template.spec.containers: Required value]"),
    ],
)  # fmt: skip
def test_the_message(kind, text, message):
    with pytest.raises(ApiError) as caught:
        created(kind, text)
    assert caught.value.message == message


def deployment(spec: str, labels: str = "{a: b}") -> str:
    return f"""{{metadata: {{name: x}}, spec: {{selector: {{matchLabels: {{a: b}}}},
        template: {{metadata: {{labels: {labels}}}, spec: {{containers: [{{name: c, image: i}}]}}}}, {spec}}}}}"""


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        (deployment("replicas: -1"), "spec.replicas", "greater than or equal to 0"),
        (deployment("", "{c: d}"), "spec.template.metadata.labels", "`selector` does not match template `labels`"),
        (deployment("selector: {}"), "spec.selector", "empty selector is invalid for deployment"),
        (deployment("selector: {matchExpressions: [{key: a, operator: In}]}"), "spec.selector.matchExpressions[0].values", "Required value"),
        (deployment("strategy: {type: X}"), "spec.strategy.type", "Unsupported value"),
        (deployment("strategy: {type: Recreate, rollingUpdate: {}}"), "spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"),
        (deployment("strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}"), "spec.strategy.rollingUpdate.maxUnavailable", "may not be 0 when `maxSurge` is 0"),
        (deployment("strategy: {rollingUpdate: {maxUnavailable: 101%}}"), "spec.strategy.rollingUpdate.maxUnavailable", "must not be greater than 100%"),
        (deployment("strategy: {rollingUpdate: {maxSurge: x}}"), "spec.strategy.rollingUpdate.maxSurge", "percent"),
        (deployment("minReadySeconds: 600"), "spec.progressDeadlineSeconds", "must be greater than minReadySeconds"),
        (deployment("template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}"),
         "spec.template.spec.restartPolicy", 'Unsupported value: "Never": supported values: "Always"'),
        (deployment("template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c}]}}"), "spec.template.spec.containers[0].image", "Required value"),
    ],
)  # fmt: skip
def test_deployments(text, field, said):
    assert said in refused("Deployment", text)[field]


@pytest.mark.parametrize(
    ("spec", "field", "said"),
    [
        ("{}", "spec.ports", "Required value"),
        ("{type: X, ports: [{port: 1}]}", "spec.type", "Unsupported value"),
        ("{ports: [{port: 1}, {port: 2, name: a}]}", "spec.ports[0].name", "Required value"),
        ("{ports: [{port: 1, name: a}, {port: 2, name: a}]}", "spec.ports[1].name", "Duplicate value"),
        ("{ports: [{port: 1, name: a}, {port: 1, name: b}]}", "spec.ports[1]", "Duplicate value"),
        ("{ports: [{port: 0}]}", "spec.ports[0].port", "must be between 1 and 65535"),
        ("{ports: [{port: 1, targetPort: A_B}]}", "spec.ports[0].targetPort", "alpha-numeric"),
        ("{ports: [{port: 1, nodePort: 30000}]}", "spec.ports[0].nodePort", "may not be used when `type` is 'ClusterIP'"),
        ("{type: NodePort, clusterIP: None, ports: [{port: 1}]}", "spec.clusterIPs[0]", "may not be set to 'None' for NodePort services"),
        ("{clusterIP: nope, ports: [{port: 1}]}", "spec.clusterIPs[0]", "must be a valid IP address"),
        ("{clusterIP: 10.0.0.1, clusterIPs: [10.0.0.2], ports: [{port: 1}]}", "spec.clusterIPs", "first value must match `clusterIP`"),
        ("{type: ExternalName}", "spec.externalName", "Required value"),
        ("{type: ExternalName, externalName: a.b, clusterIP: 10.0.0.1}", "spec.clusterIP", "may not be set for ExternalName services"),
        ("{sessionAffinity: X, ports: [{port: 1}]}", "spec.sessionAffinity", "Unsupported value"),
        ("{ipFamilyPolicy: RequireDualStack, ports: [{port: 1}]}", "spec.ipFamilyPolicy", "not configured for dual-stack"),
        ("{externalTrafficPolicy: Local, ports: [{port: 1}]}", "spec.externalTrafficPolicy", "externally-accessible"),
        ("{selector: {a b: c}, ports: [{port: 1}]}", "spec.selector", "name part"),
    ],
)  # fmt: skip
def test_services(spec, field, said):
    assert said in refused("Service", f"{{metadata: {{name: x}}, spec: {spec}}}")[field]


@pytest.mark.parametrize(
    ("kind", "text", "field", "said"),
    [
        ("Service", "{metadata: {name: 1x}, spec: {ports: [{port: 1}]}}", "metadata.name", "DNS-1035 label"),
        ("Namespace", "{metadata: {name: a.b}}", "metadata.name", "RFC 1123 label"),
        ("Namespace", "{metadata: {name: a, namespace: b}}", "metadata.namespace", "not allowed on this type"),
        ("ConfigMap", "{metadata: {name: x}, data: {a b: c}}", "data[a b]", "a valid config key must consist of"),
        ("ConfigMap", "{metadata: {name: x}, data: {a: ''}, binaryData: {a: ''}}", "data[a]", "duplicate of key present in binaryData"),
        ("ConfigMap", {"metadata": {"name": "x"}, "data": {"a": "x" * (1 << 20), "b": "x"}}, "", "Too long"),
        ("Secret", "{metadata: {name: x}, data: {..a: ''}}", "data[..a]", "must not start with '..'"),
        ("Secret", "{metadata: {name: x}, type: kubernetes.io/tls}", "data[tls.crt]", "Required value"),
        ("Secret", "{metadata: {name: x}, type: kubernetes.io/dockerconfigjson, data: {.dockerconfigjson: e3s=}}", "data[.dockerconfigjson]", "<secret contents redacted>"),
        ("Secret", "{metadata: {name: x}, type: kubernetes.io/service-account-token}", "metadata.annotations[kubernetes.io/service-account.name]", "Required value"),
        ("Node", "{metadata: {name: x}, spec: {taints: [{key: a, effect: X}]}}", "spec.taints[0].effect", "Unsupported value"),
        ("Node", "{metadata: {name: x}, spec: {podCIDR: x}}", "spec.podCIDRs[0]", "must be a valid CIDR"),
        ("Lease", "{metadata: {name: x}, spec: {leaseDurationSeconds: 0}}", "spec.leaseDurationSeconds", "must be greater than 0"),
        ("Role", "{metadata: {name: x}, rules: [{apiGroups: [''], resources: [pods]}]}", "rules[0].verbs", "verbs must contain at least one value"),
        ("Role", "{metadata: {name: x}, rules: [{nonResourceURLs: [/x], verbs: [get]}]}", "rules[0].nonResourceURLs", "namespaced rules cannot apply"),
        ("Role", "{metadata: {name: x}, rules: [{verbs: [get]}]}", "rules[0].resources", "Required value"),
        ("Role", "{metadata: {name: a/b}}", "metadata.name", "may not contain '/'"),
        ("ClusterRoleBinding", "{metadata: {name: x}, roleRef: {kind: Role, name: r}}", "roleRef.kind", 'supported values: "ClusterRole"'),
        ("RoleBinding", "{metadata: {name: x}, roleRef: {kind: Role, name: r}, subjects: [{kind: ServiceAccount, name: s}]}", "subjects[0].namespace", "Required value"),
        ("RoleBinding", "{metadata: {name: x}}", "roleRef", "Required value"),
        ("Endpoints", "{metadata: {name: x}, subsets: [{addresses: [{ip: 127.0.0.1}]}]}", "subsets[0].addresses[0].ip", "loopback"),
        ("EndpointSlice", "{metadata: {name: x}, endpoints: []}", "addressType", "Required value"),
        ("EndpointSlice", "{metadata: {name: x}, addressType: IPv4, endpoints: [{addresses: ['::2']}]}", "endpoints[0].addresses[0]", "must be an IPv4 address"),
        ("Event", "{metadata: {name: x}, involvedObject: {namespace: other}}", "involvedObject.namespace", "does not match event.namespace"),
    ],
)  # fmt: skip
def test_other_kinds(kind, text, field, said):
    found = refused(kind, text)
    assert said in found[field], found


@pytest.mark.parametrize("name", ["system:node", "admin:x", "a.B_c"])
def test_rbac_names_are_free(name):
    assert created("ClusterRole", {"metadata": {"name": name}})["metadata"]["name"] == name


def test_a_generate_name_may_end_in_a_dash():
    assert created("Pod", pod(metadata="generateName: web-"))["metadata"]["generateName"] == "web-"


@pytest.mark.parametrize(
    "text",
    [
        {"metadata": {"name": "x", "labels": {"a" * 3_000_000: "b"}}},
        {"metadata": {"name": "x", "labels": {"a": "-" * 3_000_000}}},
        {"metadata": {"name": "a" * 3_000_000 + "!"}},
        {"metadata": {"name": "a." * 1_500_000}},
        {"metadata": {"name": "x", "ownerReferences": [{"controller": True}] * 20_000}},
        {"metadata": {"name": "x", "finalizers": ["y"] * 100_000}},
        {"metadata": {"name": "x"}, "spec": {"containers": [{}] * 20_000}},
        {"metadata": {"name": "x"}, "spec": {"tolerations": [{}] * 50_000, "containers": []}},
    ],
    ids=lambda text: ",".join(text["metadata"]),
)
def test_however_large_the_answer_comes(text):
    assert refused("Pod", text)


@pytest.mark.parametrize("amount", ["9" * 5000 + "%", "9" * 5000])
def test_numbers_of_any_length(amount):
    found = refused("Deployment", deployment(f"strategy: {{rollingUpdate: {{maxSurge: '{amount}'}}}}"))
    assert "percent" in found["spec.strategy.rollingUpdate.maxSurge"]


def test_init_containers_may_use_the_same_port_of_the_node_one_after_the_other():
    init = "{{name: {0}, image: i, ports: [{{containerPort: 1, hostPort: 1}}]}}"
    created("Pod", pod(f"initContainers: [{init.format('a')}, {init.format('b')}]"))
