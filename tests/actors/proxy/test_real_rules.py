"""The rules in a kernel: network namespaces as node, pods and a client outside; made and removed by the test.

outside 192.0.2.2 ── 192.0.2.1 node 10.244.0.1 ─ bridge ─┬─ pod a 10.244.0.5
                                                         └─ pod b 10.244.0.6
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from actors.proxy.model import Ruleset
from actors.proxy.render import Locality, render_service
from actors.proxy.transaction import delete, full, partial
from tests.actors.proxy.objects import NODE, Object, endpoint, endpoint_slice, service

pytestmark = pytest.mark.real

POD_CIDR, SERVICE_CIDR = "10.244.0.0/16", "10.96.0.0/16"
TABLE = "kubus-0badcafe"
A, B = "10.244.0.5", "10.244.0.6"
CLUSTER_IP, NODE_IP, OUTSIDE_IP = "10.96.0.10", "192.0.2.1", "192.0.2.2"
READY_WITHIN_S = 10.0

# Answers every connection with its own name and the client's address.
SERVER = """
import socket, sys
listener = socket.create_server(("0.0.0.0", int(sys.argv[2])))
print("ready", flush=True)
while True:
    connection, peer = listener.accept()
    connection.sendall(f"{sys.argv[1]} {peer[0]}".encode())
    connection.close()
"""

# Connects so many times and prints a JSON list of answers, or of the names of errors.
CLIENT = """
import json, socket, sys
answers = []
for _ in range(int(sys.argv[3])):
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2) as connection:
            answers.append(connection.makefile().read())
    except OSError as error:
        answers.append(type(error).__name__)
print(json.dumps(answers))
"""


class Net:
    """The namespaces, and what runs in them."""

    def __init__(self) -> None:
        self.prefix = f"kbp{os.getpid()}"
        self.names = {name: f"{self.prefix}-{name}" for name in ("node", "a", "b", "outside")}
        self.servers: list[subprocess.Popen[str]] = []
        self.ruleset = Ruleset()

    def ip(self, *arguments: str) -> None:
        subprocess.run(("ip", *arguments), check=True, capture_output=True, text=True)

    def inside(self, where: str, *command: str, text: str = "") -> str:
        command = ("ip", "netns", "exec", self.names[where], *command)
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def up(self) -> None:
        for name in self.names.values():
            self.ip("netns", "add", name)
            self.ip("-n", name, "link", "set", "lo", "up")
        node = self.names["node"]
        self.ip("-n", node, "link", "add", "br0", "type", "bridge")
        self.ip("-n", node, "addr", "add", "10.244.0.1/24", "dev", "br0")
        self.ip("-n", node, "link", "set", "br0", "up")
        for pod, address in (("a", A), ("b", B)):
            self._join(pod, f"{address}/24", "10.244.0.1")
            self.ip("-n", node, "link", "set", f"to-{pod}", "master", "br0")
            self.ip("-n", node, "link", "set", f"to-{pod}", "type", "bridge_slave", "hairpin", "on")
        self._join("outside", f"{OUTSIDE_IP}/24", NODE_IP)
        self.ip("-n", node, "addr", "add", f"{NODE_IP}/24", "dev", "to-outside")
        self.prepare_kernel()

    def _join(self, name: str, address: str, gateway: str) -> None:
        node, other = self.names["node"], self.names[name]
        self.ip("-n", node, "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", other)
        self.ip("-n", node, "link", "set", f"to-{name}", "up")
        self.ip("-n", other, "addr", "add", address, "dev", "eth0")
        self.ip("-n", other, "link", "set", "eth0", "up")
        self.ip("-n", other, "route", "add", "default", "via", gateway)

    def prepare_kernel(self) -> None:
        """Run the proxy's own preparation as the proxy of this node would."""
        code = (
            "import asyncio, json; from actors.proxy import kernel\n"
            "async def main():\n"
            "    problems = await kernel.prepare()\n"
            f"    routed = await kernel.ensure_route('{SERVICE_CIDR}', 'br0')\n"
            f"    return problems, routed, kernel.has_route('{SERVICE_CIDR}', 'br0')\n"
            "print(json.dumps(asyncio.run(main())))"
        )
        assert json.loads(self.inside("node", sys.executable, "-c", code)) == [[], True, True]

    def down(self) -> None:
        for server in self.servers:
            server.kill()
            server.wait()
            assert server.stdout is not None
            server.stdout.close()
        for name in self.names.values():
            subprocess.run(("ip", "netns", "del", name), check=False, capture_output=True)

    def serve(self, pod: str, port: int = 8080) -> None:
        command = ("ip", "netns", "exec", self.names[pod], sys.executable, "-c", SERVER, pod, str(port))
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.servers.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"

    def ask(self, where: str, ip: str, port: int = 80, times: int = 1) -> list[str]:
        return json.loads(self.inside(where, sys.executable, "-c", CLIENT, ip, str(port), str(times)))

    def nft(self, text: str) -> None:
        self.inside("node", "nft", "-f", "-", text=text)

    def write_all(self) -> None:
        self.ruleset.forget_written()
        difference = self.ruleset.difference()
        self.nft(full(TABLE, POD_CIDR, SERVICE_CIDR, difference.added))
        self.ruleset.written(difference)

    def put(self, obj: Object | None, *slices: Object, name: str = "web") -> str:
        """Render, write the difference and return its text."""
        self.ruleset.put(f"default/{name}", render_service(obj, slices, Locality(NODE, POD_CIDR)))
        difference = self.ruleset.difference()
        text = partial(TABLE, difference)
        self.nft(text)
        self.ruleset.written(difference)
        return text


