"""A config that grows: who founds, who joins, and what is refused."""

import msgspec
import pytest

from actors.api.config import ClusterConfig, NodeConfig
from actors.cluster.founders import BadFounders, forget_beginnings, new_members, with_founders
from actors.state.group import Group


def cluster(*nodes, **fields):
    return ClusterConfig({node: NodeConfig(["state", "apiserver"], **fields) for node in nodes})


def begin(data_dir, node, group):
    directory = data_dir / "actors" / f"state@{node}"
    directory.mkdir(parents=True)
    (directory / "group").write_bytes(msgspec.json.encode(group))


def initial(*arguments, **options):
    return with_founders(*arguments, **options).state.initial_members


def test_all_that_are_new_found_together(tmp_path):
    assert initial(cluster("m1", "m2", "m3"), tmp_path, (), join=False) == []


def test_those_that_come_late_are_refused_unless_they_join(tmp_path):
    begin(tmp_path, "m1", Group.founded("kubus", ["state@m1"]))
    grown = cluster("m1", "m2", "m3")
    with pytest.raises(BadFounders, match="state@m2, state@m3 came into the config after state@m1"):
        with_founders(grown, tmp_path, (), join=False)
    assert initial(grown, tmp_path, (), join=True) == ["state@m1"]
    assert new_members(grown, tmp_path, ()) == ["state@m2", "state@m3"]


def test_a_directory_from_before_groups_is_its_members_alone(tmp_path):
    directory = tmp_path / "actors" / "state@m1"
    directory.mkdir(parents=True)
    (directory / "1.log").write_bytes(b"")
    with pytest.raises(BadFounders, match="state@m2 came"):
        with_founders(cluster("m1", "m2"), tmp_path, (), join=False)


def test_a_founder_whose_data_is_gone_is_no_latecomer(tmp_path):
    begin(tmp_path, "m1", Group.founded("kubus", ["state@m1", "state@m2"]))
    assert initial(cluster("m1", "m2"), tmp_path, (), join=False) == []


def test_nobody_joins_nobody(tmp_path):
    with pytest.raises(BadFounders, match="can join nobody"):
        with_founders(cluster("m1", "m2"), tmp_path, (), join=True)


def test_on_a_machine_of_its_own_a_new_master_joins_those_elsewhere(tmp_path):
    assert initial(cluster("m1", "m2", address="10.0.0.1"), tmp_path, ("m2",), join=True) == ["state@m1"]


def test_what_was_refused_as_a_founder_may_join(tmp_path):
    begin(tmp_path, "m2", Group.founded("kubus", ["state@m1", "state@m2"]))
    begin(tmp_path, "m3", Group.joining())
    grown = cluster("m1", "m2", "m3")
    forget_beginnings(grown, tmp_path, ("m2", "m3"))
    assert new_members(grown, tmp_path, ("m2", "m3")) == ["state@m2"]
