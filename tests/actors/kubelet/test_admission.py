"""Which pods a node refuses."""

import pytest

from actors.kubelet.admission import Place, refusal

from .pods import container, pod


def with_sysctl(name: str, **spec):
    made = pod(container())
    made["spec"] |= {"securityContext": {"sysctls": [{"name": name, "value": "1"}]}, **spec}
    return made


def test_an_ordinary_pod_is_taken_in():
    assert refusal(pod(container())) is None


@pytest.mark.parametrize("name", ["kernel.shm_rmid_forced", "net.ipv4.tcp_syncookies", "net/ipv4/tcp_syncookies"])
def test_safe_sysctls_are_allowed(name):
    assert refusal(with_sysctl(name)) is None


@pytest.mark.parametrize(
    ("name", "spec", "why"),
    [
        ("kernel.shmmax", {}, "not allowlisted"),
        ("net.ipv4.tcp_syncookies", {"hostNetwork": True}, "host net"),
        ("kernel.shm_rmid_forced", {"hostIPC": True}, "host ipc"),
    ],
)
def test_sysctls_that_reach_beyond_the_pod_are_refused(name, spec, why):
    ending = refusal(with_sysctl(name, **spec))
    assert ending is not None
    assert ending.reason == "SysctlForbidden"
    assert why in ending.message


def test_strict_groups_need_a_runtime_that_knows_them():
    made = pod(container(), securityContext={"supplementalGroupsPolicy": "Strict"})
    assert refusal(made) is None
    ending = refusal(made, Place(has_strict_groups=False))
    assert ending is not None
    assert ending.reason == "SupplementalGroupsPolicyNotSupported"
    merged = pod(container(), securityContext={"supplementalGroupsPolicy": "Merge"})
    assert refusal(merged, Place(has_strict_groups=False)) is None
