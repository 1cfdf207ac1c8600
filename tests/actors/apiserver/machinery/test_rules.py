"""Rules of fields, kind by kind: a spec that breaks one is refused by the field's path and in Kubernetes' words."""

import pytest

from actors.api.errors import ApiError
from tests.actors.apiserver.machinery.objects import causes, created, loaded, refused, updated

CONTAINER = "spec.containers[0]"


def of_file(path: str, key: str) -> str:
    return f"env: [{{name: a, valueFrom: {{fileKeyRef: {{volumeName: v, path: {path}, key: {key}}}}}}}]"


PODS = [  # what is added to the container, to the pod's spec; the field, what is said
    ("resources: {limits: {hugepages-2Mi: 4Mi}}", "", f"{CONTAINER}.resources", "HugePages require cpu or memory"),
    ("resources: {limits: {hugepages-2Mi: 3Mi, cpu: 1}}", "", f"{CONTAINER}.resources.limits[hugepages-2Mi]",
     "3Mi is not positive integer multiple of hugepages-2Mi"),
    ("resources: {limits: {example.com/gpu: 1.5}}", "", f"{CONTAINER}.resources.limits[example.com/gpu]",
     "must be an integer"),
    ("resources: {claims: [{name: x}]}", "resourceClaims: [{name: y, resourceClaimName: z}]",
     f"{CONTAINER}.resources.claims[0]", 'Not found: "x": must be one of the names in pod.spec.resourceClaims: y'),
    ("resizePolicy: [{resourceName: gpu, restartPolicy: NotRequired}]", "",
     f"{CONTAINER}.resizePolicy[0].resourceName", 'Unsupported value: "gpu"'),
    ("env: [{name: a, valueFrom: {resourceFieldRef: {resource: limits.x}}}]", "",
     f"{CONTAINER}.env[0].valueFrom.resourceFieldRef.resource", "Unsupported value"),
    (of_file("f", "k"), "volumes: [{name: v, secret: {secretName: s}}]",
     f"{CONTAINER}.env[0].valueFrom.fileKeyRef.volumeName", "must be a volume of type emptyDir"),
    (of_file("/f", "k"), "volumes: [{name: v, emptyDir: {}}]",
     f"{CONTAINER}.env[0].valueFrom.fileKeyRef.path", "must be a relative path"),
    (of_file("a/../../f", "k"), "volumes: [{name: v, emptyDir: {}}]",
     f"{CONTAINER}.env[0].valueFrom.fileKeyRef.path", "must not contain '..'"),
    (of_file("..f", "k"), "volumes: [{name: v, emptyDir: {}}]",
     f"{CONTAINER}.env[0].valueFrom.fileKeyRef.path", "must not start with '..'"),
    (of_file("f", "k="), "volumes: [{name: v, emptyDir: {}}]",
     f"{CONTAINER}.env[0].valueFrom.fileKeyRef.key", "other than '='"),
    ("envFrom: [{prefix: 'a=', configMapRef: {name: a}}]", "", f"{CONTAINER}.envFrom[0].prefix", "other than '='"),
    ("ports: [{containerPort: 1, hostPort: 2}]", "hostNetwork: true", f"{CONTAINER}.ports[0].hostPort",
     "must match `containerPort` when `hostNetwork` is true"),
    ("volumeMounts: [{name: v, mountPath: /a, mountPropagation: Bidirectional}]", "volumes: [{name: v, emptyDir: {}}]",
     f"{CONTAINER}.volumeMounts[0].mountPropagation", "available only to privileged containers"),
    ("volumeDevices: [{name: v, devicePath: /a}]", "volumes: [{name: v, emptyDir: {}}]",
     f"{CONTAINER}.volumeDevices[0].name", "PersistentVolumeClaim or Ephemeral for block mode"),
    ("lifecycle: {preStop: {sleep: {seconds: 31}}}", "", f"{CONTAINER}.lifecycle.preStop.sleep", "Seconds (30)"),
    ("resources: {requests: {cpu: 2}}", "resources: {requests: {cpu: 1500m}}", "spec.resources.requests[cpu]",
     "must be greater than or equal to aggregate container requests of 2"),
    ("resources: {limits: {memory: 2Gi}}", "resources: {limits: {memory: 1Gi}}",
     f"{CONTAINER}.resources.limits[memory]", "must be less than or equal to pod limits of 1Gi"),
    ("", "resources: {limits: {example.com/x: 1}}", "spec.resources.limits[example.com/x]", "Unsupported value"),
    ("lifecycle: {stopSignal: SIGTERM}", "", f"{CONTAINER}.lifecycle.stopSignal", "empty `spec.os.name`"),
    ("restartPolicyRules: [{action: Restart}]", "", f"{CONTAINER}.restartPolicy", "when restart rules are used"),
    ("securityContext: {procMount: Unmasked}", "", f"{CONTAINER}.securityContext.procMount", "`hostUsers` must"),
    ("", "volumes: [{name: v, nfs: {server: a, path: b}}]", "spec.volumes[0].nfs.path", "must be an absolute path"),
    ("", "volumes: [{name: v, projected: {sources: [{secret: {name: a, items: [{key: k, path: p}]}}, "
     "{serviceAccountToken: {path: p}}]}}]", "spec.volumes[0].projected", "conflicting duplicate paths"),
    ("", "dnsConfig: {searches: ['-a']}", "spec.dnsConfig.searches[0]", "Invalid value"),
    ("", "dnsConfig: {options: [{value: a}]}", "spec.dnsConfig.options[0]", "must not be empty"),
    ("", "topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: ScheduleAnyway, minDomains: 1}]",
     "spec.topologySpreadConstraints[0].minDomains", "can only use minDomains if whenUnsatisfiable=DoNotSchedule"),
    ("", "topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule, "
     "matchLabelKeys: [b]}]",
     "spec.topologySpreadConstraints[0].matchLabelKeys", "must not be specified when labelSelector is not set"),
    ("", "topologySpreadConstraints: [&c {maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule}, *c]",
     "spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}", "Duplicate value"),
    ("", "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
     "[{topologyKey: a, labelSelector: {}, matchLabelKeys: [b], mismatchLabelKeys: [b]}]}}",
     "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys[0]", "exists in both"),
    ("", "securityContext: {fsGroupChangePolicy: X}", "spec.securityContext.fsGroupChangePolicy", "Unsupported value"),
    ("", "securityContext: {seccompProfile: {type: RuntimeDefault, localhostProfile: a}}",
     "spec.securityContext.seccompProfile.localhostProfile", "can only be set when seccomp type is Localhost"),
    ("", "{hostUsers: false, hostNetwork: true}", "spec.hostNetwork", "when `hostUsers` is false"),
    ("", "os: {name: mac}", "spec.os.name", "Unsupported value"),
    ("", "{os: {name: windows}, securityContext: {runAsUser: 1}}", "spec.securityContext.runAsUser",
     "cannot be set for a windows pod"),
    ("", "{os: {name: linux}, securityContext: {windowsOptions: {runAsUserName: a}}}",
     "spec.securityContext.windowsOptions", "cannot be set for a linux pod"),
    ("", "schedulingGates: [{name: a}, {name: a}]", "spec.schedulingGates[1]", "Duplicate value"),
    ("", "resourceClaims: [{name: a}]", "spec.resourceClaims[0]", "must specify one of"),
    ("", "resources: {limits: {ephemeral-storage: 1}}", "spec.resources.limits[ephemeral-storage]", "Unsupported"),
]  # fmt: skip
POD = "metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]"
WORKLOAD = f"selector: {{matchLabels: {{a: b}}}}, template: {{{POD}}}}}"
JOB = f"template: {{{POD}, restartPolicy: Never}}}}"
POLICY = (
    "matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}"
)
SCALED = "scaleTargetRef: {kind: Deployment, name: a}, maxReplicas: 2"
SPECS = [  # a kind, its spec; the field, what is said
    ("DaemonSet", f"{WORKLOAD}, updateStrategy: {{rollingUpdate: {{maxSurge: 1, maxUnavailable: 1}}}}",
     "spec.updateStrategy.rollingUpdate.maxSurge", "may not be set when maxUnavailable is non-zero"),
    ("StatefulSet", f"{WORKLOAD}, ordinals: {{start: -1}}", "spec.ordinals.start", "greater than or equal to 0"),
    ("Job", f"{JOB}, selector: {{matchLabels: {{a: b}}}}", "spec.selector", "`selector` not auto-generated"),
    ("Job", f"{JOB}, managedBy: a", "spec.managedBy", "must be a domain-prefixed path"),
    ("Job", f"{JOB}, completionMode: Indexed, completions: 1, parallelism: 100001", "spec.parallelism", "100000"),
    ("CronJob", f"schedule: '* * * * *', timeZone: A/B, jobTemplate: {{spec: {{{JOB}}}}}", "spec.timeZone",
     "unknown time zone A/B"),
    ("CronJob", f"schedule: '* * * * *', timeZone: local, jobTemplate: {{spec: {{{JOB}}}}}", "spec.timeZone",
     "must be an explicit time zone"),
    ("Service", "ports: [{port: 80}], healthCheckNodePort: 30000", "spec.healthCheckNodePort", "may only be set when"),
    ("Service", "ports: [{port: 80}], loadBalancerSourceRanges: [10.0.0.0/8]", "spec.LoadBalancerSourceRanges",
     "may only be used when `type` is 'LoadBalancer'"),
    ("Ingress", "rules: [{host: 1.2.3.4}]", "spec.rules[0].host", "must be a DNS name, not an IP address"),
    ("Ingress", "rules: [{http: {paths: [{path: /a//b, pathType: Exact, backend: {resource: {kind: a, name: b}}}]}}]",
     "spec.rules[0].http.paths[0].path", "must not contain '//'"),
    ("Ingress", "defaultBackend: {resource: {kind: a, name: b}}, tls: [{hosts: [A]}]", "spec.tls[0].hosts[0]",
     "Invalid"),
    ("IngressClass", "controller: a", "spec.controller", "must be a domain-prefixed path"),
    ("IngressClass", "controller: a/b, parameters: {kind: a, name: b, scope: Namespace}", "spec.parameters.namespace",
     "`parameters.scope` is set to 'Namespace'"),
    ("NetworkPolicy", "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]",
     "spec.ingress[0].from[0].ipBlock.except[0]", "must be a strict subset of `cidr`"),
    ("NetworkPolicy", "policyTypes: [Ingress, Egress, Ingress]", "spec.policyTypes", "may not specify more than two"),
    ("PersistentVolume", "capacity: {storage: 1}, accessModes: [ReadWriteOnce], hostPath: {path: /}, "
     "persistentVolumeReclaimPolicy: Recycle", "spec.persistentVolumeReclaimPolicy", "hostPath mount of '/'"),
    ("PersistentVolume", "capacity: {storage: 1}, accessModes: [ReadWriteOnce], csi: {driver: a}",
     "spec.csi.volumeHandle", "Required value"),
    ("PersistentVolumeClaim", "accessModes: [ReadWriteOnce], resources: {requests: {storage: 1}}, "
     "dataSource: {kind: PersistentVolumeClaim, name: a}, dataSourceRef: {kind: PersistentVolumeClaim, name: b}",
     "spec", "must match dataSourceRef"),
    ("Node", "podCIDRs: [10.0.0.0/24, 10.0.1.0/24]", "spec.podCIDRs", "no more than one CIDR for each IP family"),
    ("LimitRange", "limits: [{type: Container}, {type: Container}]", "spec.limits[1].type", "Duplicate value"),
    ("LimitRange", "limits: [{type: Pod, default: {cpu: 1}}]", "spec.limits[0].default", "when `type` is 'Pod'"),
    ("LimitRange", "limits: [{type: PersistentVolumeClaim}]", "spec.limits[0].limits", "neither was provided"),
    ("LimitRange", "limits: [{type: Container, maxLimitRequestRatio: {cpu: 500m}}]",
     "spec.limits[0].maxLimitRequestRatio[cpu]", "ratio 500m is less than 1"),
    ("LimitRange", "limits: [{type: Container, defaultRequest: {cpu: 2}, default: {cpu: 1}}]",
     "spec.limits[0].defaultRequest[cpu]", "default request value 2 is greater than default limit value 1"),
    ("ResourceQuota", "hard: {pods: 500m}", "spec.hard[pods]", "must be an integer"),
    ("ResourceQuota", "hard: {foo: 1}", "spec.hard[foo]", "must be a standard resource for quota"),
    ("ResourceQuota", "hard: {services: 1}, scopes: [BestEffort]", "spec.scopes", "scope applied to resource"),
    ("ResourceQuota", "hard: {pods: 1}, scopes: [VolumeAttributesClass]", "spec.scopes", "scope applied to resource"),
    ("ResourceQuota", "scopeSelector: {matchExpressions: [{scopeName: X, operator: Exists}]}",
     "spec.scopeSelector.matchExpressions.scopeName", "unsupported scope"),
    ("ResourceQuota", "scopeSelector: {matchExpressions: [{scopeName: Terminating, operator: In, values: [a]}]}",
     "spec.scopeSelector.matchExpressions.operator", "must be 'Exist' when scope is any of"),
    ("ResourceQuota", "scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In}]}",
     "spec.scopeSelector.matchExpressions.values", "must be at least one value"),
    ("ResourceQuota", "scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: Exists, values: [a]}]}",
     "spec.scopeSelector.matchExpressions.values", "must be no value"),
    ("HorizontalPodAutoscaler", f"{SCALED}, metrics: [{{type: Pods}}]", "spec.metrics[0].pods", "must populate"),
    ("HorizontalPodAutoscaler", f"{SCALED}, metrics: [{{type: Resource, resource: {{name: cpu, target: "
     "{type: Value}}}]", "spec.metrics[0].resource.target.averageUtilization", "must set either"),
    ("HorizontalPodAutoscaler", f"{SCALED}, behavior: {{scaleUp: {{stabilizationWindowSeconds: 4000}}}}",
     "spec.behavior.scaleUp.stabilizationWindowSeconds", "must be less than or equal to 3600"),
    ("ValidatingAdmissionPolicy", f"{POLICY}, validations: [{{expression: '1'}}]", "spec.validations[0].expression",
     'Invalid value: "1": must evaluate to bool'),
    ("ValidatingAdmissionPolicy", f"{POLICY}, validations: [{{expression: object.a, messageExpression: 'true'}}]",
     "spec.validations[0].messageExpression", "must evaluate to string"),
    ("ValidatingAdmissionPolicy", f"{POLICY}, auditAnnotations: [{{key: a, valueExpression: '1'}}]",
     "spec.auditAnnotations[0].valueExpression", "must evaluate to one of [string null_type]"),
    ("ValidatingAdmissionPolicy", f"{POLICY}, validations: [{{expression: params.a}}]",
     "spec.validations[0].expression", "undeclared reference to 'params'"),
    ("ValidatingAdmissionPolicy", f"{POLICY}, validations: [{{expression: 'true'}}], "
     "matchConditions: [{name: a, expression: variables.a}]", "spec.matchConditions[0].expression",
     "undeclared reference to 'variables'"),
]  # fmt: skip


