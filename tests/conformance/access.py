"""HTTPS from the test's own process to the API server of a cluster.

A real cluster's network namespace is another one, and a socket stays in the namespace that its thread was in when it
was made: so a short-lived thread enters the cluster's namespace, connects, and hands the socket over. That spares a
process for each request. Neighbours: `pods` and `lives` put words to it, `watching` reads the lines of a watch.
"""

import base64
import ctypes
import http.client
import json
import os
import socket
import ssl
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import yaml

from tests.cluster import Cluster

CLONE_NEWNET = 0x40000000
TIMEOUT_S = 30.0
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

Object = dict[str, Any]


class Refused(AssertionError):
    """The API server answered with a Status that is no success."""

    def __init__(self, what: str, status: Object):
        super().__init__(f"{what}: {status.get('code')} {status.get('reason')}: {status.get('message')}")
        self.code, self.reason, self.status = status.get("code"), status.get("reason"), status


class Answer(NamedTuple):
    code: int
    headers: dict[str, str]  # by lower-case name
    body: bytes


class Api:
    """The API server, as the cluster's administrator sees it; `headers` go along with every request."""

    def __init__(self, cluster: Cluster, headers: dict[str, str] | None = None, token: str = ""):
        config = yaml.safe_load((cluster.data_dir / "kubeconfig").read_text())
        self.cluster, self.namespace = cluster, cluster.namespace
        url = urlsplit(config["clusters"][0]["cluster"]["server"])
        self.address = (url.hostname or "", url.port or 443)
        self.tls = _tls(config["clusters"][0]["cluster"], None if token else config["users"][0]["user"])
        self.headers = (headers or {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        self._local = threading.local()  # a connection for each thread: http.client's are not shared

    def acting_as(self, user: str) -> "Api":
        """Return the API server as another user sees it."""
        return Api(self.cluster, {"Impersonate-User": user})

    def plain_socket(self) -> socket.socket:
        """Return a new connection to the API server, before TLS."""
        with ThreadPoolExecutor(1) as aside:
            return aside.submit(_connect_in, self.namespace, self.address).result()

    def request(self, method: str, path: str, body: Any = None, kind: str = "application/json", **query: Any) -> bytes:
        """Send one request; Refused unless it succeeds."""
        answer = self.ask(method, path, body, {"Content-Type": kind} if body is not None else {}, **query)
        if answer.code >= 300:
            raise Refused(f"{method} {path} {query}", _status(answer.code, answer.body))
        return answer.body

    def ask(self, method: str, path: str, body: Any = None, headers: dict | None = None, **query: Any) -> Answer:
        """Send one request, with a body as it is or as JSON. A kept connection that was closed is opened again."""
        target = f"{path}?{urlencode(query)}" if query else path
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        for last in (False, True):
            connection = self.connection(fresh=last)
            try:
                connection.request(method, target, data, self.headers | (headers or {}))
                answer = connection.getresponse()
                text = answer.read()
            except (ConnectionError, ssl.SSLEOFError, http.client.HTTPException):
                if last:
                    raise
                continue
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)
        raise AssertionError("unreachable")

    def json(self, method: str, path: str, body: Any = None, kind: str = "application/json", **query: Any) -> Object:
        return json.loads(self.request(method, path, body, kind, **query))

    def connection(self, fresh: bool) -> http.client.HTTPConnection:
        """Return this thread's connection, or a fresh one in its place."""
        connection = getattr(self._local, "connection", None)
        if connection is None or fresh:
            connection = self._local.connection = self.connect()
        return connection

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(*self.address, timeout=TIMEOUT_S)
        connection.sock = self.tls.wrap_socket(self.plain_socket(), server_hostname=self.address[0])
        return connection


def _status(code: int, text: bytes) -> Object:
    try:
        return json.loads(text)
    except ValueError:
        return {"code": code, "message": text.decode(errors="replace")}


def enter(namespace: str) -> None:
    """Have the calling thread, which must not be used again, enter a network namespace; it stays where it is for ""."""
    if not namespace:
        return
    handle = os.open(f"/var/run/netns/{namespace}", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(handle)


def _connect_in(namespace: str, address: tuple[str, int]) -> socket.socket:
    """Connect from within a network namespace. Only the calling thread enters it, so it must not be used again."""
    enter(namespace)
    made = socket.create_connection(address, timeout=TIMEOUT_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # http.client sends head and body one by one
    return made


def _tls(cluster: Object, user: Object | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    if user is None:
        return context
    with tempfile.NamedTemporaryFile() as both:
        for field in ("client-certificate-data", "client-key-data"):
            both.write(base64.b64decode(user[field]) + b"\n")
        both.flush()
        context.load_cert_chain(both.name)
    return context
