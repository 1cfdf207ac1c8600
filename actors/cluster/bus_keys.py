"""CURVE keys of a cluster's actors: made on the machine that founds it, and handed to the machines that join.

`prepare` makes a key pair for each actor, and one for the command line of each node, under DATA/pki/bus. A machine that
joins gets a *bundle*: one file with the secret keys of its own nodes, and the public keys of everybody. It is as secret
as the keys in it. The machines that were there before need only the newcomers' public keys, which are no secret
(`introduction`). Keys that are added or withdrawn count at once, without anything being started again.

    founder$  prepare(DATA/pki/bus, all names)      write bundle(DATA/pki/bus, "m2") to a file, carry it to m2
    m2$       unpack(DATA/pki/bus, bundle)
    others$   unpack(DATA/pki/bus, introduction(DATA/pki/bus, ["state@m2", ...]))

Neighbours: `bus.keys` owns the files; `pki` has the certificates; `runtime.supervisor` tells actors where the keys are.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from bus import BadKeys, keys
from bus.address import node_of

BUNDLE_FORMAT = 1
COMMAND_LINE = "cli"  # the role of a node's command line


class Bundle(msgspec.Struct, forbid_unknown_fields=True):
    """Keys on their way to another machine. `secret` is empty in an introduction."""

    format: int
    secret: dict[str, str]  # of those who run there, by name
    public: dict[str, str]


def directory_of(data_dir: Path) -> Path:
    return Path(data_dir) / "pki" / "bus"


def prepare(directory: Path, actors: Iterable[str]) -> None:
    """Make what is missing: keys for these actors, and for the command line of their nodes. BadKeys, OSError."""
    names = list(actors)
    nodes = dict.fromkeys(node_of(name) for name in names)
    for name in [*names, *(f"{COMMAND_LINE}@{node}" for node in nodes)]:
        keys.make(directory, name)


def bundle(directory: Path, *nodes: str) -> bytes:
    """Return the file for a machine that plays these nodes. BadKeys when no keys were made for them."""
    everybody = keys.allowed(directory)
    own = [name for name in everybody if node_of(name) in nodes]
    if missing := set(nodes) - {node_of(name) for name in own}:
        raise BadKeys(f"there are no keys for {', '.join(sorted(missing))}; its actors must be in the config first")
    secret = {name: keys.Keyring(directory, name).secret().decode() for name in own}
    return _encode(Bundle(BUNDLE_FORMAT, secret, _text(everybody)))


def introduction(directory: Path, names: Iterable[str]) -> bytes:
    """Return the file that lets other machines believe these names. It holds no secret."""
    everybody = keys.allowed(directory)
    wanted = list(names)
    if missing := [name for name in wanted if name not in everybody]:
        raise BadKeys(f"there are no keys for {', '.join(missing)}")
    return _encode(Bundle(BUNDLE_FORMAT, {}, _text({name: everybody[name] for name in wanted})))


def unpack(directory: Path, text: bytes) -> list[str]:
    """Keep what a bundle or an introduction holds; return the names that are believed now. BadKeys, and then nothing
    was kept."""
    try:
        given = msgspec.json.decode(text, type=Bundle)
    except msgspec.DecodeError as error:
        raise BadKeys(f"this is not a bundle of keys: {error}") from error
    if given.format != BUNDLE_FORMAT:
        raise BadKeys(f"the bundle has format {given.format}; this program knows {BUNDLE_FORMAT}")
    for name, key in [*given.secret.items(), *given.public.items()]:
        if not keys.NAME.fullmatch(name) or not keys.is_key(key.encode()):
            raise BadKeys(f"the bundle's key of {name!r} is damaged")
    for name, key in given.public.items():
        keys.allow(directory, name, key.encode())
    for name, key in given.secret.items():
        keys.put(directory, name, key.encode())
    return sorted(given.public.keys() | given.secret.keys())


def withdraw(directory: Path, node: str) -> list[str]:
    """Believe nobody of a node any more; return who that was. What is connected is refused from its next request on."""
    gone = [name for name in keys.allowed(directory) if node_of(name) == node]
    for name in gone:
        keys.withdraw(directory, name)
    return gone


def _text(public: dict[str, bytes]) -> dict[str, str]:
    return {name: key.decode() for name, key in sorted(public.items())}


def _encode(given: Bundle) -> bytes:
    return msgspec.json.format(msgspec.json.encode(given), indent=2) + b"\n"
