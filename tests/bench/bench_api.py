"""What the API server does over HTTPS: python tests/bench/bench_api.py [KUBECONFIG]

Creates (64 connections and one), gets, a list of 10,000, and a watch fan-out. KUBECONFIG names a cluster's admin.
"""

import asyncio
import base64
import json
import os
import ssl
import statistics
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

import uvloop
import yaml

from tests.bench import load
from tests.bench.cpu import Spent

SECONDS = float(os.environ.get("KUBUS_BENCH_SECONDS", "8"))
WATCHERS, WATCHED = 100, 2000
LISTED = 10_000
PAYLOAD = "v" * 1000


class Target:
    """The API server that a kubeconfig names, and how to talk to it."""

    def __init__(self, kubeconfig: Path):
        self.data_dir = kubeconfig.parent
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        url = urllib.parse.urlsplit(cluster["server"])
        self.host, self.port = str(url.hostname), int(url.port or 443)
        self.tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
            pem.flush()
            self.tls.load_cert_chain(pem.name)

    def request(self, verb: str, path: str, body: object = None) -> bytes:
        payload = b"" if body is None else json.dumps(body).encode()
        head = f"{verb} {path} HTTP/1.1\r\nHost: {self.host}\r\nAccept: application/json\r\n"
        if payload:
            head += f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
        return head.encode() + b"\r\n" + payload

    async def load(self, make: load.Make, *, connections: int, limit_s: float = SECONDS) -> load.Result:
        return await load.run(self.host, self.port, self.tls, make, connections=connections, limit_s=limit_s)

    async def once(self, verb: str, path: str, body: object = None) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls, limit=1 << 26)
        writer.write(self.request(verb, path, body).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = await reader.read()
        writer.close()
        head, _, rest = answer.partition(b"\r\n\r\n")
        return int(head[9:12]), rest


def config_map(name: str, payload: str = PAYLOAD) -> dict:
    metadata = {"name": name, "labels": {"app": "bench"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"k": payload}}


def creates(target: Target, namespace: str, prefix: str, payload: str = PAYLOAD) -> load.Make:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    return lambda number: target.request("POST", path, config_map(f"{prefix}-{number}", payload))


async def measure(target: Target) -> None:
    run = f"{int(time.time())}"
    space = f"bench-{run}"
    await target.once("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
    get = target.request("GET", "/api/v1/namespaces/default")
    for label, make, connections, limit_s in (
        ("create, 64 connections:", creates(target, space, "a"), 64, SECONDS),
        ("create, 1 connection:  ", creates(target, space, "b"), 1, 3),
        ("get, 64 connections:   ", lambda number: get, 64, 5),
    ):
        spent = Spent(target.data_dir)
        result = await target.load(make, connections=connections, limit_s=limit_s)
        print(label, result, spent.a_piece(len(result.latencies_s)))
    await lists(target, space)
    await watches(target, f"{space}-watch")


async def lists(target: Target, space: str) -> None:
    path = f"/api/v1/namespaces/{space}/configmaps"
    for label, query in (("linearizable", f"?limit={LISTED}"), ("from cache", f"?limit={LISTED}&resourceVersion=0")):
        seconds, size = [], 0
        for _ in range(5):
            begin = time.perf_counter()
            _, answer = await target.once("GET", path + query)
            seconds.append(time.perf_counter() - begin)
            size = len(answer)
        print(f"list {LISTED}, {label}: {size / 1e6:.1f} MB  median {statistics.median(seconds):.3f} s")


async def watches(target: Target, space: str) -> None:
    await target.once("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
    path = f"/api/v1/namespaces/{space}/configmaps"
    _, listed = await target.once("GET", path)
    version = listed[listed.index(b'"resourceVersion":"') + 19 :].split(b'"')[0].decode()
    seen = [0]
    all_seen = asyncio.Event()

    async def watch() -> None:
        reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls, limit=1 << 22)
        writer.write(target.request("GET", f"{path}?watch=1&resourceVersion={version}"))
        await reader.readuntil(b"\r\n\r\n")
        tail = b""
        mark = b'"type":"ADDED"'
        while data := await reader.read(1 << 18):
            data = tail + data
            seen[0] += data.count(mark)
            tail = data[-len(mark) + 1 :]
            if seen[0] >= WATCHERS * WATCHED:
                all_seen.set()
        writer.close()

    watchers = [asyncio.ensure_future(watch()) for _ in range(WATCHERS)]
    await asyncio.sleep(1)
    made = creates(target, space, "w", "v" * 500)
    numbers = iter(range(WATCHED))
    begin = time.perf_counter()

    async def writer() -> None:
        reader, stream = await asyncio.open_connection(target.host, target.port, ssl=target.tls)
        for number in numbers:
            stream.write(made(number))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        stream.close()

    await asyncio.gather(*(writer() for _ in range(8)))
    written = time.perf_counter()
    async with asyncio.timeout(60):
        await all_seen.wait()
    end = time.perf_counter()
    rate = WATCHERS * WATCHED / (end - begin)
    print(f"watch, {WATCHERS} watchers of {WATCHED} creates: {rate:.0f} events/s, lag {end - written:.3f} s")
    for task in watchers:
        task.cancel()


if __name__ == "__main__":
    uvloop.run(measure(Target(Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["KUBECONFIG"]))))
