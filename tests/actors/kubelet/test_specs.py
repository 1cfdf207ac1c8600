"""From a pod to what the runtime gets: QoS and resources, security, names, hosts, DNS, images and their credentials."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from actors.kubelet import qos
from actors.kubelet import runtime as rt
from actors.kubelet.container_spec import NodeFacts, container_spec, hostname_of, sandbox_spec
from actors.kubelet.containerd import requests
from actors.kubelet.images import normalized, pull_policy, split_reference
from actors.kubelet.surroundings.downward import ConfigError
from actors.kubelet.surroundings.hosts import dns_of, hosts_file, resolv_conf
from actors.kubelet.surroundings.pull_secrets import auths_for, repository_of

from .pods import container, pod

NODE = NodeFacts(memory_bytes=16 * 2**30, owner="x/w1", seccomp_root=Path("/seccomp"))
IMAGE = rt.Image(id="sha256:1", tags=(), digests=(), size_bytes=1)


def resources(asked: dict[str, str] | None = None, limits: dict[str, str] | None = None) -> dict[str, Any]:
    return container("web", resources={"requests": asked or {}, "limits": limits or {}})


BOTH = {"cpu": "500m", "memory": "64Mi"}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([container("web")], "BestEffort"),
        ([resources(BOTH, BOTH)], "Guaranteed"),
        ([resources(None, BOTH)], "Guaranteed"),
        ([resources(BOTH)], "Burstable"),
        ([resources({"cpu": "0", "memory": "0"}, BOTH)], "Burstable"),
        ([resources({"cpu": "0"}, BOTH)], "Burstable"),
        ([resources({"cpu": "1"}, BOTH)], "Burstable"),
        ([resources(BOTH, BOTH), container("side")], "Burstable"),
        ([resources({"cpu": "0"})], "BestEffort"),
        ([resources({"nvidia.com/gpu": "1"})], "BestEffort"),
    ],
)
def test_qos(containers: list[dict[str, Any]], expected: str) -> None:
    assert qos.qos_class(pod(*containers)) == expected


def test_container_resources() -> None:
    web = resources({"cpu": "250m", "memory": "1Gi"}, {"cpu": "1500m", "memory": "2Gi"})
    made = qos.container_resources(pod(web), web, NODE.memory_bytes)
    assert (made.cpu_shares, made.cpu_quota_us, made.memory_limit_bytes) == (256, 150_000, 2 * 2**30)
    assert made.oom_score_adj == 1000 - 1000 // 16
    bare = qos.container_resources(pod(), container(), NODE.memory_bytes)
    assert (bare.cpu_shares, bare.cpu_quota_us, bare.memory_limit_bytes, bare.oom_score_adj) == (2, 0, 0, 1000)
    sure = resources(BOTH, BOTH)
    assert qos.container_resources(pod(sure), sure, NODE.memory_bytes).oom_score_adj == -997


@pytest.mark.parametrize("amount", ["9223372036854775807", "1e30", "16Ei"])
def test_limits_beyond_all_machines_are_what_the_runtime_and_the_kernel_can_count(amount: str) -> None:
    """The API takes them, and with requests of nothing any node is large enough."""
    huge = resources({"cpu": "0", "memory": "0"}, {"cpu": amount, "memory": amount})
    made = pod(huge, {**huge, "name": "b"})
    for bounds in (qos.container_resources(made, huge, NODE.memory_bytes), qos.pod_resources(made)):
        message = requests.linux_resources(bounds)
        assert message.cpu_quota <= 2**44, "the kernel's own bound"
        assert message.cpu_quota > 10**6 * message.cpu_period
        assert message.memory_limit_in_bytes == 2**63 - 1


def test_pod_resources_need_every_limit() -> None:
    limited, free = resources(BOTH, BOTH), container("side")
    assert qos.pod_resources(pod(limited, {**limited, "name": "b"})).memory_limit_bytes == 128 * 2**20
    assert qos.pod_resources(pod(limited, free)).memory_limit_bytes == 0
    side, first = {**limited, "name": "s", "restartPolicy": "Always"}, {**limited, "name": "i"}
    beside = qos.pod_resources(pod(limited, inits=(side, first)))
    assert (beside.memory_limit_bytes, beside.cpu_quota_us) == (128 * 2**20, 100_000)
    assert qos.pod_resources(pod(limited, inits=({**free, "restartPolicy": "Always"},))).memory_limit_bytes == 0


def test_a_container_without_limits_has_those_of_its_pod() -> None:
    level = {"requests": {"memory": "3Gi"}, "limits": {"cpu": "1", "memory": "4Gi"}}
    claims, plain = resources({"memory": "1Gi"}), container("side")
    made = pod(claims, plain, resources=level)
    bare, asked = (qos.container_resources(made, item, NODE.memory_bytes) for item in (plain, claims))
    assert (bare.cpu_shares, bare.cpu_quota_us, bare.memory_limit_bytes) == (1024, 100_000, 4 * 2**30)
    assert bare.oom_score_adj == 1000 - 1000 // 16  # a half of the 2 GiB that nobody claims
    assert asked.oom_score_adj == 1000 - 2000 // 16


def test_who_is_killed_first_when_memory_runs_out() -> None:
    web, side = resources({"memory": "2Gi"}), container("side", restartPolicy="Always")
    made = pod(web, inits=(side,))
    assert qos.oom_score_adj(made, side, NODE.memory_bytes) == qos.oom_score_adj(made, web, NODE.memory_bytes) == 875
    assert qos.oom_score_adj(pod(priorityClassName="system-node-critical"), container(), NODE.memory_bytes) == -997


def test_requests_with_init_containers_and_sidecars() -> None:
    def asks(name: str, cpu: str, **fields: Any) -> dict[str, Any]:
        return container(name, resources={"requests": {"cpu": cpu}}, **fields)

    inits = (asks("s", "100m", restartPolicy="Always"), asks("big", "1"))
    assert qos.pod_request(pod(asks("web", "200m"), inits=inits), "cpu") == 1100
    assert qos.pod_request(pod(asks("web", "2"), inits=inits), "cpu") == 2100


def test_security_contexts_merge() -> None:
    web = container(
        "web", securityContext={"runAsUser": 7, "capabilities": {"add": ["CAP_NET_ADMIN"], "drop": ["ALL"]}}
    )
    profile = {"type": "Localhost", "localhostProfile": "a/b.json"}
    whole = {"runAsUser": 5, "runAsGroup": 6, "fsGroup": 9, "supplementalGroups": [8], "seccompProfile": profile}
    spec = pod(web, securityContext=whole)
    made = container_spec(spec, web, 0, IMAGE, (), (), NODE).security
    assert (made.run_as_user, made.run_as_group, tuple(made.supplemental_groups)) == (7, 6, (8, 9))
    assert (made.add_capabilities, made.drop_capabilities) == (("NET_ADMIN",), ("ALL",))
    assert made.seccomp == rt.Seccomp("Localhost", "/seccomp/a/b.json")


@pytest.mark.parametrize(
    ("own", "user", "message"),
    [
        ({"runAsNonRoot": True}, "", "image will run as root"),
        ({"runAsNonRoot": True}, "web", "non-numeric user"),
        ({"runAsNonRoot": True, "runAsUser": 0}, "5", "breaks non-root policy"),
        ({"runAsNonRoot": True}, "5:5", ""),
        ({"runAsNonRoot": True, "runAsUser": 3}, "", ""),
    ],
)
def test_non_root(own: dict[str, Any], user: str, message: str) -> None:
    web = container("web", securityContext=own)
    image = rt.Image(id="i", tags=(), digests=(), size_bytes=1, user=user)
    if message:
        with pytest.raises(ConfigError, match=message):
            container_spec(pod(web), web, 0, image, (), (), NODE)
    else:
        container_spec(pod(web), web, 0, image, (), (), NODE)


def test_names_and_labels() -> None:
    web = container("web", command=["echo", "$(A)"], args=["$(B)"], ports=[{"containerPort": 80, "hostPort": 8080}])
    spec = pod(web, hostname="h" * 70, subdomain="sub", shareProcessNamespace=True)
    made = sandbox_spec(spec, 2, None, Path("/logs"), NODE)
    assert made.log_directory == "/logs/default_p_u1"
    assert made.hostname == "h" * 63
    assert made.pid is rt.NamespaceMode.POD
    assert made.port_mappings == (rt.PortMapping("TCP", 80, 8080, ""),)
    assert made.annotations[rt.OWNER] == "x/w1"
    inner = container_spec(spec, web, 3, IMAGE, (("A", "1"),), (), NODE)
    assert (list(inner.command), list(inner.args)) == (["echo", "1"], ["$(B)"])
    assert inner.log_path == "web/3.log"
    assert inner.annotations[rt.RESTART_COUNT] == "3"
    assert hostname_of(pod(setHostnameAsFQDN=True, subdomain="sub"), "c.local") == "p.sub.default.svc.c.local"
    overridden = pod(hostname="h", subdomain="sub", hostnameOverride="any.name")
    assert hostname_of(overridden, "c.local") == "any.name"
    assert "10.0.0.2\tany.name\n" in hosts_file(overridden, ("10.0.0.2",), "c.local", "")


def test_hosts() -> None:
    aliases = [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]
    text = hosts_file(pod(subdomain="sub", hostAliases=aliases), ("10.0.0.2",), "c.local", "")
    assert "10.0.0.2\tp.sub.default.svc.c.local\tp\n" in text
    assert text.endswith("1.2.3.4\ta\tb\n")


def test_dns_policies() -> None:
    node = resolv_conf("# x\nnameserver 9.9.9.9\nsearch corp\noptions ndots:1 rotate\n")
    first = dns_of(pod(), ("10.96.0.10",), "c.local", node)
    assert first == rt.Dns(("10.96.0.10",), ("default.svc.c.local", "svc.c.local", "c.local", "corp"), ("ndots:5",))
    assert dns_of(pod(), (), "c.local", node) is None
    assert dns_of(pod(dnsPolicy="Default"), ("10.96.0.10",), "c.local", node) is None
    assert dns_of(pod(hostNetwork=True), ("10.96.0.10",), "c.local", node) is None
    own = {
        "nameservers": ["1.1.1.1"],
        "searches": ["x"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "debug"}],
    }
    assert dns_of(pod(dnsPolicy="None", dnsConfig=own), (), "c.local", node) == rt.Dns(
        ("1.1.1.1",), ("x",), ("ndots:2", "debug")
    )
    more = dns_of(pod(dnsConfig=own), ("10.96.0.10",), "c.local", node)
    assert more is not None
    assert more.options == ("ndots:2", "debug")
    assert more.servers == ("10.96.0.10", "1.1.1.1")


@pytest.mark.parametrize(
    ("reference", "parts", "policy"),
    [
        ("a", ("a", "", ""), "Always"),
        ("a:latest", ("a", "latest", ""), "Always"),
        ("a:1", ("a", "1", ""), "IfNotPresent"),
        ("r:5000/a/b", ("r:5000/a/b", "", ""), "Always"),
        ("r:5000/a:1@sha256:00", ("r:5000/a", "1", "sha256:00"), "IfNotPresent"),
    ],
)
def test_references(reference: str, parts: tuple[str, str, str], policy: str) -> None:
    assert split_reference(reference) == parts
    assert pull_policy({"image": reference}) == policy
    assert normalized(reference).startswith(reference)


def test_pull_secrets() -> None:
    auth = base64.b64encode(b"u:p:w").decode()
    auths = {"https://r.test:5000/v1/": {"auth": auth}, "r.test:5000/team": {"username": "t", "password": "q"}}
    data = {".dockerconfigjson": base64.b64encode(json.dumps({"auths": auths}).encode()).decode()}
    secret, broken = {"data": data}, {"data": {".dockerconfigjson": base64.b64encode(b"{").decode()}}
    found = auths_for("r.test:5000/team/app:1", [broken, secret])
    assert [(item.username, item.password) for item in found] == [("t", "q"), ("u", "p:w")]
    assert [item.username for item in auths_for("r.test:5000/teams/app", [secret])] == ["u"]
    assert auths_for("other/app", [secret]) == []
    assert repository_of("busybox:1") == "docker.io/busybox"