@pytest.mark.parametrize(("container", "spec", "at", "said"), PODS, ids=[case[2] for case in PODS])
def test_a_pod_that_breaks_a_rule(container, spec, at, said):
    obj = loaded("{metadata: {name: x}, spec: {containers: [{name: c, image: i}]}}")
    obj["spec"]["containers"][0] |= loaded(f"{{{container}}}")
    obj["spec"] |= loaded(spec if spec.startswith("{") else f"{{{spec}}}")
    assert said in refused("Pod", obj).get(at, "")


@pytest.mark.parametrize(("kind", "spec", "at", "said"), SPECS, ids=[f"{case[0]} {case[2]}" for case in SPECS])
def test_a_spec_that_breaks_a_rule(kind, spec, at, said):
    version = {"HorizontalPodAutoscaler": "autoscaling/v2"}.get(kind)
    obj = f"{{metadata: {{name: x}}, spec: {{{spec}}}}}"
    found = refused(kind, {**loaded(obj), **({"apiVersion": version} if version else {})}).get(at, "")
    assert said in found, found


def test_a_storage_class_that_breaks_rules():
    found = refused(
        "StorageClass",
        "{metadata: {name: x}, provisioner: a, parameters: {'': b}, "
        "allowedTopologies: [{matchLabelExpressions: [{key: a, values: [b, b]}]}]}",
    )
    assert found["parameters"].endswith("field can not be empty.")
    assert "Duplicate value" in found["allowedTopologies[0].matchLabelExpressions[0].values[1]"]


