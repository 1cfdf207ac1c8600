"""Clients of an API that is being tormented, and the history of what they were told.

    creators   make objects of their own, and remember which of them were acknowledged
    writers    put values into a few shared objects; readers get them: the history of each must be linearizable
    listers    list everything, again and again: no answer's revision may be older than one that had come before

They go through one door and try again at once when it fails. A write without an answer is unknown: it may have happened
or happen later. An answer that something is wrong on the server's side (500 and more) is none.

Neighbours: `tests.linearizability` judges; `test_ha` torments.
"""

import base64
import concurrent.futures
import ctypes
import http.client
import itertools
import json
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.linearizability import FOREVER, READ, WRITE, Operation, check, check_revisions

PATIENCE_S = 5.0  # for one answer; then the client hangs up
REST_S = 0.01  # between two requests of one client: enough of them to see a gap, not so many that they are the load
REGISTERS = 3
TICK_S = 0.02  # of the metronome, which knows when the machine itself stands still
CLONE_NEWNET = 0x40000000  # <sched.h>
PATH = "/api/v1/namespaces/default/configmaps"


class Door:
    """The API as one kubeconfig reaches it, from a network namespace if it is given one."""

    def __init__(self, kubeconfig: Path, namespace: str = ""):
        self._namespace = namespace
        config = yaml.safe_load(kubeconfig.read_text())
        self.address = urlsplit(config["clusters"][0]["cluster"]["server"])
        user = config["users"][0]["user"]
        authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        self.context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile("wb") as pair:
            pair.write(base64.b64decode(user["client-certificate-data"]))
            pair.write(base64.b64decode(user["client-key-data"]))
            pair.flush()
            self.context.load_cert_chain(pair.name)

    def enter(self) -> None:
        """Move the thread that calls to where the clients are. Only of Linux, and for good."""
        if self._namespace:
            with open(f"/var/run/netns/{self._namespace}") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")

    def connect(self) -> http.client.HTTPSConnection:
        assert self.address.hostname
        host, port = self.address.hostname, self.address.port
        return http.client.HTTPSConnection(host, port, timeout=PATIENCE_S, context=self.context)


class NoAnswer(OSError):
    """The connection broke, or the server could not say. Whether a write has happened is not known."""


