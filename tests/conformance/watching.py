"""A watch as a client holds it: a connection of its own, whose lines are read as they come."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlencode

from tests.conformance.access import Api, Object, Refused

LIMIT_S = 15.0


class Watch:
    def __init__(self, answer: HTTPResponse):
        self._answer = answer

    def next(self) -> tuple[str, Object]:
        """Return the type and the object of the next event; TimeoutError when none comes."""
        line = self._answer.readline()
        assert line, "the watch has ended"
        event = json.loads(line)
        return event["type"], event["object"]

    def next_of(self, name: str, count: int) -> list[str]:
        """Return the types of the next events of one object."""
        types: list[str] = []
        while len(types) < count:
            kind, obj = self.next()
            if obj["metadata"]["name"] == name:
                types.append(kind)
        return types

    def until(self, kind: str, name: str) -> Object:
        """Return the object of the next event of this type and name."""
        while True:
            found, obj = self.next()
            if (found, obj["metadata"]["name"]) == (kind, name):
                return obj


@contextmanager
def watching(api: Api, path: str, **query: Any) -> Iterator[Watch]:
    """Watch a collection; it is being watched once this returns."""
    connection = api.connect()
    connection.sock.settimeout(LIMIT_S)
    try:
        connection.request("GET", f"{path}?{urlencode({'watch': '1', **query})}", headers=api.headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise Refused(f"watch {path}", json.loads(answer.read()))
        yield Watch(answer)
    finally:
        connection.close()
