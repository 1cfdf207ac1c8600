"""An API server to be put behind the cluster's own: a group with one resource, kept in memory.

It believes only who comes with the front proxy's certificate, and remembers who it was told that asked.
"""

import json
import ssl
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.e2e.conversion_webhook import self_signed

GROUP, VERSION = "wardle.example.com", "v1alpha1"
BASE = f"/apis/{GROUP}/{VERSION}"
RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": f"{GROUP}/{VERSION}",
    "resources": [
        {
            "name": "flunders", "singularName": "flunder", "namespaced": True, "kind": "Flunder", "shortNames": ["fl"],
            "verbs": ["create", "delete", "get", "list", "watch"],
        },
    ],
}  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    flunders: dict[str, Any]
    askers: list[dict[str, Any]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self._remember()
        if path == BASE:
            self._answer(200, RESOURCES)
        elif path == "/apis":
            self._answer(404, {"kind": "Status", "status": "Failure", "code": 404})
        elif path.endswith("/flunders") and "watch=" in query:
            self._watch()
        elif path.endswith("/flunders"):
            items = list(self.server.flunders.values())
            meta = {"resourceVersion": "1"}
            listed = {"kind": "FlunderList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": meta, "items": items}
            self._answer(200, listed)
        elif (name := path.rpartition("/")[2]) in self.server.flunders:
            self._answer(200, self.server.flunders[name])
        else:
            message = f"{path} not found"
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"}
            self._answer(404, {**status, "code": 404, "message": message})

    def do_POST(self) -> None:
        self._remember()
        made = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        made["metadata"] |= {"namespace": "default", "uid": "u", "resourceVersion": "1"}
        self.server.flunders[made["metadata"]["name"]] = made
        self._answer(201, made)

    def do_DELETE(self) -> None:
        self._remember()
        if length := int(self.headers.get("Content-Length") or 0):
            self.rfile.read(length)
        self.server.flunders.pop(self.path.partition("?")[0].rpartition("/")[2], None)
        self._answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _watch(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        for flunder in list(self.server.flunders.values()):
            self.wfile.write(json.dumps({"type": "ADDED", "object": flunder}).encode() + b"\n")
            self.wfile.flush()
        self.close_connection = True

    def _remember(self) -> None:
        certificate = self.connection.getpeercert()  # type: ignore[attr-defined]
        subject = dict(pair for part in certificate["subject"] for pair in part)
        self.server.askers.append(
            {
                "proxy": subject["commonName"],
                "user": self.headers.get("X-Remote-User"),
                "groups": self.headers.get_all("X-Remote-Group"),
            }
        )

    def _answer(self, status: int, obj: dict[str, Any]) -> None:
        body = json.dumps(obj).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class ExtensionServer:
    def __init__(self, front_proxy_ca: Path, name: str) -> None:
        certificate, key = self_signed(name)
        self.certificate = certificate
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.flunders, self._server.askers = {}, []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as directory:
            files = Path(directory, "crt"), Path(directory, "key")
            files[0].write_bytes(certificate)
            files[1].write_bytes(key)
            context.load_cert_chain(*files)
        context.load_verify_locations(front_proxy_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def askers(self) -> list[dict[str, Any]]:
        return self._server.askers

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