def test_the_two_ways_to_say_what_a_claim_begins_with():
    claim = "{metadata: {name: x}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, %s}}"
    old = created("PersistentVolumeClaim", claim % "dataSource: {kind: PersistentVolumeClaim, name: a}")
    assert old["spec"]["dataSourceRef"] == old["spec"]["dataSource"]
    new = created("PersistentVolumeClaim", claim % "dataSourceRef: {apiGroup: a.b, kind: Thing, name: a}")
    assert "dataSource" not in new["spec"]
    assert "dataSource" not in created("PersistentVolumeClaim", claim % "dataSource: {kind: Thing, name: a}")["spec"]
    with pytest.raises(ApiError) as shrunk:
        updated("PersistentVolumeClaim", old, spec__resources={"requests": {"storage": "1Mi"}})
    assert "field can not be less than previous value" in causes(shrunk.value)["spec.resources.requests.storage"]


def test_amounts_beyond_all_sense_are_no_accident():
    limits = {"example.com/gpu": "1e40", "hugepages-2Mi": "9" * 40, "cpu": "1"}
    found = refused(
        "Pod",
        {
            "metadata": {"name": "x"},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": limits}}]},
        },
    )
    assert "is not positive integer multiple" in found["spec.containers[0].resources.limits[hugepages-2Mi]"]
    assert created("ResourceQuota", {"metadata": {"name": "x"}, "spec": {"hard": {"pods": "1e40"}}})


