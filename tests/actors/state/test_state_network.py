"""Three state actors as on three machines: each with a run directory and keys of its own, over encrypted tcp."""

import asyncio
import socket

import pytest

from actors.apiserver.storage.client import BusStateClient
from actors.cluster import bus_keys
from actors.state import messages as m
from bus import BlockingClient, BusError, Client, Directory, Keyring, Unavailable, ZmqTransport
from tests.actors.state.state_group import eventually
from tests.actors.state.state_process import StateProcess

NAMES = ["state@m1", "state@m2", "state@m3"]
ASKER = "apiserver@m1"


class Machines:
    """A founder makes the keys; each machine has those of its bundle, and asks by tcp whatever is not its own."""

    def __init__(self, path):
        founder = path / "founder"
        bus_keys.prepare(founder, [*NAMES, ASKER])
        self.addresses = {
            name: {"work": f"tcp://127.0.0.1:{port}"} for name, port in zip(NAMES, free_ports(3), strict=True)
        }
        self.directory = Directory(path / "nobody", NAMES, self.addresses)
        self.members = []
        for name in NAMES:
            node = name.partition("@")[2]
            home = path / node
            home.mkdir()
            bus_keys.unpack(home / "keys", bus_keys.bundle(founder, node))
            others = {other: sockets for other, sockets in self.addresses.items() if other != name}
            network = {"remote": others, "listen": self.addresses[name], "keys_dir": home / "keys"}
            self.members.append(StateProcess(home, name=name, names=NAMES, network=network))
        self.keys = path / "m1" / "keys"

    @property
    def endpoints(self):
        return {name: self.directory.work(name) for name in NAMES}

    def ask(self, name, request, sender=ASKER, keyring=None):
        with BlockingClient(sender, keyring=keyring or Keyring(self.keys, ASKER)) as client:
            return client.request(self.directory.work(name), request, timeout_s=1.0)


def free_ports(count):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@pytest.fixture
def machines(tmp_path):
    made = Machines(tmp_path)
    for member in made.members:
        member.launch()
    yield made
    for member in made.members:
        member.kill()


def test_a_group_of_machines_elects_writes_and_outlives_its_leader(machines, tmp_path):
    def leader():
        found = {machines.ask(name, m.StatusRequest()).leader for name in NAMES if name != gone}
        return found.pop() if len(found) == 1 and "" not in found and gone not in found else None

    async def put(key):
        client = Client(ASKER, ZmqTransport(Keyring(machines.keys, ASKER)))
        reply = await BusStateClient(client, machines.endpoints).txn(m.Txn([], [m.Put(key, b"v")]))
        client.close()
        return reply.revision

    gone = ""
    first = eventually(leader)
    assert asyncio.run(put(b"a")) == 2
    gone = first
    machines.members[NAMES.index(first)].kill()
    assert asyncio.run(put(b"b")) == 3
    second = eventually(leader)
    assert len(machines.ask(second, m.RangeRequest(m.Range(b"\0", b"\0"))).result.kvs) == 2
    bus_keys.prepare(tmp_path / "stranger", [ASKER])
    bus_keys.unpack(tmp_path / "stranger", bus_keys.introduction(tmp_path / "founder", NAMES))
    with pytest.raises(Unavailable):
        machines.ask(second, m.StatusRequest(), keyring=Keyring(tmp_path / "stranger", ASKER))
    with pytest.raises(BusError, match="may not speak as"):
        machines.ask(second, m.StatusRequest(), sender="state@m3")
