"""Reads a rendered fragment as the kernel would, so that tests can say what happens to a packet and not how it is
written."""

import re

from actors.proxy import base
from actors.proxy.model import Chain, Element, Fragment

_TARGETS = re.compile(r"\d+ : (\d+\.\d+\.\d+\.\d+) \. (\d+)")


class Reader:
    def __init__(self, fragment: Fragment) -> None:
        self._items = fragment

    def _element(self, container: str, key: str) -> str | None:
        value = self._items.get(Element(container, key))
        return None if value is None else str(value)

    def to_address(self, ip: str, port: int, protocol: str = "tcp") -> str:
        return self._verdict(base.SERVICE_IPS, base.NO_ENDPOINT_SERVICES, f"{ip} . {protocol} . {port}")

    def to_node_port(self, port: int, protocol: str = "tcp") -> str:
        return self._verdict(base.SERVICE_NODEPORTS, base.NO_ENDPOINT_NODEPORTS, f"{protocol} . {port}")

    def _verdict(self, services: str, refusals: str, key: str) -> str:
        """Return the chain's kind, or how it is refused: reject | drop | unknown."""
        verdict = self._element(services, key)
        if verdict is not None:
            return verdict.removeprefix("goto ").split("-")[0]
        refusal = self._element(refusals, key)
        if refusal is None:
            return "unknown"
        return "reject" if refusal == f"goto {base.REJECT}" else refusal

    def chain(self, kind: str) -> tuple[str, ...]:
        """Return the rules of the only chain of a kind."""
        (rules,) = self.chains(kind).values()
        return rules

    def chains(self, kind: str) -> dict[str, tuple[str, ...]]:
        return {
            item.name: value
            for item, value in self._items.items()
            if isinstance(item, Chain) and item.name.startswith(kind + "-") and isinstance(value, tuple)
        }

    def targets(self, kind: str) -> list[str]:
        """Return the endpoints that the chain of a kind spreads over."""
        return [f"{ip}:{port}" for rule in self.chain(kind) for ip, port in _TARGETS.findall(rule)]

    def elements(self, container: str) -> set[str]:
        return {i.key for i in self._items if isinstance(i, Element) and i.container == container}
