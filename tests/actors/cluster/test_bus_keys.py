"""Keys of a cluster's actors, and how they get to another machine."""

import pytest

from actors.cluster import bus_keys
from bus import BadKeys, Keyring, keys

ACTORS = ["state@m1", "apiserver@m1", "state@m2", "kubelet@w1"]


@pytest.fixture
def founder(tmp_path):
    directory = bus_keys.directory_of(tmp_path / "m1")
    bus_keys.prepare(directory, ACTORS)
    return directory


def test_every_actor_and_every_nodes_command_line_has_a_key_that_stays(founder):
    before = keys.allowed(founder)
    assert set(before) == {*ACTORS, "cli@m1", "cli@m2", "cli@w1"}
    bus_keys.prepare(founder, ACTORS)
    assert keys.allowed(founder) == before


def test_a_bundle_holds_the_secrets_of_its_node_alone(founder, tmp_path):
    there = tmp_path / "m2"
    assert "kubelet@w1" in bus_keys.unpack(there, bus_keys.bundle(founder, "m2"))
    assert keys.allowed(there) == keys.allowed(founder)
    assert {path.name for path in there.glob("*.key")} == {"state@m2.key", "cli@m2.key"}
    assert Keyring(there, "state@m2").secret() == Keyring(founder, "state@m2").secret()
    with pytest.raises(BadKeys):
        Keyring(there, "state@m1").secret()


def test_others_believe_a_newcomer_after_an_introduction_and_not_after_it_left(founder, tmp_path):
    other = tmp_path / "w1"
    bus_keys.unpack(other, bus_keys.bundle(founder, "w1"))
    bus_keys.prepare(founder, ["state@m3"])
    keyring = Keyring(other, "kubelet@w1")
    assert not keyring.believes("state@m3")
    introduction = bus_keys.introduction(founder, ["state@m3"])
    assert b'"secret": {}' in introduction
    bus_keys.unpack(other, introduction)
    assert keyring.believes("state@m3")
    assert bus_keys.withdraw(other, "m3") == ["state@m3"]
    assert not keyring.believes("state@m3")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"format": 9, "secret": {}, "public": {}}',
        b'{"format": 1, "secret": {}, "public": {"../x@y": "a"}}',
        b'{"format": 1, "secret": {"state@m1": "short"}, "public": {}}',
    ],
)
def test_what_is_no_bundle_is_refused_and_leaves_nothing(text, tmp_path):
    with pytest.raises(BadKeys):
        bus_keys.unpack(tmp_path, text)
    assert list(tmp_path.iterdir()) == []


def test_a_node_without_keys_gets_no_bundle(founder):
    with pytest.raises(BadKeys, match="m9"):
        bus_keys.bundle(founder, "m9")
    with pytest.raises(BadKeys, match="state@m9"):
        bus_keys.introduction(founder, ["state@m9"])
