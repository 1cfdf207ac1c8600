"""Bundles for other machines: who gets what, and what is refused before anything is kept."""

import json

import pytest
from click.testing import CliRunner

from actors.api.config import ClusterConfig, NodeConfig
from actors.cluster import bus_keys, cli, machine_bundle, pki
from actors.cluster.machine_bundle import BadBundle

CONFIG = ClusterConfig(
    nodes={
        "m1": NodeConfig(roles=["state", "apiserver"], address="10.0.0.1"),
        "m2": NodeConfig(roles=["state", "apiserver"], address="10.0.0.2"),
        "w1": NodeConfig(roles=["kubelet"], address="10.0.0.3"),
    }
)


@pytest.fixture
def founder(tmp_path):
    pki.prepare(tmp_path / "founder", CONFIG)
    actors = [f"{role}@{name}" for name, node in CONFIG.nodes.items() for role in node.roles]
    bus_keys.prepare(bus_keys.directory_of(tmp_path / "founder"), actors)
    return tmp_path / "founder"


def files(data_dir):
    return sorted(str(path.relative_to(data_dir)) for path in data_dir.rglob("*") if path.is_file())


def test_a_machine_of_workers_gets_no_authority_and_nobody_else_s_keys(founder, tmp_path):
    bundle = machine_bundle.make(founder, CONFIG, ["w1"])
    machine_bundle.unpack(tmp_path / "w1", CONFIG, ["w1"], bundle)
    secret = [name for name in files(tmp_path / "w1") if name.endswith(".key")]
    assert secret == ["pki/bus/kubelet@w1.key"]


def test_a_machine_of_masters_gets_the_authorities(founder, tmp_path):
    machine_bundle.unpack(tmp_path / "m2", CONFIG, ["m2"], machine_bundle.make(founder, CONFIG, ["m2"]))
    assert {"pki/ca.key", "pki/sa.key", "pki/bus/state@m2.key"} <= set(files(tmp_path / "m2"))
    assert (tmp_path / "m2/pki/ca.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"files": {"ca.crt": "x", "../../x": "y"}}, "which no bundle should"),
        ({"cluster": "other"}, "is of the cluster"),
        ({"nodes": ["m3"]}, "and not for m2"),
        ({"format": 2}, "has format 2"),
        ({"more": 1}, "this is no bundle"),
    ],
)
def test_what_is_not_for_this_machine_is_refused_and_nothing_of_it_kept(founder, tmp_path, change, words):
    document = json.loads(machine_bundle.make(founder, CONFIG, ["m2"]))
    with pytest.raises(BadBundle, match=words):
        machine_bundle.unpack(tmp_path / "m2", CONFIG, ["m2"], json.dumps(document | change).encode())
    assert not (tmp_path / "m2").exists()


def test_only_who_has_keys_is_introduced(founder):
    done = CliRunner().invoke(cli.kubus, ["bundle", "introduce", "w1", "m9", "--data-dir", str(founder)])
    assert (done.exit_code, done.output) == (1, "kubus: there are no keys of m9; `kubus bundle create` makes them\n")
    done = CliRunner().invoke(cli.kubus, ["bundle", "introduce", "w1", "--data-dir", str(founder)])
    assert set(json.loads(done.output)["public"]) == {"kubelet@w1", "cli@w1"}
