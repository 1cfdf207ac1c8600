"""HTTP on a connection: whole and chunked answers, pipelining, limits, ends; over an imagined transport."""

import asyncio

import pytest
import structlog

from actors.apiserver import http_connection
from actors.apiserver.call import MAX_BODY_BYTES
from actors.apiserver.http_connection import Connection
from actors.apiserver.http_front import HttpFront
from tests.actors.apiserver.api_harness import ADMIN, Api, config_map, serving

CMS = "/api/v1/namespaces/default/configmaps"


class Transport:
    """What a transport is to a protocol. `identity` of the connection is set by the test."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False
        self.reading = True
        self.wrote = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.written += data
        self.wrote.set()

    def close(self) -> None:
        self.closed = True
        self.wrote.set()

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str) -> None:
        return None


class Peer:
    """A client's end of an imagined connection to an API."""

    def __init__(self, api: Api) -> None:
        front = HttpFront(api.handler, api.server.authorizer, api.server.bearer, structlog.get_logger())
        self.transport = Transport()
        self.tasks: set = set()
        self.connection = Connection(front, set(), self.tasks)
        self.connection.connection_made(self.transport)
        self.connection.identity = ADMIN

    def send(self, text: str, body: bytes = b"") -> None:
        self.connection.data_received(text.replace("\n", "\r\n").encode() + body)

    async def receive(self, until: bytes = b"") -> bytes:
        """What has been written when nothing more is being worked on, or when `until` is in it."""
        async with asyncio.timeout(2):
            while (until and until not in self.transport.written) or (not until and self.tasks):
                await asyncio.sleep(0.001)
        data, self.transport.written = self.transport.written, b""
        return data


def over_http(test):
    def wrapper():
        async def main():
            async with serving() as api:
                await test(api, Peer(api))

        asyncio.run(main())

    wrapper.__name__ = test.__name__
    return wrapper


@over_http
async def test_get_and_keep_alive(api, peer):
    for _ in range(2):
        peer.send("GET /healthz HTTP/1.1\nHost: x\n\n")
        answer = await peer.receive()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\nok")
        assert b"content-length: 2\r\n" in answer
    assert not peer.transport.closed


@over_http
async def test_head_has_no_body(api, peer):
    peer.send("HEAD /healthz HTTP/1.1\nHost: x\n\n")
    answer = await peer.receive()
    assert b"content-length: 2\r\n" in answer and answer.endswith(b"\r\n\r\n")


@over_http
async def test_pipelined_requests_are_answered_in_order(api, peer):
    peer.send("GET /version HTTP/1.1\nHost: x\n\nGET /healthz HTTP/1.1\nHost: x\n\nGET /livez HTTP/1.1\nHost: x\n\n")
    assert not peer.transport.reading
    answers = await peer.receive(b"ok" + b"")
    answers += await peer.receive()
    assert answers.count(b"HTTP/1.1 200") == 3 and answers.index(b"gitVersion") < answers.index(b"\r\n\r\nok")
    assert peer.transport.reading


@over_http
async def test_a_request_to_upgrade_waits_for_the_answer_before_it(api, peer):
    """A quick client's comes when the answer before it is written, but the connection has not heard of its end."""
    peer.send("GET /version HTTP/1.1\nHost: x\n\n")
    await peer.transport.wrote.wait()
    peer.send("GET /healthz HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n\nearly")
    answers = await peer.receive()
    assert answers.count(b"HTTP/1.1 200") == 2 and answers.endswith(b"\r\n\r\nok")
    assert b"connection: close" in answers.rpartition(b"HTTP/1.1 200")[2].lower()
    assert peer.transport.closed


@over_http
async def test_body_in_pieces_and_chunks(api, peer):
    body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}'
    peer.send(f"POST {CMS} HTTP/1.1\nHost: x\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n")
    for start in range(0, len(body), 20):
        piece = body[start : start + 20]
        peer.connection.data_received(b"%x\r\n%b\r\n" % (len(piece), piece))
    peer.connection.data_received(b"0\r\n\r\n")
    assert (await peer.receive()).startswith(b"HTTP/1.1 201 Created")


