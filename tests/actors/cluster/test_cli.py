"""The command line with a whole cluster of tiny actors: up, status, kill, logs, call, tap, down, what goes wrong."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from actors.cluster import cli

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CONFIG = """
apiserver: {port: 0}
nodes:
  m1: {roles: [state, apiserver, scheduler, controller-manager]}
  w1: {roles: [kubelet], runtime: simulated}
"""
ACTORS = ["state@m1", "apiserver@m1", "scheduler@m1", "controller-manager@m1", "kubelet@w1"]


class Kubus:
    """The command line, run as its user does."""

    def __init__(self, directory: Path):
        self.data_dir = directory / "data"
        self.config = directory / "cluster.yaml"
        self.config.write_text(CONFIG)
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "KUBUS_DATA_DIR": str(self.data_dir)}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(HERE / "tiny_cluster.py"), *words]

    def run(self, *words: str, check: int | None = 0, **env: str) -> subprocess.CompletedProcess:
        done = subprocess.run(
            self.command(*words), env={**self.env, **env}, capture_output=True, text=True, timeout=60, cwd="/"
        )
        assert check is None or done.returncode == check, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen(self.command(*words), env=self.env, stdout=subprocess.PIPE, text=True, cwd="/")

    def status(self) -> dict:
        done = self.run("status", "-o", "json", check=None)
        return json.loads(done.stdout)

    def pids(self) -> list[int]:
        status = self.status()
        return [status["supervisor"]["pid"], status["supervisor"]["warm_parent_pid"]] + [
            row["pid"] for row in status["actors"]
        ]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition, within_s: float = 20.0):
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)
    return found


@pytest.fixture
def kubus(tmp_path):
    cluster = Kubus(tmp_path)
    yield cluster
    cluster.run("down", check=None)


def test_up_detached_status_kill_and_down(kubus):
    up = kubus.run("up", "--config", str(kubus.config), "--detach")
    assert "export KUBECONFIG=" in up.stdout
    for name in ACTORS:
        assert f"{name} " in up.stdout
    status = kubus.status()
    rows = {row["name"]: row for row in status["actors"]}
    assert sorted(rows) == sorted(ACTORS)
    for name, row in rows.items():
        title = Path(f"/proc/{row['pid']}/cmdline").read_bytes().rstrip(b"\0").decode()
        assert title == f"kubus: {name}"
        assert (row["health"], row["restarts"], row["pss_mb"] > 0) == ("serving", 0, True)
    assert (rows["scheduler@m1"]["leader"], rows["state@m1"]["leader"]) == (True, None)
    assert Path(f"/proc/{status['supervisor']['pid']}/cmdline").read_bytes().startswith(b"kubus: supervisor")
    assert "kubus: warm-parent" in Path(f"/proc/{status['supervisor']['warm_parent_pid']}/cmdline").read_text()

    assert "got SIGKILL" in kubus.run("kill", "scheduler").stdout
    until(lambda: [row["restarts"] for row in kubus.status()["actors"]].count(1) == 1)
    until(lambda: all(row["health"] == "serving" for row in kubus.status()["actors"]))
    assert "SIGTERM" in kubus.run("kill", "kubelet@w1", "--signal", "term").stdout

    pids = kubus.pids()
    assert "Stopped in" in kubus.run("down").stdout
    assert not [pid for pid in pids if pid and is_alive(pid)]
    assert kubus.run("status", check=3).stderr.count("no Kubus runs")


def test_foreground_stops_in_order_at_ctrl_c(kubus):
    process = kubus.start("up", "--config", str(kubus.config))
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "KUBECONFIG" in line:
            break
    assert "\x1b[" not in "".join(lines)
    assert "kubectl get nodes" in process.stdout.readline()
    pids = kubus.pids()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert not [pid for pid in pids if is_alive(pid)]


def test_a_killed_supervisor_leaves_nobody_and_up_works_at_once(kubus):
    kubus.run("up", "--config", str(kubus.config), "--detach")
    pids = kubus.pids()
    os.kill(pids[0], signal.SIGKILL)
    kubus.run("up", "--config", str(kubus.config), "--detach")
    assert not [pid for pid in pids if is_alive(pid)]
    assert {row["health"] for row in kubus.status()["actors"]} == {"serving"}


def test_everything_killed_at_once_and_up_again(kubus):
    kubus.run("up", "--config", str(kubus.config), "--detach")
    for pid in kubus.pids():
        with contextlib.suppress(ProcessLookupError):  # it has seen that its supervisor is gone, and ended by itself
            os.kill(pid, signal.SIGKILL)
    kubus.run("up", "--config", str(kubus.config), "--detach")
    assert {row["health"] for row in kubus.status()["actors"]} == {"serving"}


def test_call_tap_logs_and_kubeconfig(kubus):
    kubus.run("up", "--config", str(kubus.config), "--detach")
    inspection = json.loads(kubus.run("call", "scheduler", "control.inspect").stdout)
    assert inspection["state"]["leader"] is True
    reply = json.loads(kubus.run("call", "state@m1", "state.range", '{"range": {"key": "/registry/"}}').stdout)
    assert reply["revision"] == 7
    assert json.loads(kubus.run("call", "supervisor", "supervisor.status").stdout)["actors"]
    assert (
        "has no method state.rnage; it has control.health" in kubus.run("call", "state", "state.rnage", check=2).stderr
    )
    assert "range is missing" in kubus.run("call", "state", "state.range", "{}", check=2).stderr
    assert "argument is not JSON" in kubus.run("call", "state", "state.range", "range", check=2).stderr
    assert (
        "no actor staet@m1; did you mean state@m1?" in kubus.run("call", "staet@m1", "control.health", check=1).stderr
    )

    tap = kubus.start("tap", "state.tick")
    hint = json.loads(tap.stdout.readline())
    tap.send_signal(signal.SIGINT)
    assert tap.wait(10) == 0
    assert (hint["topic"], hint["sender"], list(hint["body"])) == ("state.tick", "state@m1", ["at"])

    assert '"event":"serving"' in kubus.run("logs", "state").stdout.replace('": "', '":"')
    assert len(kubus.run("logs", "supervisor", "--tail", "2").stdout.splitlines()) == 2
    assert "https://127.0.0.1:12345" in kubus.run("kubeconfig").stdout


def test_two_clusters_run_side_by_side_and_a_data_dir_has_one(kubus, tmp_path):
    (tmp_path / "second").mkdir()
    other = Kubus(tmp_path / "second")
    kubus.run("up", "--config", str(kubus.config), "--detach")
    try:
        other.run("up", "--config", str(other.config), "--detach")
        refused = kubus.run("up", "--config", str(kubus.config), check=4)
        assert f"in use by another Kubus (pid {kubus.status()['supervisor']['pid']})" in refused.stderr
        refused = kubus.run("up", "--config", str(kubus.config), "--detach", check=4)
        assert "in use by another Kubus" in refused.stderr
    finally:
        other.run("down")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "nodes: {m1: {roles: [state, apisever]}}",
            "nodes.m1.roles[1]: 'apisever' is no role; did you mean apiserver?",
        ),
        ("nodes: {m1: {roles: [state]}}", "no node has the role apiserver"),
        ("nodes: {m1: {roles: [state, apiserver]}}\napiserver: {port: 70000}", "apiserver.port: expected a port"),
        ("nodes: {m1: {roles: [state, apiserver], runtim: simulated}}", "unknown key; did you mean runtime?"),
        ("nodes: {m1: {roles: [state, apiserver]}}\nnetwork: {pod_cidr: 10.96.0.0/12}", "overlaps"),
    ],
)
def test_a_config_with_an_error_starts_nothing(kubus, text, complaint):
    kubus.config.write_text(text)
    refused = kubus.run("up", "--config", str(kubus.config), check=5)
    assert str(kubus.config) in refused.stderr
    assert complaint in refused.stderr
    assert not kubus.data_dir.exists()


def test_a_taken_port_is_named_before_anything_starts(kubus):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = kubus.run("up", "--config", str(kubus.config), "--port", str(port), check=1)
    assert f"port {port} on 127.0.0.1 is taken" in refused.stderr


def test_an_actor_that_can_not_start_is_reported_while_the_rest_runs(kubus):
    up = kubus.run("up", "--config", str(kubus.config), "--detach", check=6, TINY_BROKEN="scheduler")
    assert "not ready: scheduler@m1: it crashed more than 3 times" in up.stderr
    rows = {row["name"]: row for row in kubus.status()["actors"]}
    assert (rows["scheduler@m1"]["health"], rows["kubelet@w1"]["health"]) == ("failed", "serving")
    assert "broken on purpose" in kubus.run("logs", "scheduler").stdout
    kubus.run("status", check=1)


def test_nodes_are_for_simulated_nodes(kubus):
    kubus.run("up", "--config", str(kubus.config), "--nodes", "5", "--detach")
    assert json.loads((kubus.data_dir / "cluster.json").read_text())["nodes"]["w1"]["count"] == 5


def test_without_a_config_the_cluster_comes_up_as_it_last_did(kubus):
    kubus.run("up", "--config", str(kubus.config), "--nodes", "5", "--detach")
    before = (kubus.data_dir / "cluster.json").read_text()
    kubus.run("down")
    up = kubus.run("up", "--detach")
    assert f"as it last ran here, by {kubus.data_dir}/cluster.json" in up.stdout + up.stderr
    assert (kubus.data_dir / "cluster.json").read_text() == before
    kubus.run("down")
    (kubus.data_dir / "asked.json").write_text(before.replace('"count": 5', '"count": 6'))
    kubus.run("up", "--detach")
    assert json.loads((kubus.data_dir / "cluster.json").read_text())["nodes"]["w1"]["count"] == 6
    assert not (kubus.data_dir / "asked.json").exists(), "this machine has all that was asked for"
    kubus.run("down")
    (kubus.data_dir / "cluster.json").write_text('{"nodes": 7}')
    refused = kubus.run("up", "--detach", check=5)
    assert f"{kubus.data_dir}/cluster.json" in refused.stderr


def test_help_completion_and_usage(kubus):
    help_text = kubus.run("--help").stdout
    assert "..." not in help_text.partition("Commands:")[2]
    for name in ("up", "down", "status", "logs", "call", "tap", "kill", "kubeconfig", "image", "doctor"):
        assert f"\n  {name} " in help_text
    for name in cli.COMMANDS:
        shown = CliRunner().invoke(cli.kubus, [name, "--help"], prog_name="kubus")
        assert f"Usage: kubus {name}" in shown.output and "..." not in shown.output.partition("Commands:")[2], name
    assert "Exit status" in help_text
    assert "_KUBUS_COMPLETE" in kubus.run("completion", "bash").stdout
    assert "did you mean status?" in kubus.run("statsu", check=2).stderr
    kubus.run("kill", "state", "--signal", "NOPE", check=2)
