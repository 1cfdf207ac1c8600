"""The proxies: names taken apart, servers found, HTTP handed on and back; the server is a script of bytes."""

import asyncio

import pytest

from actors.api.errors import ApiError
from actors.apiserver.streams.target import Wanted, take_apart
from actors.kubelet.messages import UNREACHABLE, NodeReply, NodeRequest, TunnelData
from bus import RemoteError
from tests.actors.apiserver.api_harness import pod, serving, with_account
from tests.actors.apiserver.streams.imagined import WEBSOCKET, Client, Kubelets

WEB = "/api/v1/namespaces/default/pods/web:8080/proxy"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("web", Wanted("http", "web", "")),
        ("web:80", Wanted("http", "web", "80")),
        ("https:web:", Wanted("https", "web", "")),
        (":web:main", Wanted("http", "web", "main")),
        ("https:web:443", Wanted("https", "web", "443")),
    ],
)
def test_names_are_taken_apart(text, wanted):
    assert take_apart(text) == wanted


@pytest.mark.parametrize("text", ["ftp:web:1", "a:b:c:d", "https::1"])
def test_names_that_are_none(text):
    with pytest.raises(ApiError):
        take_apart(text)


def with_server(answer: bytes | list[bytes] | Exception, scenario):
    """Run `scenario(api, kubelets)` with a running pod whose server answers with these bytes."""
    pieces = [answer] if isinstance(answer, bytes) else answer

    def prepare(request, stream):
        if isinstance(pieces, Exception):
            stream.say(pieces)
        else:
            stream.say(TunnelData(b""), *map(TunnelData, pieces), TunnelData(b""))

    async def main():
        async with asyncio.timeout(20), serving() as api:
            api.server.kubelets = kubelets = Kubelets()
            kubelets.prepare = prepare
            await with_account(api)
            containers = [{"name": "main", "image": "x", "ports": [{"name": "web", "containerPort": 8080}]}]
            made = await api.must("POST", "/api/v1/namespaces/default/pods", pod("web", "sim-0", containers=containers))
            made["status"] = {"podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}], "phase": "Running"}
            await api.must("PUT", "/api/v1/namespaces/default/pods/web/status", made)
            await api.server.barrier.fresh()
            await scenario(api, kubelets)

    asyncio.run(main())


def asked(kubelets) -> tuple[str, dict[str, str], bytes]:
    """The request that the server got: its first line, its headers, its body."""
    data = b"".join(item.data for item in kubelets.opened[-1][2].heard)
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines), body


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nX-One: 1\r\n\r\nhello"


def test_a_request_is_handed_on_and_its_answer_back():
    async def scenario(api, kubelets):
        client = Client(api)
        headers = {"X-Mine": "yes", "Authorization": "Basic x", "Accept": "text/plain", "Cookie": "a=b"}
        client.ask("POST", f"{WEB}/a%2Fb//c?q=1&q=2", headers, b"body")
        status, answer, body = await client.head()
        assert (status, answer["content-type"], answer["x-one"], body) == (200, "text/plain", "1", b"hello")
        first, got, sent = asked(kubelets)
        assert (first, sent) == ("POST /a%2Fb//c?q=1&q=2 HTTP/1.1", b"body")
        assert got["Host"] == "10.1.2.3:8080"
        assert (got["x-mine"], got["accept"], got["cookie"], got["Content-Length"]) == ("yes", "text/plain", "a=b", "4")
        assert {name.lower() for name in got} & {"authorization", "transfer-encoding"} == set()
        node, request, _ = kubelets.opened[0]
        assert (node, request.pod, request.port, request.inside) == ("sim-0", "web", 8080, False)

    with_server(OK, scenario)


@pytest.mark.parametrize("name", ["web", "web:web", "http:web:8080", ":web:8080"])
def test_ports_by_number_name_or_first(name):
    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("GET", f"/api/v1/namespaces/default/pods/{name}/proxy/", {})
        assert (await client.head())[0] == 200
        assert kubelets.opened[0][1].port == 8080

    with_server(OK, scenario)


def test_a_body_that_goes_on_is_handed_on_as_it_comes():
    pieces = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"]

    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("GET", f"{WEB}/", {})
        status, headers, rest = await client.head()
        while not rest.endswith(b"0\r\n\r\n"):
            rest += await client.receive()
        assert (status, headers["transfer-encoding"]) == (200, "chunked")
        assert rest == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        assert kubelets.opened[0][2].closed.is_set()

    with_server(pieces, scenario)


def test_a_body_until_the_connection_s_end():
    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("GET", f"{WEB}/", {})
        _, _, rest = await client.head()
        while not rest.endswith(b"0\r\n\r\n"):
            rest += await client.receive()
        assert b"to the end" in rest

    with_server([b"HTTP/1.0 200 OK\r\n\r\n", b"to the end"], scenario)


def test_an_answer_that_is_cut_short_is_cut_short_for_the_client_too():
    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("GET", f"{WEB}/", {})
        await client.head()
        while await client.receive():
            pass
        assert client.transport.closed

    with_server([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"only this"], scenario)


