"""How documents of OpenAPI may be kept by clients, and how every answer is known by its Audit-Id."""

from actors.apiserver.call import ApiCall
from tests.actors.apiserver.api_harness import ADMIN, with_api
from tests.actors.apiserver.test_http_connection import Peer

APPS = "/openapi/v3/apis/apps/v1"


async def ask(api, path: str, tag: str = ""):
    path, _, query = path.partition("?")
    others = [(b"if-none-match", tag.encode())] if tag else []
    return await api.handler.handle(ApiCall(ADMIN, "GET", path, query, accept="application/json", others=others))


@with_api()
async def test_a_document_is_kept_by_its_hash(api):
    index = await api.must("GET", "/openapi/v3")
    url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
    answer = await ask(api, url)
    assert answer.status == 200 and answer.headers["Cache-Control"] == "public, immutable"
    assert "Expires" in answer.headers and answer.headers["ETag"] == f'"{url.rpartition("=")[2]}"'
    old = await ask(api, f"{APPS}?hash=0123")
    assert (old.status, old.headers["Location"]) == (301, url)


@with_api()
async def test_a_document_that_is_known_is_not_sent_again(api):
    for path in ("/openapi/v2", "/openapi/v3", APPS):
        first = await ask(api, path)
        assert first.status == 200 and "Cache-Control" not in first.headers
        again = await ask(api, path, first.headers["ETag"])
        assert (again.status, again.body) == (304, b"")
        assert (await ask(api, path, '"other"')).status == 200


@with_api()
async def test_every_answer_has_an_id(api):
    peer = Peer(api)
    ids = set()
    for _ in range(2):
        peer.transport.written = b""
        peer.send("GET /healthz HTTP/1.1\n\n")
        ids.add((await peer.receive()).lower().partition(b"audit-id: ")[2][:36])
    assert len(ids) == 2 and all(len(one) == 36 for one in ids)
    peer.transport.written = b""
    peer.send("GET /healthz HTTP/1.1\nAudit-ID: mine\n\n")
    assert b"audit-id: mine\r\n" in await peer.receive()
    peer.transport.written = b""
    peer.send(f"GET {APPS}?hash=1 HTTP/1.1\n\n")
    assert (await peer.receive()).count(b"location: ") == 1
