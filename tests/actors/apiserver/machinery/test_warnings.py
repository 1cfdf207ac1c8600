"""What writers are warned of: valid, and yet not what they may think."""

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.actors.apiserver.machinery.objects import created, loaded, resource, updated

NO_POD = "a null labelSelector results in matching no pod"
PODS = [  # of the spec, beside a container; of the container; the warning
    ("nodeSelector: {beta.kubernetes.io/os: linux}", "",
     'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'),
    ("topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]", "",
     f"spec.topologySpreadConstraints[0].labelSelector: {NO_POD}"),
    ("affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone}]}}", "",
     f"spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: {NO_POD}"),
    ("volumes: [{name: v, gitRepo: {repository: r}}]", "", "spec.volumes[0].gitRepo: deprecated in v1.11"),
    ("imagePullSecrets: [{name: a}, {name: a}]", "", 'spec.imagePullSecrets[1].name: duplicate name "a"'),
    ("hostAliases: [{ip: 1.2.3.4}, {ip: 1.2.3.4}]", "", 'spec.hostAliases[1].ip: duplicate ip "1.2.3.4"'),
    ("", "resources: {requests: {memory: 1500m}}",
     'spec.containers[0].resources.requests[memory]: fractional byte value "1500m" is invalid, must be an integer'),
    ("volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}, "
     "{name: w, projected: {sources: [{configMap: {name: c, items: [{key: k, path: t}]}}]}}]", "",
     'spec.volumes[1].projected.sources.configMap[0]: has duplicated path with ServiceAccountToken "t"'),
    ("", "env: [{name: A, value: x}, {name: A, value: y}]",
     'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'),
    ("", "ports: [{containerPort: 80}, {containerPort: 80, hostPort: 80}]",
     "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]"),
    ("", "ports: [{containerPort: 80, hostIP: 1.2.3.4}]", "spec.containers[0].ports[0]: hostIP set without hostPort: "
     "{Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:1.2.3.4}"),
]  # fmt: skip


def warned(kind: str, text: str | dict) -> list[str]:
    return resource(kind).strategy.warnings(created(kind, text))


@pytest.mark.parametrize(("spec", "container", "said"), PODS)
def test_pods_and_templates(spec, container, said):
    both = "{name: c, image: i, " + container + "}], " + spec
    assert warned("Pod", "{metadata: {name: x}, spec: {containers: [" + both + "}}") == [said]
    template = "template: {metadata: {labels: {app: x}}, spec: {containers: [" + both + "}}"
    deployment = "{metadata: {name: x}, spec: {selector: {matchLabels: {app: x}}, " + template + "}}"
    in_template = [said.replace("spec.", "spec.template.spec.")]
    assert warned("Deployment", deployment) == in_template
    old = created("Deployment", deployment)
    strategy = resource("Deployment").strategy
    assert strategy.update_warnings(updated("Deployment", old, spec__paused=True), old) == in_template
    assert strategy.update_warnings(updated("Deployment", old, metadata__labels={"a": "b"}), old) == []


def test_what_refers_to_itself_is_meant_so():
    env = "env: [{name: A, value: x}, {name: A, value: $(A)y}]"
    assert warned("Pod", "{metadata: {name: x}, spec: {containers: [{name: c, image: i, " + env + "}]}}") == []


def test_names_and_annotations_of_pods():
    (said,) = warned("Pod", "{metadata: {name: x.y}, spec: {containers: [{name: c, image: i}]}}")
    assert said.startswith(
        "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior;"
    )
    key = "container.seccomp.security.alpha.kubernetes.io/c"
    annotated = f"{{metadata: {{name: x, annotations: {{{key}: a}}}}, spec: {{containers: [{{name: c, image: i}}]}}}}"
    assert warned("Pod", annotated) == [
        f'metadata.annotations[{key}]: non-functional in v1.27+; use the "seccompProfile" field instead'
    ]


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("Service", "{metadata: {name: x}, spec: {ports: [{port: 80}], trafficDistribution: PreferClose}}",
         'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'),
        ("Service", "{metadata: {name: x}, spec: {clusterIP: None, externalIPs: [1.2.3.4], ports: [{port: 80}]}}",
         "spec.externalIPs is ignored for headless services"),
        ("Service", "{metadata: {name: x}, spec: {externalIPs: ['2001:0db8::1'], ports: [{port: 80}]}}",
         'spec.externalIPs[0]: IPv6 address "2001:0db8::1" should be in RFC 5952 canonical format ("2001:db8::1")'),
        ("PersistentVolumeClaim", "{metadata: {name: x}, spec: {accessModes: [ReadWriteOnce], resources: {requests: "
         "{storage: 1500m}}}}",
         'spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer'),
        ("PersistentVolume", "{metadata: {name: x}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], "
         "nfs: {server: s, path: /p}, persistentVolumeReclaimPolicy: Recycle}}",
         "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
         "approach is to use dynamic provisioning."),
        ("Ingress", "{metadata: {name: x, annotations: {kubernetes.io/ingress.class: a}}, spec: {defaultBackend: "
         "{service: {name: s, port: {number: 80}}}}}",
         "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"),
        ("RuntimeClass", "{metadata: {name: x}, handler: h, scheduling: {nodeSelector: {beta.kubernetes.io/arch: a}}}",
         'scheduling.nodeSelector: deprecated since v1.14; use "kubernetes.io/arch" instead'),
        ("CronJob", "{metadata: {name: x}, spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: "
         "{restartPolicy: Never, hostAliases: [{ip: 1.1.1.1}, {ip: 1.1.1.1}], containers: [{name: c, image: i}]}}}}}}",
         'spec.jobTemplate.spec.template.spec.hostAliases[1].ip: duplicate ip "1.1.1.1"'),
    ],
)  # fmt: skip
def test_other_kinds(kind, text, said):
    assert warned(kind, text) == [said]


def pair() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + datetime.timedelta(days=1))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private


def test_a_certificate_must_be_of_its_key():
    def secret(certificate: bytes, key: bytes) -> dict:
        data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
        return {"metadata": {"name": "x"}, "type": "kubernetes.io/tls", "data": data}

    (certificate, key), (_, other) = pair(), pair()
    assert warned("Secret", secret(certificate, key)) == []
    assert warned("Secret", secret(certificate, other)) == ["tls: private key does not match public key"]
    assert warned("Secret", secret(b"", key)) == ["tls: failed to find any PEM data in certificate input"]
    assert warned("Secret", secret(certificate, b"x")) == ["tls: failed to find any PEM data in key input"]
    assert loaded(secret(b"a", b"b"))
