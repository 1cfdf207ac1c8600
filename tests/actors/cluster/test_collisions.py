"""Networks of this machine that a cluster would collide with."""

import struct
import sys

import pytest

from actors.api.config import ClusterConfig, NetworkConfig, NodeConfig
from actors.cluster.collisions import overlaps

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def word(address: str) -> str:
    return f"{struct.unpack('=I', bytes(map(int, address.split('.'))))[0]:08X}"


def route(device: str, network: str, mask: str) -> str:
    return f"{device}\t{word(network)}\t00000000\t0001\t0\t0\t0\t{word(mask)}\t0\t0\t0\n"


def config(**network) -> ClusterConfig:
    return ClusterConfig(nodes={"w1": NodeConfig(["kubelet"])}, network=NetworkConfig(**network))


@pytest.mark.skipif(sys.byteorder != "little", reason="the words of the test are made for the machine's own order")
def test_the_words_are_in_the_machines_order():
    assert word("10.244.0.0") == "0000F40A"


def test_another_clusters_bridge_and_a_wider_network_collide():
    routes = HEAD + route("kbr-other", "10.244.0.0", "255.255.255.0") + route("tun0", "10.0.0.0", "255.0.0.0")
    found = overlaps(config(), "kbr-own", routes)
    assert found == [
        "network.pod_cidr 10.244.0.0/16 overlaps 10.244.0.0/24 of kbr-other; choose another in the config",
        "network.pod_cidr 10.244.0.0/16 overlaps 10.0.0.0/8 of tun0; choose another in the config",
        "network.service_cidr 10.96.0.0/16 overlaps 10.0.0.0/8 of tun0; choose another in the config",
    ]


def test_own_routes_default_routes_and_strangers_do_not():
    routes = (
        HEAD
        + route("eth0", "0.0.0.0", "0.0.0.0")
        + route("eth0", "192.168.1.0", "255.255.255.0")
        + route("kbr-own", "10.244.0.0", "255.255.255.0")
        + route("kbr-own", "10.96.0.0", "255.255.0.0")
    )
    assert overlaps(config(), "kbr-own", routes) == []
    assert overlaps(config(pod_cidr="10.245.0.0/16"), "kbr-own", routes + route("b", "10.244.0.0", "255.255.0.0")) == []
