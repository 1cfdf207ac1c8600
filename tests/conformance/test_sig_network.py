"""sig-network, sig-apps: what flows between pods and through Services, on containers."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import NODE_ADDRESS, eventually
from tests.conformance.access import Api, Object, Refused
from tests.conformance.pods import SLEEP, Space, container, pod, script

pytestmark = [pytest.mark.real, pytest.mark.timeout(90)]

SLICES = "discovery.k8s.io/v1/endpointslices"
HTTP, UDP = 8080, 8081

# Tells its name, or with what it was asked; by UDP its name and what was said. The toolbox cannot do all of that: the
# machine's files are mounted, and the test's interpreter runs in them.
PYTHON = f"chroot /machine {sys.executable} -c"
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
SERVER = f"""
import http.server, os, signal, socket, threading
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        said = socket.gethostname() if self.path == "/hostname" else self.command + " " + self.path
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.encode())
for method in {METHODS!r}:
    setattr(Handler, "do_" + method, Handler.answer)
web = http.server.ThreadingHTTPServer(("", {HTTP}), Handler)
threading.Thread(target=web.serve_forever, daemon=True).start()
server = socket.socket(type=socket.SOCK_DGRAM)
server.bind(("", {UDP}))
while True:
    said, where = server.recvfrom(100)
    server.sendto(socket.gethostname().encode() + b" " + said, where)
