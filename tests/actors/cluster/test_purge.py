"""What a purge would do, decided on imagined machines: all that is ours, nothing that is another's."""

from pathlib import Path

import pytest

from actors.cluster.leftovers import Link, Process, Survey, parse_mountinfo
from actors.cluster.purge import PurgeError, Scope, is_ours, plan, purge, scope_of
from actors.cluster.removal import Action, RemovalFailed, Verb, execute, remove_tree
from actors.kubelet.containerd.places import Places

DATA = Path("/var/lib/kubus")
ID = "0a1b2c3d"
OURS = "kbr-" + ID
SCOPE = Scope(DATA, ID, OURS, (Places(DATA, "m1", ID),), (Path("/run/kubus-" + ID),))
SOCKET = "/var/lib/kubus/nodes/m1/containerd/containerd.sock"
CONFIG = "/var/lib/kubus/nodes/m1/containerd/config.toml"
SHIM = ("/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "c1", "-address")


def targets(found: Survey, verb: Verb) -> list[str]:
    return [action.target for action in plan(SCOPE, found) if action.verb is verb]


def test_a_clean_machine_has_only_folders_to_remove():
    assert plan(SCOPE, Survey()) == [
        Action(Verb.REMOVE_TREE, "/run/kubus-" + ID),
        Action(Verb.REMOVE_TREE, "/var/lib/kubus"),
    ]


@pytest.mark.parametrize(
    ("argv", "ours"),
    [
        ((*SHIM, SOCKET), True),
        (("/usr/bin/containerd", "--config", CONFIG), True),
        ((*SHIM, "/run/containerd/containerd.sock"), False),
        ((*SHIM, "/var/lib/kubus2/nodes/m1/containerd/containerd.sock"), False),
        (("/usr/bin/containerd",), False),
        (("/usr/bin/containerd", "--config"), False),
        (("vim", "--config", CONFIG), False),
        (("tail", "-f", SOCKET), False),
        ((), False),
    ],
)
def test_processes_are_known_by_our_own_paths_in_their_command_line(argv, ours):
    assert is_ours(SCOPE, argv) is ours


def test_containerd_dies_before_what_it_would_restart_and_nobody_twice():
    found = Survey(
        processes=[
            Process(10, (*SHIM, SOCKET)),
            Process(5, ("bash",)),
            Process(11, ("containerd", "--config", CONFIG)),
        ],
        pids_in_cgroups=[12, 10],
    )
    assert targets(found, Verb.KILL) == ["10", "11", "12"]


def test_inner_and_later_mounts_go_first_and_a_similar_name_is_not_ours():
    mounts = [
        "/",
        "/var/lib/kubus/a",
        "/var/lib/kubus/a/b/c",
        "/var/lib/kubus/d",
        "/var/lib/kubus2/a",
        "/run/kubus-" + ID + "/x",
    ]
    assert targets(Survey(mounts=mounts), Verb.UNMOUNT) == [
        "/var/lib/kubus/a/b/c",
        "/var/lib/kubus/d",
        "/var/lib/kubus/a",
        "/run/kubus-" + ID + "/x",
    ]


def test_links_tables_and_rules_are_known_by_the_instance():
    found = Survey(
        links=[Link("lo"), Link("veth1", OURS), Link("veth2", "docker0"), Link(OURS), Link("kbr-ffffffff")],
        tables=[("ip", f"kubus-{ID}"), ("ip", f"kubus-{ID}-cni"), ("ip", f"kubus-{ID}5"), ("ip", "nat")],
        iptables_rules=[
            f'filter -A FORWARD -i kbr-{ID} -m comment --comment kubus-{ID} -j ACCEPT',
            "filter -A FORWARD -i docker0 -j ACCEPT",
            'filter -A FORWARD -m comment --comment "kubus-ffffffff" -j ACCEPT',
        ],
    )  # fmt: skip
    assert targets(found, Verb.DELETE_LINK) == ["veth1", "kbr-" + ID]
    assert targets(found, Verb.DELETE_TABLE) == [f"ip kubus-{ID}", f"ip kubus-{ID}-cni"]
    assert len(targets(found, Verb.DELETE_RULE)) == 1


def test_cached_results_of_cni_are_known_by_network_or_sandbox():
    found = Survey(
        cni_results=[f"kubus-{ID}-m1-abc-eth0", "cni-loopback-abc-lo", "cni-loopback-xyz-lo", "bridge-xyz-eth0"],
        sandbox_ids=["abc"],
    )
    assert [Path(path).name for path in targets(found, Verb.REMOVE_FILE)] == [
        f"kubus-{ID}-m1-abc-eth0",
        "cni-loopback-abc-lo",
    ]


def test_the_order_is_processes_mounts_devices_cgroups_files():
    found = Survey(
        pids_in_cgroups=[9],
        mounts=["/var/lib/kubus/x"],
        links=[Link("kbr-" + ID)],
        cgroups=["/sys/fs/cgroup/kubus-x/m1", "/sys/fs/cgroup/kubus-x"],
        shim_sockets=["/run/containerd/s/1"],
    )
    verbs = [action.verb for action in plan(SCOPE, found)]
    assert verbs == sorted(verbs, key=list(Verb).index)


def test_escaped_mount_points():
    line = r"36 35 98:0 / /mnt/a\040b\011c rw,noatime master:1 - ext3 /dev/root rw"
    assert parse_mountinfo(line) == ["/mnt/a b\tc"]


def test_a_folder_that_is_not_a_data_dir_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(PurgeError, match="not a data directory"):
        scope_of(tmp_path, "kbr-x", "x")


def test_trees_at_the_top_and_links_are_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for path in ("/nonexistent", str(tmp_path / "link")):
        with pytest.raises(RemovalFailed, match="refused"):
            remove_tree(path)


def test_a_failure_is_told_and_the_rest_is_done(tmp_path):
    (tmp_path / "file").touch()
    failures = execute([Action(Verb.REMOVE_FILE, str(tmp_path)), Action(Verb.REMOVE_FILE, str(tmp_path / "file"))])
    assert len(failures) == 1
    assert str(tmp_path) in failures[0]
    assert not (tmp_path / "file").exists()


def test_a_purge_of_a_cluster_that_never_came_up(tmp_path):
    data = tmp_path / "data"
    (data / "nodes" / "m1" / "containerd").mkdir(parents=True)
    (data / "lock").touch()
    scope = scope_of(data, "kbr-none", "ffffffff")
    assert purge(scope) == []
    assert not data.exists()
    assert purge(scope) == []
