"""PodSecurity: levels and versions, what each check finds and says, and what becomes of writes."""

import pytest

from actors.apiserver.admission.pod_security.evaluate import findings
from actors.apiserver.admission.pod_security.levels import LATEST, LevelVersion, policy_of
from tests.actors.apiserver.api_harness import pod, with_account, with_api

PREFIX = "pod-security.kubernetes.io/"
BASELINE, RESTRICTED = LevelVersion("baseline"), LevelVersion("restricted")
SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def spec(*contexts: dict, **more) -> dict:
    made = [{"name": f"c{i}", "image": "i", "securityContext": one} for i, one in enumerate(contexts or ({},))]
    return {"containers": made, **more}


def said(level: LevelVersion, of: dict, metadata: dict | None = None) -> str:
    return ", ".join(str(one) for one in findings(level, metadata or {}, of))


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (spec(), ""),
        (spec({"privileged": True}), 'privileged (container "c0" must not set securityContext.privileged=true)'),
        (
            spec({"privileged": True}, {"privileged": True}),
            'privileged (containers "c0", "c1" must not set securityContext.privileged=true)',
        ),
        (spec(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID=true)"),
        (spec(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), 'hostPath volumes (volume "v")'),
        (
            spec({"capabilities": {"add": ["NET_ADMIN", "CHOWN"]}}),
            'non-default capabilities (container "c0" must not include "NET_ADMIN" in '
            "securityContext.capabilities.add)",
        ),
        (
            {"containers": [{"name": "a", "ports": [{"hostPort": 80}, {"hostPort": 443}]}]},
            'hostPort (container "a" uses hostPorts 443, 80)',
        ),
        (
            spec({"procMount": "Unmasked"}),
            'procMount (container "c0" must not set securityContext.procMount to "Unmasked")',
        ),
        (spec({"procMount": "Unmasked"}, hostUsers=False), ""),
        (
            spec({"seLinuxOptions": {"type": "spc_t", "user": "u"}}),
            'seLinuxOptions (container "c0" set forbidden securityContext.seLinuxOptions: type "spc_t"; '
            "user may not be set)",
        ),
        (
            spec(securityContext={"seccompProfile": {"type": "Unconfined"}}),
            'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            spec(securityContext={"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_rmem"}]}),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            spec({"windowsOptions": {"hostProcess": True}}),
            'hostProcess (container "c0" must not set securityContext.windowsOptions.hostProcess=true)',
        ),
        (
            {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"host": "1.2.3.4"}}}]},
            'probe or lifecycle host (container "a" uses probe or lifecycle host "1.2.3.4")',
        ),
        (
            spec({"appArmorProfile": {"type": "Unconfined"}}),
            'forbidden AppArmor profile (container "c0" must not set AppArmor profile type to "Unconfined")',
        ),
    ],
)
def test_baseline(of, expected):
    assert said(BASELINE, of) == expected


def test_restricted_says_all_that_a_plain_pod_lacks():
    assert said(RESTRICTED, {"containers": [{"name": "nginx"}]}) == (
        'allowPrivilegeEscalation != false (container "nginx" must set '
        "securityContext.allowPrivilegeEscalation=false), "
        'unrestricted capabilities (container "nginx" must set securityContext.capabilities.drop=["ALL"]), '
        'runAsNonRoot != true (pod or container "nginx" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or container "nginx" must set securityContext.seccompProfile.type to "RuntimeDefault" '
        'or "Localhost")'
    )


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (spec(SAFE), ""),
        (spec(SAFE | {"runAsUser": 0}), 'runAsUser=0 (container "c0" must not set runAsUser=0)'),
        (
            spec(SAFE, volumes=[{"name": "n", "nfs": {}}, {"name": "s", "secret": {}}]),
            'restricted volume types (volume "n" uses restricted volume type "nfs")',
        ),
        (
            spec(SAFE | {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "CHOWN"]}}),
            'unrestricted capabilities (container "c0" must not include "CHOWN" in securityContext.capabilities.add)',
        ),
        (
            spec(SAFE | {"runAsNonRoot": False}),
            'runAsNonRoot != true (container "c0" must not set securityContext.runAsNonRoot=false)',
        ),
        (spec({**SAFE, "runAsNonRoot": None}, securityContext={"runAsNonRoot": True}), ""),
        (spec({"runAsNonRoot": True}, os={"name": "windows"}), ""),
        (spec(SAFE, hostNetwork=True), "host namespaces (hostNetwork=true)"),
    ],
)
def test_restricted(of, expected):
    assert said(RESTRICTED, of) == expected