@over_http
async def test_expect_continue(api, peer):
    peer.send(f"POST {CMS} HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 2\n\n")
    assert await peer.receive(b"100 Continue") == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.connection.data_received(b"{}")
    assert (await peer.receive()).startswith(b"HTTP/1.1 4")


@over_http
async def test_too_large_body_is_not_kept(api, peer):
    peer.send(f"POST {CMS} HTTP/1.1\nHost: x\nContent-Length: {MAX_BODY_BYTES + 10}\n\n")
    for _ in range(4):
        peer.connection.data_received(b" " * (MAX_BODY_BYTES // 4))
    peer.connection.data_received(b" " * (MAX_BODY_BYTES + 10 - 4 * (MAX_BODY_BYTES // 4)))
    assert (await peer.receive()).startswith(b"HTTP/1.1 413")


@over_http
async def test_too_large_head_and_garbage_lose_the_connection(api, peer):
    peer.send("GET / HTTP/1.1\nHost: x\nX-Long: " + "a" * http_connection.MAX_HEAD_BYTES + "\n\n")
    assert peer.transport.written.startswith(b"HTTP/1.1 431") and peer.transport.closed
    other = Peer(api)
    other.connection.data_received(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    assert other.transport.written.startswith(b"HTTP/1.1 400") and other.transport.closed


@over_http
async def test_warnings_and_retry_after_are_headers(api, peer):
    body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"dat":{}}'
    peer.send(f"POST {CMS} HTTP/1.1\nHost: x\nContent-Length: {len(body)}\n\n", body)
    assert b'\r\nwarning: 299 - "unknown field \\"dat\\""\r\n' in await peer.receive()
    api.handler.in_flight.reads = 10_000
    peer.send(f"GET {CMS} HTTP/1.1\nHost: x\n\n")
    answer = await peer.receive()
    assert answer.startswith(b"HTTP/1.1 429") and b"\r\nretry-after: 1\r\n" in answer


@over_http
async def test_bad_token_is_refused_though_the_certificate_is_good(api, peer):
    peer.send(f"GET {CMS} HTTP/1.1\nHost: x\nAuthorization: Bearer nonsense\n\n")
    assert (await peer.receive()).startswith(b"HTTP/1.1 401")
    peer.send(f"GET {CMS} HTTP/1.1\nHost: x\nImpersonate-User: jane\n\n")
    assert (await peer.receive()).startswith(b"HTTP/1.1 403")


@over_http
async def test_each_request_counts_for_itself_whoever_asked_before_on_its_connection(api, peer):
    account = await api.must("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "some"}})
    await api.server.barrier.fresh()
    token, _ = api.server.tokens.issue(account, (), 3600)
    who = "GET /apis/authentication.k8s.io/v1 HTTP/1.1\nHost: x\n"
    statuses = []
    for given in (f"Bearer {token}", "Bearer nonsense", "", "Basic x"):
        header = f"Authorization: {given}\n" if given else ""
        for _ in range(2):
            peer.send(who + header + "\n")
            statuses.append(int((await peer.receive())[9:12]))
    assert statuses == [200, 200, 401, 401, 200, 200, 200, 200]
    await api.must("DELETE", "/api/v1/namespaces/default/serviceaccounts/some")
    await api.server.barrier.fresh()
    peer.send(who + f"Authorization: Bearer {token}\n\n")
    assert (await peer.receive()).startswith(b"HTTP/1.1 401")


@over_http
async def test_watch_is_chunked_and_ends_with_its_peer(api, peer):
    peer.send(f"GET {CMS}?watch=1&resourceVersion={api.cache.revision} HTTP/1.1\nHost: x\n\n")
    assert b"transfer-encoding: chunked" in await peer.receive(b"\r\n\r\n")
    await api.must("POST", CMS, config_map("a"))
    chunk = await peer.receive(b"}\n\r\n")
    assert b'{"type":"ADDED"' in chunk
    peer.transport.closed = True
    peer.connection.connection_lost(None)
    await peer.receive()
    assert sum(cache.watcher_count for cache in api.cache) == 0 and api.handler.in_flight.streams == 0


@over_http
async def test_watch_that_times_out_ends_in_good_order(api, peer):
    peer.send(f"GET {CMS}?watch=1&resourceVersion={api.cache.revision}&timeoutSeconds=1 HTTP/1.1\nHost: x\n\n")
    assert (await peer.receive()).endswith(b"\r\n\r\n0\r\n\r\n")
    assert not peer.transport.closed
    peer.send("GET /healthz HTTP/1.1\nHost: x\n\n")
    assert (await peer.receive()).endswith(b"ok")


@over_http
async def test_reader_that_stalls_holds_its_own_watch_back_only(api, peer):
    peer.send(f"GET {CMS}?watch=1&resourceVersion={api.cache.revision} HTTP/1.1\nHost: x\n\n")
    await peer.receive(b"\r\n\r\n")
    peer.connection.pause_writing()
    await api.must("POST", CMS, config_map("a"))
    await api.server.barrier.fresh()
    assert peer.transport.written == b""
    peer.connection.resume_writing()
    assert b'"ADDED"' in await peer.receive(b"}\n\r\n")
    peer.transport.closed = True
    peer.connection.connection_lost(None)
    await peer.receive()


@over_http
async def test_connection_close_and_old_http(api, peer):
    peer.send("GET /healthz HTTP/1.1\nHost: x\nConnection: close\n\n")
    assert b"connection: close" in await peer.receive()
    assert peer.transport.closed
    old = Peer(api)
    old.send("GET /healthz HTTP/1.0\n\n")
    assert (await old.receive()).endswith(b"ok") and old.transport.closed


@over_http
async def test_write_ends_though_its_peer_went_away(api, peer):
    body = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}'
    peer.send(f"POST {CMS} HTTP/1.1\nHost: x\nContent-Length: {len(body)}\n\n", body)
    peer.transport.closed = True
    peer.connection.connection_lost(ConnectionResetError())
    assert await peer.receive() == b""
    assert (await api.get(f"{CMS}/a"))[0] == 200


@over_http
async def test_shut_down_waits_for_the_answer(api, peer):
    idle = Peer(api)
    idle.connection.shut_down()
    assert idle.transport.closed
    peer.send(f"GET {CMS} HTTP/1.1\nHost: x\n\n")
    peer.connection.shut_down()
    assert not peer.transport.closed
    answer = await peer.receive()
    assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer and peer.transport.closed


@over_http
async def test_overdue_connections(api, peer):
    now = peer.connection.since
    assert not peer.connection.is_overdue(now + http_connection.IDLE_S - 1)
    assert peer.connection.is_overdue(now + http_connection.IDLE_S + 1)
    peer.send("GET /healthz HTTP/1.1\nHost:")
    assert peer.connection.is_overdue(peer.connection.since + http_connection.ARRIVAL_S + 1)


@pytest.mark.parametrize("seed", range(3))
def test_any_bytes_leave_the_server_alive(seed):
    import random

    async def main():
        choose = random.Random(seed)
        async with serving() as api:
            good = f"GET {CMS}?limit=5 HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n".encode()
            for _ in range(100):
                peer = Peer(api)
                body = bytearray(good)
                for _ in range(choose.randint(1, 5)):
                    body[choose.randrange(len(body))] = choose.randrange(256)
                peer.connection.data_received(bytes(body))
                await peer.receive()
            assert (await api.get("/healthz"))[0] == 200

    asyncio.run(main())
