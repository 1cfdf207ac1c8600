"""Endpoints that are refused, and names that become endpoints."""

from pathlib import Path

import pytest

from bus import BadAddress, Directory, ipc_endpoint
from bus.address import check_bind


@pytest.mark.parametrize(
    "endpoint", ["tcp://0.0.0.0:5000", "tcp://*:5000", "tcp://10.0.0.1:1", "tcp://[::]:1", "udp://x"]
)
def test_a_bind_that_strangers_could_reach_in_the_clear_is_refused(endpoint):
    with pytest.raises(BadAddress):
        check_bind(endpoint, encrypted=False)


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:5000", "tcp://[::1]:5000", "ipc:///x", "inproc://x"])
def test_a_private_bind_is_allowed(endpoint):
    check_bind(endpoint, encrypted=False)


def test_a_socket_path_that_the_kernel_would_cut_is_refused():
    with pytest.raises(BadAddress, match="107"):
        ipc_endpoint(Path("/" + "d" * 100), "state@m1", "work")


def test_a_directory_gives_endpoints_by_name_and_role():
    directory = Directory(
        Path("/run/k"), ["state@m1", "kubelet@w1", "kubelet@w2"], {"kubelet@w2": {"work": "tcp://h:1"}}
    )
    assert directory.work("state@m1") == "ipc:///run/k/state@m1.work"
    assert directory.work_of_role("kubelet") == ["ipc:///run/k/kubelet@w1.work", "tcp://h:1"]