@pytest.mark.parametrize(
    ("level", "minor", "of", "allowed"),
    [
        ("baseline", 31, spec(securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}), False),
        ("baseline", 32, spec(securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}), True),
        ("baseline", 33, {"containers": [{"name": "a", "startupProbe": {"tcpSocket": {"host": "x"}}}]}, True),
        ("baseline", LATEST, {"containers": [{"name": "a", "startupProbe": {"tcpSocket": {"host": "x"}}}]}, False),
        ("restricted", 7, spec({"runAsNonRoot": True}), True),
        ("restricted", 99, spec({"runAsNonRoot": True}), False),
        ("privileged", LATEST, spec({"privileged": True}, hostNetwork=True), True),
    ],
)
def test_versions(level, minor, of, allowed):
    assert (findings(LevelVersion(level, minor), {}, of) == []) is allowed


def test_labels():
    policy, complaints = policy_of({PREFIX + "enforce": "baseline", PREFIX + "enforce-version": "v1.30"})
    assert str(policy.enforce) == str(policy.warn) == "baseline:v1.30"
    assert str(policy.audit) == "privileged:latest"
    assert complaints == []
    policy, complaints = policy_of({PREFIX + "enforce": "strict", PREFIX + "warn-version": "1.30"})
    assert policy.enforce.level == "restricted"
    assert [key.removeprefix(PREFIX) for key, _, _ in complaints] == ["enforce", "warn-version"]


async def label(api, **modes: str) -> dict:
    labels = {PREFIX + mode.replace("_", "-"): value for mode, value in modes.items()}
    answer = await api.raw(
        "PATCH",
        "/api/v1/namespaces/default",
        {"metadata": {"labels": labels}},
        content_type="application/merge-patch+json",
    )
    await api.server.barrier.fresh()
    return answer


@with_api()
async def test_pods_of_a_namespace(api):
    await with_account(api)
    await label(api, enforce="baseline", warn="restricted")
    pods = "/api/v1/namespaces/default/pods"
    status, answer = await api.post(pods, pod("p", hostNetwork=True))
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["message"] == (
        'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
    )
    answer = await api.raw("POST", pods, pod("p"))
    assert answer.status == 201
    assert answer.warnings[0].startswith('would violate PodSecurity "restricted:latest": allowPrivilegeEscalation')


@with_api()
async def test_what_makes_pods_is_warned_of(api):
    await label(api, enforce="baseline")
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {**pod("p")["spec"], "hostPID": True}}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
    body["spec"] = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    answer = await api.raw("POST", "/apis/apps/v1/namespaces/default/deployments", body)
    assert answer.status == 201
    assert answer.warnings == ['would violate PodSecurity "baseline:latest": host namespaces (hostPID=true)']


@with_api()
async def test_labels_of_a_namespace_are_checked_and_its_pods_looked_at(api):
    await with_account(api)
    for name in ("b", "a", "c"):
        await api.must("POST", "/api/v1/namespaces/default/pods", pod(name, hostIPC=name != "c"))
    await api.server.barrier.fresh()
    answer = await label(api, enforce="baseline")
    assert answer.warnings == [
        'existing pods in namespace "default" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
    ]
    status, answer = await api.patch(
        "/api/v1/namespaces/default", {"metadata": {"labels": {PREFIX + "enforce": "strict"}}}
    )
    assert status == 422
    assert "must be one of privileged, baseline, restricted" in answer["message"]
