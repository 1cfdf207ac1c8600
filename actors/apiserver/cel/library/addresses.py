"""`ip('10.0.0.1')` and `cidr('10.0.0.0/8')`. Addresses with zones and IPv4 in IPv6's clothes are refused."""

import ipaddress
from typing import Any

from actors.apiserver.cel import opaque
from actors.apiserver.cel.library.declaring import BOOL, CIDR, INT, IP, STRING, declare, function, method, succeeds

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _strict(text: str) -> _Address:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped is not None or address.scope_id):
        raise ValueError(f"IP Address {text!r} is not allowed: a zone, or IPv4 mapped to IPv6")
    return address


def _strict_interface(text: str) -> _Interface:
    if "/" not in text or not text.rpartition("/")[2].isdigit():
        raise ValueError(f"network address parse error during conversion from string: {text!r}")
    _strict(text.partition("/")[0])
    return ipaddress.ip_interface(text)


def _address(value: Any) -> _Address:
    return ipaddress.ip_address(opaque.text_of(value))


def _interface(value: Any) -> _Interface:
    return ipaddress.ip_interface(opaque.text_of(value))


def _network(value: Any) -> _Network:
    return _interface(value).network


def parse_ip(text: str) -> Any:
    return opaque.make("IP", str(_strict(text)))


def parse_cidr(text: str) -> Any:
    return opaque.make("CIDR", str(_strict_interface(text)))


def _is_canonical(text: str) -> bool:
    return str(_strict(text)) == text


def _contains(network: _Network, address: _Address) -> bool:
    return network.version == address.version and address in network


def _contains_network(network: _Network, other: _Network) -> bool:
    return network.version == other.version and other.subnet_of(network)  # type: ignore[arg-type]


def functions() -> list[Any]:
    return [*_of_addresses(), *_of_networks()]


def _of_addresses() -> list[Any]:
    of_cidr = method("cidr_ip", IP, [CIDR], lambda c: opaque.make("IP", str(_interface(c).ip)))
    return [
        declare("ip", function("string_to_ip", IP, [STRING], parse_ip), of_cidr),
        declare("isIP", function("is_ip", BOOL, [STRING], succeeds(_strict))),
        declare("ip.isCanonical", function("ip_is_canonical", BOOL, [STRING], _is_canonical)),
        declare("family", method("ip_family", INT, [IP], lambda a: _address(a).version)),
        declare("isUnspecified", method("ip_is_unspecified", BOOL, [IP], lambda a: _address(a).is_unspecified)),
        declare("isLoopback", method("ip_is_loopback", BOOL, [IP], lambda a: _address(a).is_loopback)),
        declare("isLinkLocalMulticast", method("ip_is_llm", BOOL, [IP], lambda a: _is_link_multicast(_address(a)))),
        declare("isLinkLocalUnicast", method("ip_is_llu", BOOL, [IP], lambda a: _address(a).is_link_local)),
        declare("isGlobalUnicast", method("ip_is_global", BOOL, [IP], lambda a: _is_global_unicast(_address(a)))),
    ]


def _of_networks() -> list[Any]:
    return [
        declare("cidr", function("string_to_cidr", CIDR, [STRING], parse_cidr)),
        declare("isCIDR", function("is_cidr", BOOL, [STRING], succeeds(_strict_interface))),
        declare(
            "containsIP",
            method("cidr_contains_ip", BOOL, [CIDR, IP], lambda c, a: _contains(_network(c), _address(a))),
            method("cidr_contains_ip_text", BOOL, [CIDR, STRING], lambda c, a: _contains(_network(c), _strict(a))),
        ),
        declare(
            "containsCIDR",
            method("cidr_contains", BOOL, [CIDR, CIDR], lambda c, o: _contains_network(_network(c), _network(o))),
            method(
                "cidr_contains_text",
                BOOL,
                [CIDR, STRING],
                lambda c, o: _contains_network(_network(c), _strict_interface(o).network),
            ),
        ),
        declare("masked", method("cidr_masked", CIDR, [CIDR], lambda c: opaque.make("CIDR", str(_network(c))))),
        declare("prefixLength", method("cidr_prefix_length", INT, [CIDR], lambda c: _network(c).prefixlen)),
    ]


def _is_link_multicast(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address in ipaddress.ip_network("224.0.0.0/24")
    return address in ipaddress.ip_network("ff02::/16")


def _is_global_unicast(address: _Address) -> bool:
    """As Go means it: private addresses are global unicast too."""
    if address == ipaddress.ip_address("255.255.255.255"):
        return False
    return not (address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local)
