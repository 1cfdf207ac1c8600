"""Host ports in use: few nodes use any, so they are kept sparse, by port, instead of in an array.

Two uses of a port conflict when protocol and number are equal and the addresses are equal or one is the wildcard.

Neighbours: `arrays` owns it; the filter `node_ports` asks it.
"""

from collections import Counter
from typing import NamedTuple

WILDCARD = "0.0.0.0"


class HostPort(NamedTuple):
    ip: str
    protocol: str
    port: int


class HostPorts:
    """(protocol, port) -> row -> addresses, counted: two pods may hold the same port while one of them ends."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], dict[int, Counter[str]]] = {}

    def add(self, row: int, ports: tuple[HostPort, ...]) -> None:
        for ip, protocol, port in ports:
            self._rows.setdefault((protocol, port), {}).setdefault(row, Counter())[ip] += 1

    def remove(self, row: int, ports: tuple[HostPort, ...]) -> None:
        for ip, protocol, port in ports:
            rows = self._rows[(protocol, port)]
            addresses = rows[row]
            addresses[ip] -= 1
            if addresses[ip] == 0:
                del addresses[ip]
            if not addresses:
                del rows[row]
            if not rows:
                del self._rows[(protocol, port)]

    def conflicts(self, ports: tuple[HostPort, ...]) -> set[int]:
        """Return the rows where any of these ports is taken."""
        taken: set[int] = set()
        for ip, protocol, port in ports:
            for row, addresses in self._rows.get((protocol, port), {}).items():
                if ip == WILDCARD or ip in addresses or WILDCARD in addresses:
                    taken.add(row)
        return taken