@pytest.mark.parametrize(
    ("location", "led"),
    [
        ("/login?next=1", f"{WEB}/login?next=1"),
        ("http://10.1.2.3:8080/login", f"{WEB}/login"),
        ("http://example.com/login", "http://example.com/login"),
        ("sibling", "sibling"),
    ],
)
def test_redirects_lead_through_the_proxy_again(location, led):
    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("GET", f"{WEB}/x", {})
        status, headers, _ = await client.head()
        assert (status, headers["location"]) == (302, led)

    with_server(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location.encode(), scenario)


def test_a_proxy_without_a_path_redirects_to_one():
    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("GET", f"{WEB}?a=b", {})
        status, headers, _ = await client.head()
        assert (status, headers["location"]) == (301, f"{WEB}/?a=b")

    with_server(OK, scenario)


def test_cookies_come_one_by_one_and_a_head_has_no_body():
    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("HEAD", f"{WEB}/", {})
        data = await client.receive()
        assert data.count(b"set-cookie: ") == 2
        assert data.endswith(b"\r\n\r\n")

    cookies = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 5\r\n\r\n"
    with_server(cookies, scenario)


LONG_HEAD = [b"HTTP/1.1 200 OK\r\n", *(b"A: " + b"x" * 8000 + b"\r\n" for _ in range(20))]


@pytest.mark.parametrize(
    "answer",
    [RemoteError("connection refused", kind=UNREACHABLE), b"SSH-2.0-x\r\n", [], LONG_HEAD],
    ids=["refused", "no HTTP", "silence", "a long head"],
)
def test_servers_that_do_not_answer_well(answer):
    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("GET", f"{WEB}/", {})
        status = await client.status()
        assert (status["code"], status["reason"]) == (503, "ServiceUnavailable")
        assert "details" not in status  # with retryAfterSeconds, client libraries would ask ten times over
        assert kubelets.opened[0][2].closed.is_set()

    with_server(answer, scenario)


def test_an_interim_answer_is_passed_over():
    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("GET", f"{WEB}/", {})
        status, headers, body = await client.head()
        assert (status, body, "x-early" in headers) == (200, b"hello", False)

    with_server(b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" + OK, scenario)


def test_an_upgrade_is_joined_to_the_server_s():
    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("GET", f"{WEB}/ws", WEBSOCKET)
        status, headers, early = await client.head()
        assert (status, headers["sec-websocket-accept"]) == (101, "x")
        assert (early or await client.receive()) == b"\x81\x02hi"
        first, got, _ = asked(kubelets)
        assert (got["Upgrade"], got["Connection"], got["sec-websocket-version"]) == ("websocket", "Upgrade", "13")

    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    with_server(switched + b"Sec-WebSocket-Accept: x\r\n\r\n\x81\x02hi", scenario)


def test_a_status_that_nobody_knows_is_handed_on():
    async def scenario(api, kubelets):
        client = Client(api)
        client.ask("GET", f"{WEB}/", {})
        assert (await client.head())[0] == 599

    with_server(b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", scenario)


def with_service(api, ready: bool):
    service = {
        "kind": "Service", "apiVersion": "v1", "metadata": {"name": "web"},
        "spec": {"ports": [{"name": "main", "port": 80, "targetPort": 8080}], "selector": {"app": "web"}},
    }  # fmt: skip
    endpoint = {
        "addresses": ["10.1.2.3"], "conditions": {"ready": ready}, "nodeName": "sim-0",
        "targetRef": {"kind": "Pod", "name": "web", "namespace": "default"},
    }  # fmt: skip
    slices = {
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4", "endpoints": [endpoint],
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "main", "port": 8080, "protocol": "TCP"}],
    }  # fmt: skip
    return service, slices


@pytest.mark.parametrize(
    ("name", "ready", "code"),
    [
        ("web:80", True, 200),
        ("web:main", True, 200),
        ("web:81", True, 503),
        ("web:80", False, 503),
        ("nope:80", True, 404),
    ],
)
def test_services_lead_to_a_ready_endpoint(name, ready, code):
    async def scenario(api, kubelets):
        service, slices = with_service(api, ready)
        await api.must("POST", "/api/v1/namespaces/default/services", service)
        await api.must("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slices)
        await api.server.barrier.fresh()
        client = Client(api)
        client.ask("GET", f"/api/v1/namespaces/default/services/{name}/proxy/x", {})
        assert (await client.head())[0] == code
        assert [request.port for _, request, _ in kubelets.opened] == ([8080] if code == 200 else [])

    with_server(OK, scenario)


def test_a_node_answers_for_itself_on_the_bus():
    async def scenario(api, kubelets):
        kubelets.answer = NodeReply(200, "text/plain", b"ok")
        await api.must("POST", "/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "sim-0"}})
        await api.server.barrier.fresh()
        client = Client(api)
        client.ask("GET", "/api/v1/nodes/sim-0/proxy/healthz?verbose=1", {})
        status, _, body = await client.head()
        assert (status, body) == (200, b"ok")
        assert kubelets.opened == [("sim-0", NodeRequest("sim-0", "/healthz", "verbose=1"), None)]

    with_server(OK, scenario)
