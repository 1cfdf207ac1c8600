"""An HTTPS server that answers AdmissionReviews, with a certificate authority of its own; in a thread of the test."""

import base64
import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Object = dict[str, Any]
Answer = Callable[[Object], Object]


class WebhookServer:
    """`answers` by path: a function of the review's request. `asked` is every request, in order."""

    def __init__(self, folder: Path):
        self.answers: dict[str, Answer] = {}
        self.asked: list[Object] = []
        self.connections = 0
        self._certificate, self._key, self.ca = _certificates(folder)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def client_config(self, path: str, *, trusted: bool = True) -> Object:
        config = {"url": f"https://127.0.0.1:{self.port}{path}"}
        return config | ({"caBundle": base64.b64encode(self.ca).decode()} if trusted else {})

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections += 1

            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                request = review["request"]
                outer.asked.append(request)
                answer = outer.answers[self.path.partition("?")[0]](request)
                review = {"apiVersion": review["apiVersion"], "kind": review["kind"]}
                data = json.dumps(review | {"response": {"uid": request["uid"], **answer}}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                return

        return Handler


@contextmanager
def serving(folder: Path) -> Iterator[WebhookServer]:
    server = WebhookServer(folder)
    try:
        yield server
    finally:
        server.stop()


def allow(request: Object) -> Object:
    return {"allowed": True}


def deny(message: str) -> Answer:
    return lambda request: {"allowed": False, "status": {"message": message, "code": 403, "reason": "Forbidden"}}


def patch(*operations: Object) -> Answer:
    encoded = base64.b64encode(json.dumps(operations).encode()).decode()
    return lambda request: {"allowed": True, "patchType": "JSONPatch", "patch": encoded}


def _certificates(folder: Path) -> tuple[Path, Path, bytes]:
    """Write a server certificate for 127.0.0.1 and its key; return their paths, and the authority's certificate."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer, now = _name("webhook-ca"), datetime.datetime.now(datetime.UTC)

    def build(subject: x509.Name, public_key: Any) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number())
        lasting = datetime.timedelta(days=1)
        return builder.not_valid_before(now - lasting).not_valid_after(now + lasting)

    ca = build(issuer, ca_key.public_key()).add_extension(x509.BasicConstraints(True, None), critical=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = build(_name("webhook"), key.public_key()).add_extension(names, critical=False)
    certificate_path, key_path = folder / "webhook.crt", folder / "webhook.key"
    certificate_path.write_bytes(_pem(server.sign(ca_key, hashes.SHA256())))
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    return certificate_path, key_path, _pem(ca.sign(ca_key, hashes.SHA256()))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