@pytest.fixture(scope="module")
def kernel() -> Iterator[Net]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    net = Net()
    try:
        net.up()
        net.serve("a")
        net.serve("b")
        yield net
    finally:
        net.down()


@pytest.fixture
def net(kernel: Net) -> Net:
    kernel.ruleset = Ruleset()
    kernel.write_all()
    return kernel


def both() -> Object:
    return endpoint_slice(endpoint(A), endpoint(B))


def who(answers: list[str]) -> Counter[str]:
    return Counter(answer.split()[0] for answer in answers)


@pytest.mark.parametrize("where", ["node", "a", "outside"])
def test_a_cluster_ip_is_spread_over_its_endpoints_from_everywhere(net, where):
    net.put(service(), both())
    answers = who(net.ask(where, CLUSTER_IP, times=40))
    assert set(answers) == {"a", "b"}


def test_pods_keep_their_address_and_others_get_the_nodes(net):
    net.put(service(), endpoint_slice(endpoint(B)))
    assert net.ask("a", CLUSTER_IP) == [f"b {A}"]
    assert net.ask("outside", CLUSTER_IP) == ["b 10.244.0.1"]


def test_a_pod_reaches_itself_through_its_service(net):
    net.put(service(), endpoint_slice(endpoint(A)))
    assert net.ask("a", CLUSTER_IP) == ["a 10.244.0.1"]


@pytest.mark.parametrize("where", ["node", "a", "outside"])
def test_without_endpoints_a_client_is_refused_at_once(net, where):
    net.put(service(), endpoint_slice())
    begin = time.monotonic()
    assert net.ask(where, CLUSTER_IP) == ["ConnectionRefusedError"]
    assert time.monotonic() - begin < 1.5


def test_another_port_of_a_cluster_ip_is_refused_and_an_unknown_one_goes_nowhere(net):
    net.put(service(), both())
    assert net.ask("a", CLUSTER_IP, 81) == ["ConnectionRefusedError"]
    assert net.ask("a", "10.96.9.9") == ["TimeoutError"]
    watching = f"ip daddr {SERVICE_CIDR} counter"
    hook = "{ type filter hook prerouting priority 0 ; }"
    net.inside(
        "outside", "nft", "-f", "-", text=f"add table ip t\nadd chain ip t c {hook}\nadd rule ip t c {watching}\n"
    )
    assert net.ask("node", "10.96.9.9")[0] in ("TimeoutError", "PermissionError")
    listing = net.inside("outside", "nft", "list", "table", "ip", "t")
    net.inside("outside", "nft", "delete", "table", "ip", "t")
    assert "counter packets 0" in listing  # nothing left the node