CLAIMED = "capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /a}"
HERE = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}
KEPT = [  # a kind, its spec; what is changed, and the field that says no
    ("PersistentVolume", CLAIMED, {"spec__volumeMode": "Block"}, "volumeMode"),
    ("PersistentVolume", f"{CLAIMED}, nodeAffinity: {{required: {{nodeSelectorTerms: "
     "[{matchExpressions: [{key: b, operator: Exists}]}]}}", {"spec__nodeAffinity": HERE}, "spec.nodeAffinity"),
    ("Service", "type: LoadBalancer, loadBalancerClass: a/b, ports: [{port: 80}]", {"spec__loadBalancerClass": "a/c"},
     "spec.loadBalancerClass"),
    ("Service", "type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30001, ports: [{port: 80}]",
     {"spec__healthCheckNodePort": 30002}, "spec.healthCheckNodePort"),
    ("Job", f"{JOB}, completionMode: Indexed, completions: 2, parallelism: 2", {"spec__completions": 3},
     "spec.completions"),
    ("Job", f"{JOB}, completionMode: Indexed, completions: 2",
     {"spec__successPolicy": {"rules": [{"succeededCount": 1}]}}, "spec.successPolicy"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spec", "changes", "at"), KEPT, ids=[f"{case[0]} {case[3]}" for case in KEPT])
def test_what_may_not_change(kind, spec, changes, at):
    old = created(kind, f"{{metadata: {{name: x}}, spec: {{{spec}}}}}")
    with pytest.raises(ApiError) as caught:
        updated(kind, old, **changes)
    assert at in causes(caught.value)


def test_an_indexed_job_grows_with_its_parallelism():
    old = created("Job", f"{{metadata: {{name: x}}, spec: {{{JOB}, completionMode: Indexed, completions: 2}}}}")
    assert updated("Job", old, spec__completions=3, spec__parallelism=3)["spec"]["completions"] == 3