class Client:
    """One connection, made anew when it breaks; as a library's pool would."""

    def __init__(self, door: Door):
        self._door = door
        self._connection = door.connect()

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Return status and answer; raises NoAnswer."""
        try:
            text = None if body is None else json.dumps(body)
            self._connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._connection = self._door.connect()
            raise NoAnswer(repr(error)) from error
        if answer.status >= 500 or answer.status == 429:
            raise NoAnswer(f"{answer.status}: {content[:200]!r}")
        return answer.status, json.loads(content)


@dataclass
class History:
    """What all clients were told, with monotonic times."""

    operations: list[Operation] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)  # names of objects that were created
    answers: list[tuple[float, float, int]] = field(default_factory=list)  # (begin, end, revision) of lists
    successes: list[tuple[float, str]] = field(default_factory=list)  # when, and which client
    failures: list[tuple[float, str, str]] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)  # of a thread that only sleeps

    def stall_s(self, begin: float, end: float) -> float:
        """The longest time between `begin` and `end` for which even a sleeper was not woken: nobody can be faster."""
        times = [begin, *(when for when in self.ticks if begin < when < end), end]
        return max(0.0, max(after - before for before, after in itertools.pairwise(times)) - 2 * TICK_S)

    def gap_s(self, begin: float, end: float) -> float:
        """The longest time between `begin` and `end` in which no client got an answer."""
        times = [begin, *sorted(when for when, _ in self.successes if begin < when < end), end]
        return max(after - before for before, after in itertools.pairwise(times))

    def worst_gap_s(self, begin: float, end: float) -> float:
        """The same for the client that had to wait longest."""
        found = 0.0
        for name in {name for _, name in self.successes}:
            times = [when for when, who in self.successes if who == name]
            before = max((when for when in times if when <= begin), default=begin)
            after = min((when for when in times if when >= end), default=end)
            inside = [before, *sorted(when for when in times if begin < when < end), after]
            found = max(found, max(late - early for early, late in itertools.pairwise(inside)))
        return found

    def wrong(self, stored: set[str]) -> list[str]:
        """What must not be; `stored` are the names of all objects at the end."""
        lost = [f"{name} was acknowledged and is lost" for name in self.acknowledged if name not in stored]
        return lost + [str(violation) for violation in check(self.operations)] + check_revisions(self.answers)


class Clients:
    """All clients at work on one door."""

    def __init__(self, door: Door):
        self._door = door
        self.history = History()
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._tag = f"h{time.monotonic_ns():x}"  # several histories of one cluster keep apart

    @contextmanager
    def working(self) -> Iterator[History]:
        """Ask without pause, from several threads, while the body runs."""
        self._aside(self._prepare)
        roles: list[Callable[[Client, str], None]] = [self._create, self._create, self._list]
        roles += [self._write, self._write, self._read, self._read]
        threads = [
            threading.Thread(target=self._work, args=(role, f"{role.__name__}-{number}"), daemon=True)
            for number, role in enumerate(roles)
        ]
        threads.append(threading.Thread(target=self._tick, daemon=True))
        for thread in threads:
            thread.start()
        try:
            yield self.history
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(2 * PATIENCE_S)

    def stored(self) -> set[str]:
        """Return the names of all objects that are there now."""
        return self._aside(lambda client: {item["metadata"]["name"] for item in client.ask("GET", PATH)[1]["items"]})

    def get(self, path: str) -> dict[str, Any]:
        return self._aside(lambda client: client.ask("GET", path)[1])

    def _prepare(self, client: Client) -> None:
        for number in range(REGISTERS):
            client.ask("POST", PATH, _config_map(self._register(number), "none"))

    def _aside(self, do: Callable[[Client], Any]) -> Any:
        """Do something as a client, in a thread that goes where the clients are."""

        def go() -> Any:
            self._door.enter()
            return do(Client(self._door))

        with concurrent.futures.ThreadPoolExecutor(1) as aside:
            return aside.submit(go).result()

    def _tick(self) -> None:
        while not self._stop.is_set():
            self.history.ticks.append(time.monotonic())
            time.sleep(TICK_S)

    def _work(self, role: Callable[[Client, str], None], name: str) -> None:
        self._door.enter()
        client = Client(self._door)
        while not self._stop.is_set():
            try:
                role(client, name)
            except NoAnswer as error:
                self.history.failures.append((time.monotonic(), name, str(error)))
            else:
                self.history.successes.append((time.monotonic(), name))
            time.sleep(REST_S)

    def _register(self, number: int) -> str:
        return f"{self._tag}-register-{number % REGISTERS}"

    def _create(self, client: Client, name: str) -> None:
        made = f"{self._tag}-made-{next(self._numbers)}"
        status, answer = client.ask("POST", PATH, _config_map(made, name))
        assert status == 201, answer
        self.history.acknowledged.append(made)

    def _list(self, client: Client, name: str) -> None:
        begin = time.monotonic()
        _, answer = client.ask("GET", PATH + "?labelSelector=none%3Dof-them")
        self.history.answers.append((begin, time.monotonic(), int(answer["metadata"]["resourceVersion"])))

    def _write(self, client: Client, name: str) -> None:
        number = next(self._numbers)
        key, value = self._register(number), f"{name}/{number}"
        begin, end = time.monotonic(), FOREVER
        try:
            status, answer = client.ask("PUT", f"{PATH}/{key}", _config_map(key, value))
            assert status == 200, answer
            end = time.monotonic()
        finally:
            self.history.operations.append(Operation(key, WRITE, value, None, begin, end))

    def _read(self, client: Client, name: str) -> None:
        key = self._register(next(self._numbers))
        begin = time.monotonic()
        _, answer = client.ask("GET", f"{PATH}/{key}")
        value = answer["data"]["value"]
        found = None if value == "none" else value
        self.history.operations.append(Operation(key, READ, None, found, begin, time.monotonic()))


def _config_map(name: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}
