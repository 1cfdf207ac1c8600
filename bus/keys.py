"""CURVE keys: which public key is whose, and the secret key of the actor that runs here.

A directory holds `NAME.pub` for everybody who is believed, and `NAME.key`, of mode 0600, for whoever runs on this
machine. A public key stands for exactly one name. What is added to the directory is believed at the next handshake,
and what is taken out of it no more; nobody needs to be started again.

Keys are Z85, forty characters, as ZeroMQ writes them.

Neighbours: `transport` puts the keys on sockets; `zap` asks `name_of` for each handshake; a cluster's composition makes
the files.
"""

import os
import re
import struct
import time
from pathlib import Path

import zmq
from zmq.utils import z85

from bus.errors import BusError

SECRET_SUFFIX, PUBLIC_SUFFIX = ".key", ".pub"
KEY_BYTES = 32
KEY_CHARACTERS = 40  # of them in Z85
SETTLED_NS = 1_000_000_000  # after its last change a directory's time is trusted to show the next one
NAME = re.compile(r"[a-z0-9][a-z0-9-]*@[a-zA-Z0-9][a-zA-Z0-9._-]*")  # role@node; nothing that could leave a directory


class BadKeys(BusError):
    """A key that is missing, or damaged."""

    code = "bad_keys"


class Keyring:
    """The keys in a directory as the actor `name` uses them. Read when they are needed, and again when they changed."""

    def __init__(self, directory: Path, name: str):
        self.directory = Path(directory)
        self.name = name
        self._names: dict[bytes, str] = {}  # of everybody who is believed, by public key
        self._believed: frozenset[str] = frozenset()
        self._seen: tuple[int, int] | None = None  # the directory's state when it was read

    def secret(self) -> bytes:
        """Return this actor's own secret key; BadKeys."""
        return _read(self.directory / f"{_checked(self.name)}{SECRET_SUFFIX}")

    def public_of(self, name: str) -> bytes:
        """Return somebody's public key; BadKeys when there is none."""
        return _read(self.directory / f"{_checked(name)}{PUBLIC_SUFFIX}")

    def name_of(self, public: bytes) -> str:
        """Return whose public key this is; empty when nobody with it is believed."""
        self._refresh()
        return self._names.get(public, "")

    def believes(self, name: str) -> bool:
        """Whether somebody's key is there still."""
        self._refresh()
        return name in self._believed

    def _refresh(self) -> None:
        try:
            status = self.directory.stat()
        except FileNotFoundError:
            self._names, self._believed, self._seen = {}, frozenset(), None
            return
        state = status.st_mtime_ns, status.st_ino
        if state == self._seen:
            return
        self._names = _names_in(self.directory)
        self._believed = frozenset(self._names.values())
        # A file system's clock ticks in milliseconds: what changed just now may change again under the same time.
        is_settled = abs(time.time_ns() - status.st_mtime_ns) > SETTLED_NS
        self._seen = state if is_settled else None


def make(directory: Path, name: str) -> bytes:
    """Make a key pair for an actor unless it has one; return its public key."""
    secret_path = Path(directory) / f"{_checked(name)}{SECRET_SUFFIX}"
    if secret_path.exists():
        return put(directory, name, _read(secret_path))
    _, secret = zmq.curve_keypair()
    return put(directory, name, secret)


def put(directory: Path, name: str, secret: bytes) -> bytes:
    """Keep an actor's secret key, and the public key that belongs to it; return that."""
    if not is_key(secret):
        raise BadKeys(f"the secret key of {name} is damaged")
    _write(Path(directory) / f"{_checked(name)}{SECRET_SUFFIX}", secret, 0o600)
    public = zmq.curve_public(secret)
    allow(directory, name, public)
    return public


def allow(directory: Path, name: str, public: bytes) -> None:
    """Believe whoever has this key to be `name`."""
    if not is_key(public):
        raise BadKeys(f"the public key of {name} is damaged")
    _write(Path(directory) / f"{_checked(name)}{PUBLIC_SUFFIX}", public, 0o644)


def withdraw(directory: Path, name: str) -> None:
    """Believe `name` no more, and forget its secret key if it is here. Without effect when it is not known."""
    for suffix in (PUBLIC_SUFFIX, SECRET_SUFFIX):
        (Path(directory) / f"{_checked(name)}{suffix}").unlink(missing_ok=True)


def allowed(directory: Path) -> dict[str, bytes]:
    """Return the public keys of everybody who is believed, by name."""
    return {name: public for public, name in _names_in(Path(directory)).items()}


def is_key(text: bytes) -> bool:
    """Whether this is a key in Z85."""
    if len(text) != KEY_CHARACTERS:
        return False
    try:
        return len(z85.decode(text)) == KEY_BYTES
    except (KeyError, ValueError, struct.error):
        return False


def _names_in(directory: Path) -> dict[bytes, str]:
    """Return names by public key. A damaged file, and a key that would stand for two names, stand for nobody."""
    names: dict[bytes, str] = {}
    doubled = set()
    for path in sorted(directory.glob(f"*{PUBLIC_SUFFIX}")):
        name = path.name.removesuffix(PUBLIC_SUFFIX)
        try:
            public = _read(path)
        except BadKeys:
            continue
        if NAME.fullmatch(name) and names.setdefault(public, name) != name:
            doubled.add(public)
    return {public: name for public, name in names.items() if public not in doubled}


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise BadKeys(f"{name!r} is not the name of an actor, role@node")
    return name


def _read(path: Path) -> bytes:
    try:
        text = path.read_bytes().strip()
    except FileNotFoundError as error:
        raise BadKeys(f"there is no key {path}") from error
    except OSError as error:
        raise BadKeys(f"{path} cannot be read: {error}") from error
    if not is_key(text):
        raise BadKeys(f"{path} is not a CURVE key of {KEY_CHARACTERS} characters")
    return text


def _write(path: Path, text: bytes, mode: int) -> None:
    """Write a file that is there complete, durable and with its mode, or not at all; leave it alone if it is so."""
    if path.exists() and path.read_bytes().strip() == text and path.stat().st_mode & 0o777 == mode:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(text + b"\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
