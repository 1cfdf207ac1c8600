"""A registry on loopback that holds one image: enough of the distribution protocol for containerd to pull it.

Without credentials it answers as registries do that want some; what it does not hold is not found.
"""

import base64
import contextlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator

USER, PASSWORD = "reader", "secret"


def blobs_of(archive: bytes) -> dict[str, bytes]:
    """Return an OCI archive's blobs by digest, and its manifest's digest under "manifest"."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
    blobs = {f"sha256:{name.rpartition('/')[2]}": data for name, data in files.items() if name.startswith("blobs/")}
    blobs["manifest"] = json.loads(files["index.json"])["manifests"][0]["digest"].encode()
    return blobs


@contextlib.contextmanager
def registry(archive: bytes, repository: str, tag: str) -> Iterator[str]:
    """Serve an image; yields HOST:PORT. It wants USER and PASSWORD."""
    blobs = blobs_of(archive)
    manifest = blobs.pop("manifest").decode()
    wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.headers.get("Authorization") != wanted:
                self._answer(401, b"{}", "application/json")
                return
            name = self.path.removeprefix(f"/v2/{repository}/").partition("?")[0]
            digest = name.rpartition("/")[2]
            if name == f"manifests/{tag}":
                digest = manifest
            if digest in blobs and self.path.startswith(f"/v2/{repository}/"):
                kind = (
                    "application/vnd.oci.image.manifest.v1+json" if digest == manifest else "application/octet-stream"
                )
                self._answer(200, blobs[digest], kind, digest)
            else:
                self._answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', "application/json")

        do_HEAD = do_GET

        def _answer(self, status: int, body: bytes, kind: str, digest: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if digest:
                self.send_header("Docker-Content-Digest", digest)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="test"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing: a test's output is for its failures."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
