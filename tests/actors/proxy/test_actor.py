"""The proxy as a process, beside a real API server and state actor."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from actors.proxy.purge import table_name
from runtime import command
from tests.actors.control_plane import ControlPlane, control_plane, until

pytestmark = pytest.mark.timeout(90)

Object = dict[str, Any]


def a_service(name: str) -> Object:
    metadata = {"name": name, "namespace": "default"}
    spec = {"ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def its_slice(service: str, *ips: str, name: str = "") -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name or f"{service}-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ip], "conditions": {"ready": True}} for ip in ips],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    }


SLICES = "endpointslices.discovery.k8s.io"


async def settled(plane: ControlPlane, services: int) -> Object | None:
    state = await plane.inspect("proxy@m1")
    return state if state.get("synced") and state["services"] == services else None


def test_on_simulated_nodes_it_keeps_the_rules_to_itself(tmp_path):
    async def scenario():
        async with control_plane(tmp_path, ["proxy"]) as plane:
            await plane.api.create("services", a_service("web"))
            plane.start("proxy@m1")
            # The API server's own Service is there as well.
            state = await until(lambda: settled(plane, 2), "not synced")
            assert state["mode"] == "simulated" and state["error"] == ""
            before = state["items"]
            await plane.api.create(SLICES, its_slice("web", "10.244.0.5"))

            async def more() -> bool:
                return (await plane.inspect("proxy@m1"))["items"] > before

            await until(more, "the slice changed nothing")

    asyncio.run(scenario())


@pytest.fixture
def netns() -> Iterator[str]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    name = f"kbpa{os.getpid()}"
    subprocess.run(("ip", "netns", "add", name), check=True)
    yield name
    subprocess.run(("ip", "netns", "del", name), check=True)


def inside(netns: str, *command: str) -> str:
    done = subprocess.run(("ip", "netns", "exec", netns, *command), capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.real
def test_rules_follow_services_outlive_the_proxy_and_go_with_the_cluster(tmp_path, netns):
    table = table_name(tmp_path)

    def listed(name: str) -> str:
        return inside(netns, "nft", "list", "map", "ip", table, name)

    async def scenario():
        async with control_plane(tmp_path, ["proxy"], runtime="containerd") as plane:
            service = await plane.api.create("services", a_service("web"))
            ip = service["spec"]["clusterIP"]
            await plane.api.create(SLICES, its_slice("web", "10.244.0.5"))
            plane.start("proxy@m1", netns)
            state = await until(lambda: settled(plane, 2), "not synced")
            assert state["mode"] == "nftables" and state["error"] == "" and state["problems"] == []
            assert f"{ip} . tcp . 80 : goto service-" in listed("service-ips")
            assert inside(netns, "cat", "/proc/sys/net/ipv4/ip_forward") == "1\n"

            await plane.api.delete(SLICES, "web-1", "default")
            await until(lambda: has(lambda: listed("no-endpoint-services"), ip), "still served")
            assert ip not in listed("service-ips")

            plane.kill("proxy@m1")
            assert ip in listed("no-endpoint-services")  # rules stay while no proxy runs
            await plane.api.create(SLICES, its_slice("web", "10.244.0.6"))
            plane.start("proxy@m1", netns)
            await until(lambda: has(lambda: listed("service-ips"), ip), "not served again")
            assert ip not in listed("no-endpoint-services")

            bridge = (await plane.inspect("proxy@m1"))["bridge"]
            inside(netns, "ip", "link", "add", bridge, "type", "bridge")
            inside(netns, "ip", "addr", "add", "10.244.0.1/24", "dev", bridge)
            inside(netns, "ip", "link", "set", bridge, "up")
            await until(lambda: has(lambda: inside(netns, "ip", "route"), f"10.96.0.0/16 dev {bridge}"), "no route")

    asyncio.run(scenario())
    text = inside(netns, "nft", "list", "tables")
    assert table in text  # the proxy was stopped in good order; its rules are left
    code = f"import asyncio; from actors.proxy.purge import purge; asyncio.run(purge({str(tmp_path)!r}))"
    inside(netns, sys.executable, "-c", code)
    assert inside(netns, "nft", "list", "tables") == ""


async def has(read, text: str) -> bool:
    return text in read()


@pytest.mark.real
def test_without_nft_it_keeps_running_and_says_so(tmp_path, netns, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(command, "SYSTEM_DIRS", ())

    async def scenario():
        async with control_plane(tmp_path, ["proxy"], runtime="containerd") as plane:
            plane.start("proxy@m1", netns)

            async def complained() -> Object | None:
                state = await plane.inspect("proxy@m1")
                return state if state.get("error") else None

            state = await until(complained, "no error")
            assert state["error"] == "nft is not installed"
            assert not state["synced"]
            assert plane.processes["proxy@m1"].is_alive()

    asyncio.run(scenario())