def test_a_node_port_is_served_on_the_nodes_addresses_but_not_on_loopback(net):
    net.put(service(type="NodePort", ports=(("", 80, 30080, "TCP"),)), both())
    assert set(who(net.ask("outside", NODE_IP, 30080, times=30))) == {"a", "b"}
    assert set(who(net.ask("node", NODE_IP, 30080, times=30))) == {"a", "b"}
    assert set(who(net.ask("a", "10.244.0.1", 30080, times=30))) == {"a", "b"}
    assert net.ask("node", "127.0.0.1", 30080) == ["ConnectionRefusedError"]


def test_a_node_port_without_endpoints_is_refused(net):
    net.put(service(type="NodePort", ports=(("", 80, 30080, "TCP"),)))
    assert net.ask("outside", NODE_IP, 30080) == ["ConnectionRefusedError"]
    assert net.ask("node", NODE_IP, 30080) == ["ConnectionRefusedError"]


def test_external_policy_local_shows_the_clients_address(net):
    local = service(type="NodePort", ports=(("", 80, 30080, "TCP"),), externalTrafficPolicy="Local")
    net.put(local, endpoint_slice(endpoint(A), endpoint(B, node="n2")))
    assert set(net.ask("outside", NODE_IP, 30080, times=10)) == {f"a {OUTSIDE_IP}"}
    net.put(local, endpoint_slice(endpoint(B, node="n2")))
    assert net.ask("outside", NODE_IP, 30080) == ["TimeoutError"]
    assert net.ask("node", NODE_IP, 30080) == ["b 10.244.0.1"]


def test_a_load_balancers_address_admits_its_source_ranges_only(net):
    def exposed(*ranges: str) -> Object:
        return service(type="LoadBalancer", ingress=("198.51.100.7",), loadBalancerSourceRanges=list(ranges))

    net.put(exposed("203.0.113.0/24"), both())
    assert net.ask("outside", "198.51.100.7") == ["TimeoutError"]
    net.put(exposed("203.0.113.0/24", f"{OUTSIDE_IP}/32"), both())
    assert set(who(net.ask("outside", "198.51.100.7", times=20))) == {"a", "b"}


def test_affinity_holds_a_client_through_changes_of_other_endpoints(net):
    sticky = service(sessionAffinity="ClientIP")
    net.put(sticky, both())
    (first,) = who(net.ask("outside", CLUSTER_IP, times=20))
    away = endpoint_slice(endpoint(A), endpoint(B), endpoint("10.244.0.77"))
    net.put(sticky, away)
    assert set(who(net.ask("outside", CLUSTER_IP, times=20))) == {first}
    other = "b" if first == "a" else "a"
    net.put(sticky, endpoint_slice(endpoint(A if other == "a" else B)))
    assert set(who(net.ask("outside", CLUSTER_IP, times=5))) == {other}


def test_affinity_ends_with_its_timeout(net):
    sticky = service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 1}})
    net.put(sticky, both())
    answers = set()
    deadline = time.monotonic() + READY_WITHIN_S
    while answers != {"a", "b"} and time.monotonic() < deadline:
        answers |= set(who(net.ask("outside", CLUSTER_IP)))
        time.sleep(1.2)  # longer than the timeout: each time a new client
    assert answers == {"a", "b"}