"""
UDP_CLIENT = """
import socket, sys
client = socket.socket(type=socket.SOCK_DGRAM)
client.settimeout(1)
client.connect((sys.argv[1], int(sys.argv[2])))
client.send(b"hello")
print(client.recv(100).decode())
"""
MACHINE = [{"name": "machine", "hostPath": {"path": "/", "type": "Directory"}}]
MOUNTS = [{"name": "machine", "mountPath": "/machine", "readOnly": True}]


def server(name: str, label: str = "server") -> Object:
    ports = [{"name": "http", "containerPort": HTTP}, {"name": "udp", "containerPort": UDP, "protocol": "UDP"}]
    probe = {"httpGet": {"path": "/hostname", "port": HTTP}, "periodSeconds": 1}
    env = [{"name": "SERVER", "value": SERVER}]
    serves = container(f'exec {PYTHON} "$SERVER"', ports=ports, env=env, readinessProbe=probe, volumeMounts=MOUNTS)
    return pod(serves, name=name, labels={"app": label}, volumes=MACHINE)


def asker(name: str, **spec: Any) -> Object:
    env = [{"name": "UDP_CLIENT", "value": UDP_CLIENT}]
    return pod(container(SLEEP, env=env, volumeMounts=MOUNTS), name=name, volumes=MACHINE, **spec)


def service(name: str, *ports: Object, **spec: Any) -> Object:
    fields = {"ports": list(ports), **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": fields}


class Client:
    """A pod to send requests from."""

    def __init__(self, space: Space, name: str):
        self._space, self._name = space, name

    def run(self, command: str) -> str:
        words = ("kubectl", "-n", self._space.name, "exec", self._name, "--", "sh", "-c", command)
        return self._space.api.cluster.run(*words, status=None).stdout

    def http(self, host: str, port: int, path: str = "/hostname") -> str:
        """Return who answers, or nothing."""
        return self.run(f"timeout 2 wget -qO- http://{host}:{port}{path}").strip()

    def udp(self, host: str, port: int) -> str:
        return self.run(f'{PYTHON} "$UDP_CLIENT" {host} {port}').removesuffix(" hello\n")


@pytest.fixture(scope="module")
def pods(space: Space) -> dict[str, str]:
    """Addresses of two servers, of a client in a pod's network, and of one in the node's."""
    names = [space.start(server(f"server-{number}")) for number in range(2)]
    names.append(space.start(asker("client")))
    names.append(space.start(asker("node-client", hostNetwork=True)))
    return {name: space.ready(name)["status"]["podIP"] for name in names}


@pytest.fixture(scope="module")
def servers(pods: dict[str, str]) -> dict[str, str]:
    return {name: address for name, address in pods.items() if name.startswith("server")}


@pytest.fixture
def client(space: Space, pods: dict[str, str]) -> Client:
    return Client(space, "client")


def test_the_api_servers_endpoints(api: Api):
    """kubernetes.default Endpoints and EndpointSlices"""
    default = Space(api, "default")
    (port,) = default.get("services", "kubernetes")["spec"]["ports"]
    assert (port["name"], port["port"]) == ("https", 443)
    (subset,) = default.get("endpoints", "kubernetes")["subsets"]
    assert [one["ip"] for one in subset["addresses"]] == [NODE_ADDRESS]
    (found,) = default.list(SLICES, "kubernetes.io/service-name=kubernetes")
    assert [endpoint["addresses"] for endpoint in found["endpoints"]] == [[NODE_ADDRESS]]
    assert found["ports"][0]["port"] == subset["ports"][0]["port"] == api.address[1]


def test_http_between_pods(client: Client, servers: dict[str, str]):
    """Networking, intra pod http"""
    for name, address in servers.items():
        assert client.http(address, HTTP) == name


def test_udp_between_pods(client: Client, servers: dict[str, str]):
    """Networking, intra pod udp"""
    for name, address in servers.items():
        assert client.udp(address, UDP) == name


def test_http_from_the_node(space: Space, servers: dict[str, str]):
    """Networking, intra pod http, from node"""
    node = Client(space, "node-client")
    for name, address in servers.items():
        assert node.http(address, HTTP) == name
        assert node.udp(address, UDP) == name


def test_a_controller_runs_an_image(space: Space, client: Client):
    """Replication Controller, run basic image"""
    one = server("unused", "basic")["spec"] | {"restartPolicy": "Always"}
    labels = {"app": "basic"}
    fields = {"replicas": 1, "selector": labels, "template": {"metadata": {"labels": labels}, "spec": one}}
    metadata = {"name": "basic"}
    space.create(
        "replicationcontrollers",
        {"apiVersion": "v1", "kind": "ReplicationController", "metadata": metadata, "spec": fields},
    )
    (name,) = (one["metadata"]["name"] for one in eventually(lambda: space.list("pods", "app=basic"), "its pod", 15))
    address = space.ready(name)["status"]["podIP"]
    assert [client.http(address, HTTP), client.udp(address, UDP)] == [name, name]
    assert client.run(f"timeout 2 nc -w 1 {address} {HTTP} </dev/null && echo open") == "open\n"
    space.delete("replicationcontrollers", "basic")


@pytest.fixture
def sliced(space: Space) -> Iterator[Any]:
    """Makes a Service without a selector, with slices made by hand of (name of port, number, addresses)."""
    made: list[str] = []

    def make(name: str, *slices: tuple[str, int, list[str]]) -> str:
        ports = [{"name": port, "port": 80 + place} for place, (port, _, _) in enumerate(slices)]
        address = space.create("services", service(name, *ports))["spec"]["clusterIP"]
        made.append(name)
        for place, (port, number, addresses) in enumerate(slices):
            metadata = {"name": f"{name}-{place}", "labels": {"kubernetes.io/service-name": name}}
            body = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata}
            endpoints = [{"addresses": [one]} for one in addresses]
            ports = [{"name": port, "port": number, "protocol": "TCP"}]
            space.create(SLICES, body | {"addressType": "IPv4", "endpoints": endpoints, "ports": ports})
        return str(address)

    yield make
    for name in made:
        space.delete("services", name)


def test_slices_with_several_addresses(space: Space, client: Client, servers: dict[str, str], sliced: Any):
    """EndpointSlice, multiple IPs, multiple ports"""
    first, second = servers.items()
    address = sliced("several", ("one", HTTP, [first[1]]), ("two", HTTP, [second[1]]))
    eventually(lambda: client.http(address, 80) == first[0], "the first port is served", 20)
    eventually(lambda: client.http(address, 81) == second[0], "the second port is served", 20)


def test_slices_with_one_address(space: Space, client: Client, sliced: Any):
    """EndpointSlice, single IP, multiple ports"""
    serve = f"mkdir /one /two; echo one > /one/hostname; echo two > /two/hostname; httpd -p {HTTP} -h /one"
    made = script(f"{serve}; exec httpd -f -p {HTTP + 1} -h /two", name="two-ports")
    where = space.ready(space.start(made))["status"]["podIP"]
    address = sliced("one-address", ("one", HTTP, [where]), ("two", HTTP + 1, [where]))
    eventually(lambda: client.http(address, 80) == "one", "the first port is served", 20)
    eventually(lambda: client.http(address, 81) == "two", "the second port is served", 20)


def test_one_port_of_two_protocols(space: Space, client: Client, servers: dict[str, str]):
    """Service, should serve endpoints on same port and different protocols."""
    tcp = {"name": "tcp", "port": 80, "targetPort": HTTP, "protocol": "TCP"}
    udp = {"name": "udp", "port": 80, "targetPort": UDP, "protocol": "UDP"}
    made = space.create("services", service("protocols", tcp, udp, selector={"app": "server"}))
    address, names = made["spec"]["clusterIP"], set(servers)

    def answers() -> tuple[bool, bool]:
        return client.http(address, 80) in names, client.udp(address, 80) in names

    for ports in ([tcp, udp], [tcp], [udp]):
        space.modify("services", "protocols", lambda one, ports=ports: one["spec"].update(ports=ports))
        eventually(lambda ports=ports: answers() == (tcp in ports, udp in ports), f"{ports} alone answer", 20)
    space.delete("services", "protocols")


@pytest.fixture(scope="module")
def proxied(space: Space, servers: dict[str, str]) -> str:
    """A Service to be reached through the API server."""
    port = {"name": "http", "port": 80, "targetPort": HTTP}
    space.create("services", service("proxied", port, selector={"app": "server"}))
    eventually(lambda: space.list(SLICES, "kubernetes.io/service-name=proxied")[0]["endpoints"], "it has endpoints", 20)
    return "proxied"


@pytest.mark.parametrize(
    ("behaviour", "tail"),
    [("Proxy, validate Proxy responses", "/"), ("Proxy, validate ProxyWithPath responses", "/some/path/with/GET")],
)
def test_every_method_goes_through(behaviour: str, tail: str, space: Space, api: Api, proxied: str):
    pods = [space.path("pods", f"{scheme}server-0:{HTTP}", "proxy") for scheme in ("", "http:")]
    services = [space.path("services", f"{proxied}:{port}", "proxy") for port in ("http", "80")]
    for path in [*pods, *services]:
        for method in METHODS:
            body = b"body" if method in ("PATCH", "POST", "PUT") else None
            answer = api.ask(method, path + tail, body, a="b")
            assert (answer.code, answer.body.decode()) == (200, "" if method == "HEAD" else f"{method} {tail}?a=b")


def test_a_service_through_the_api_server(space: Space, api: Api, proxied: str, servers: dict[str, str]):
    """Proxy through apiserver to a Service"""
    path = space.path("services", f"{proxied}:http", "proxy/hostname")
    answered = {api.request("GET", path).decode().strip() for _ in range(20)}
    assert answered == set(servers)
    with pytest.raises(Refused) as refused:
        api.request("GET", space.path("services", "nobody", "proxy/"))
    assert refused.value.code == 404


def test_own_name_servers(space: Space):
    """DNS, custom dnsConfig"""
    config = {
        "nameservers": ["1.1.1.1"],
        "searches": ["resolv.conf.local"],
        "options": [{"name": "ndots", "value": "2"}],
    }
    said = space.run(pod(container("cat /etc/resolv.conf"), dnsPolicy="None", dnsConfig=config))
    expected = {"search resolv.conf.local", "nameserver 1.1.1.1", "options ndots:2"}
    assert set(said.splitlines()) == expected
