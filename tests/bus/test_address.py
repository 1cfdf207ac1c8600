"""Endpoints that are refused, and names that become endpoints."""

from pathlib import Path

import pytest

from bus import BadAddress, Directory, ipc_endpoint
from bus.address import check_in_the_clear, named, split_name


@pytest.mark.parametrize(
    "endpoint", ["tcp://0.0.0.0:5000", "tcp://*:5000", "tcp://10.0.0.1:1", "tcp://[::]:1", "udp://x"]
)
def test_a_bind_that_strangers_could_reach_in_the_clear_is_refused(endpoint):
    with pytest.raises(BadAddress):
        check_in_the_clear(endpoint)


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:5000", "tcp://[::1]:5000", "ipc:///x", "inproc://x"])
def test_a_private_bind_is_allowed(endpoint):
    check_in_the_clear(endpoint)


def test_a_socket_path_that_the_kernel_would_cut_is_refused():
    with pytest.raises(BadAddress, match="107"):
        ipc_endpoint(Path("/" + "d" * 100), "state@m1", "work")


def test_a_directory_gives_endpoints_by_name_and_role():
    directory = Directory(
        Path("/run/k"), ["state@m1", "kubelet@w1", "kubelet@w2"], {"kubelet@w2": {"work": "tcp://h:1"}}
    )
    assert directory.work("state@m1") == "ipc:///run/k/state@m1.work"
    assert directory.work_of_role("kubelet") == ["ipc:///run/k/kubelet@w1.work", "tcp://h:1/kubelet@w2"]


@pytest.mark.parametrize("endpoint", ["tcp://10.0.0.1:7001/state@m1", "tcp://[fd00::1]:7001/state@m1"])
def test_an_endpoint_on_the_network_says_who_must_answer(endpoint):
    address, name = split_name(endpoint)
    assert (name, named(address, name)) == ("state@m1", endpoint)


def test_an_endpoint_on_this_machine_is_taken_as_it_is():
    assert split_name("ipc:///run/k/state@m1.work") == ("ipc:///run/k/state@m1.work", "")
    assert split_name("tcp://127.0.0.1:1") == ("tcp://127.0.0.1:1", "")