def test_an_update_writes_the_change_alone_and_open_connections_live_on(net):
    net.put(service("other", "10.96.0.11"), both(), name="other")
    net.put(service(), endpoint_slice(endpoint(A)))
    text = net.put(service(), both())
    assert "other" not in text and "delete" not in text and text.count("flush chain") == 1
    assert set(who(net.ask("a", CLUSTER_IP, times=30))) == {"a", "b"}
    moved = service(ip="10.96.0.12")
    net.put(moved, both())
    assert net.ask("a", CLUSTER_IP) != ["a", "b"] and set(who(net.ask("a", "10.96.0.12", times=30))) == {"a", "b"}
    assert set(who(net.ask("a", "10.96.0.11", times=30))) == {"a", "b"}


def test_a_verdict_changes_in_place(net):
    """From served to refused and back: the element moves between maps, or changes its value, in one transaction."""
    policy = service(type="NodePort", ports=(("", 80, 30080, "TCP"),), internalTrafficPolicy="Local")
    for _ in range(2):
        net.put(policy, endpoint_slice(endpoint(A)))
        assert net.ask("a", CLUSTER_IP) == ["a 10.244.0.1"]
        net.put(policy, endpoint_slice(endpoint(A, node="n2")))
        assert net.ask("b", CLUSTER_IP) == ["TimeoutError"]
        net.put(policy)
        assert net.ask("b", CLUSTER_IP) == ["ConnectionRefusedError"]
        net.put(policy | {"spec": policy["spec"] | {"internalTrafficPolicy": "Cluster"}}, both())
        assert set(who(net.ask("b", CLUSTER_IP, times=30))) == {"a", "b"}


def test_writing_everything_anew_changes_nothing_for_clients_and_delete_leaves_nothing(net):
    net.put(service(sessionAffinity="ClientIP", type="NodePort", ports=(("", 80, 30080, "TCP"),)), both())
    net.write_all()
    assert who(net.ask("a", CLUSTER_IP))
    net.put(None)
    listing = net.inside("node", "nft", "list", "table", "ip", TABLE)
    assert "service-" not in listing.replace("service-ips", "").replace("service-nodeports", "")
    assert "affinity-" not in listing and "endpoint-" not in listing.replace("no-endpoint-", "")
    net.nft(delete(TABLE))
    assert net.inside("node", "nft", "list", "ruleset") == ""
    net.nft(delete(TABLE))


def test_two_clusters_share_a_kernel(net):
    net.put(service(), endpoint_slice(endpoint(A)))
    other = Ruleset()
    other.put(
        "default/web", render_service(service(ip="10.97.0.10"), [endpoint_slice(endpoint(B))], Locality(NODE, POD_CIDR))
    )
    net.nft(full("kubus-0ther", POD_CIDR, "10.97.0.0/16", other.difference().added))
    assert who(net.ask("outside", CLUSTER_IP)) == {"a": 1}
    assert who(net.ask("outside", "10.97.0.10")) == {"b": 1}
    net.nft(delete("kubus-0ther"))
    assert who(net.ask("outside", CLUSTER_IP)) == {"a": 1}


def test_many_services_are_written_in_little_time(net):
    for number in range(1000):
        ip = f"10.96.{number // 200 + 1}.{number % 200 + 1}"
        obj = service(f"s{number}", ip)
        net.ruleset.put(f"default/s{number}", render_service(obj, [both()], Locality(NODE, POD_CIDR)))
    begin = time.monotonic()
    net.write_all()
    whole_s = time.monotonic() - begin
    begin = time.monotonic()
    net.put(service("s7", "10.96.1.8"), endpoint_slice(endpoint(A)), name="s7")
    one_s = time.monotonic() - begin
    assert net.ask("a", "10.96.1.8") == ["a 10.244.0.1"]
    print(f"1000 services: {whole_s * 1000:.0f} ms for all, {one_s * 1000:.0f} ms for one change")
    assert whole_s < 10 and one_s < 2


def test_the_tools_complaint_is_told():
    from runtime.command import CommandFailed, run

    with pytest.raises(CommandFailed, match="syntax error"):
        asyncio.run(run("nft", "-c", "-f", "-", text="add nonsense\n"))
    with pytest.raises(CommandFailed, match="no-such-tool is not installed"):
        asyncio.run(run("no-such-tool"))
