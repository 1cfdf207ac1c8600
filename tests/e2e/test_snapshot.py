"""A cluster that was saved, destroyed, and is back as it was; and files that cannot bring one back."""

import json
import re

import pytest

from actors.state.disk import DirectoryDisk
from actors.state.storage import Storage
from tests import etcd_programs
from tests.cluster import SIMULATED_CONFIG, Cluster, eventually

KINDS = "namespaces,configmaps,secrets,serviceaccounts,deployments,replicasets,services,roles,clusterroles"
ONE = SIMULATED_CONFIG + "state: {etcd: {port: 0}}\n"
THREE = ONE.replace("  w1:\n", "  m2:\n    roles: [state]\n  m3:\n    roles: [state]\n  w1:\n")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A cluster that has been saved, and what it looked like then; it is gone."""
    directory = tmp_path_factory.mktemp("snapshot")
    cluster = Cluster(real=False, config=ONE)
    try:
        cluster.up()
        yield _fill_and_save(cluster, directory / "cluster.snapshot")
    finally:
        cluster.purge()
        cluster.forget()


def _fill_and_save(cluster, file):
    cluster.kubectl("create", "deployment", "web", "--image=kubus.local/pause", "--replicas=3")
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    for value in range(3):
        cluster.kubectl("delete", "configmap", "counter", "--ignore-not-found")
        cluster.kubectl("create", "configmap", "counter", f"--from-literal=value={value}")
    cluster.kubectl("create", "secret", "generic", "password", "--from-literal=p=secret")
    token = cluster.kubectl("create", "token", "default").strip()
    seen = objects(cluster)
    by_etcdctl(cluster, "snapshot", "save", str(file.with_name("of-etcdctl")))
    said = cluster.kubus("snapshot", "save", str(file)).stdout
    revision = int(re.search(r"revision (\d+)", said)[1])
    kubeconfig = (cluster.data_dir / "kubeconfig").read_text()
    cluster.kubectl("create", "configmap", "too-late")
    cluster.kubus("down", "--purge", limit_s=90)
    assert not cluster.data_dir.exists()
    return cluster, file, seen, revision, token, kubeconfig


def by_etcdctl(cluster, *words):
    """Ask the state actor as etcd's users do."""
    keys = cluster.data_dir / "pki" / "etcd"
    url = json.loads(cluster.kubus("call", "state@m1", "state.status").stdout)["etcd_url"]
    tls = [f"--cacert={keys / 'ca.crt'}", f"--cert={keys / 'client.crt'}", f"--key={keys / 'client.key'}"]
    return cluster.run(etcd_programs.need("etcdctl"), f"--endpoints={url}", *tls, *words).stdout


def test_a_snapshot_by_etcdctl_holds_the_objects_and_no_keys(saved, tmp_path):
    cluster, file, seen, *_ = saved
    data_dir = tmp_path / "data"
    words = ("snapshot", "restore", str(file.with_name("of-etcdctl")), "--data-dir", str(data_dir))
    assert "give --config" in cluster.kubus(*words, status=1).stderr
    assert "without keys" in cluster.kubus(*words, "--config", str(cluster.config)).stdout
    assert not (data_dir / "pki").exists()
    storage = Storage(DirectoryDisk(data_dir / "actors" / "state@m1"), 1 << 20, "state@m1")
    keys = {kv.key for kv in storage.recover().machine.store.live()}
    storage.close()
    assert {b"/registry/configmaps/default/counter", b"/registry/secrets/default/password"} <= keys


def objects(cluster):
    """Return what is there, with identity, revision and content, but without what changes by itself."""
    found = {}
    for item in cluster.get(KINDS, "-A")["items"]:
        meta = item["metadata"]
        content = {key: value for key, value in item.items() if key != "status"}
        found[item["kind"], meta.get("namespace", ""), meta["name"]] = content
    return found


def test_what_was_saved_is_back_as_it_was(saved):
    cluster, file, seen, revision, token, kubeconfig = saved
    assert file.stat().st_mode & 0o077 == 0
    said = cluster.kubus("snapshot", "restore", str(file)).stdout
    assert f"revision {revision}" in said
    again = cluster.kubus("snapshot", "restore", str(file), status=1).stderr
    assert "holds a cluster already" in again
    cluster.up()
    assert objects(cluster) == seen
    assert cluster.get("configmap", "counter")["data"] == {"value": "2"}
    eventually(lambda: cluster.get("deployment", "web")["status"].get("readyReplicas") == 3, "pods run again")
    assert pki_of(cluster.data_dir / "kubeconfig") == authority_in(kubeconfig)
    with_token = cluster.kubectl("auth", "whoami", f"--token={token}", "--client-certificate=", "--client-key=")
    assert "system:serviceaccount:default:default" in with_token
    made = cluster.get("configmap", cluster.kubectl("create", "configmap", "new", "-o", "name").strip().split("/")[1])
    assert int(made["metadata"]["resourceVersion"]) > revision
    cluster.kubus("down", "--purge", limit_s=90)


def pki_of(path):
    return authority_in(path.read_text())


def authority_in(kubeconfig):
    return re.search(r"certificate-authority-data: (\S+)", kubeconfig)[1]


def test_several_members_begin_with_what_one_had(saved):
    cluster, file, seen, *_ = saved
    cluster.config.write_text(THREE)
    said = cluster.kubus("snapshot", "restore", str(file), "--config", str(cluster.config)).stdout
    assert "state@m1, state@m2, state@m3, of 3 in all" in said
    cluster.up()
    assert objects(cluster) == seen
    members = json.loads(cluster.kubus("member", "list", "-o", "json").stdout)
    assert [each["votes"] for each in members] == [True, True, True]
    cluster.kubus("kill", "state@m1", "--signal", "KILL")
    cluster.kubectl("create", "configmap", "after")
    written = int(cluster.get("configmap", "after")["metadata"]["resourceVersion"])
    eventually(lambda: all(revision >= written for revision in applied(cluster)), "all members follow")
    cluster.kubus("down", "--purge", limit_s=90)


def applied(cluster):
    names = [f"state@m{number}" for number in (1, 2, 3)]
    return [json.loads(cluster.kubus("call", name, "state.status").stdout)["revision"] for name in names]


def test_files_that_are_no_snapshot_are_refused(saved, tmp_path):
    cluster, file, *_ = saved
    good = file.read_bytes()
    damaged = bytearray(good)
    damaged[len(good) // 2] ^= 1
    refused = {
        "not a snapshot of Kubus": b"x" * 5000,
        "the checksum at its end does not fit": bytes(damaged),
    }
    for words, content in refused.items():
        bad = tmp_path / "bad"
        bad.write_bytes(content)
        assert words in cluster.kubus("snapshot", "restore", str(bad), status=1).stderr
        assert not (cluster.data_dir / "pki").exists()
    stopped = cluster.kubus("snapshot", "save", str(tmp_path / "none"), status=3).stderr
    assert "no Kubus runs" in stopped
