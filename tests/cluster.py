"""A cluster of real processes for a test: started by the command line, reached by kubectl, gone without a trace.

A real cluster lives in a network namespace of its own, so that its bridge, rules, addresses and ports meet nobody
else's, and two test runs can go on side by side; every command that talks to it runs inside. A simulated cluster needs
no namespace and no privilege: it takes a free port on loopback.

Neighbours: `tests/e2e` and `tests/chaos` use it; `traces` looks for what a cluster left behind.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

UP_LIMIT_S = 180.0  # an installation by apt included
COMMAND_LIMIT_S = 60.0
POLL_S = 0.1
NODE_ADDRESS = "192.0.2.1"  # of the machine in a real cluster's namespace; pods reach the API server there


class CommandFailed(AssertionError):
    """A command ended with another status than was expected; the message holds all it said."""


class Cluster:
    def __init__(self, *, real: bool, config: str | None = None):
        self.real = real
        self.data_dir = Path(tempfile.mkdtemp(prefix="kubus-", dir="/var/tmp" if real else None))
        self.config = self.data_dir.with_suffix(".yaml")
        self.config.write_text(config or (REAL_CONFIG if real else SIMULATED_CONFIG))
        self.namespace = f"kubus-test-{os.getpid()}-{self.data_dir.name[-6:]}" if real else ""
        if real:
            _check(["ip", "netns", "add", self.namespace])
            _check(["ip", "-n", self.namespace, "link", "set", "lo", "up"])
            _check(["ip", "-n", self.namespace, "address", "add", f"{NODE_ADDRESS}/32", "dev", "lo"])

    def up(self, *more: str) -> str:
        """Start, and return what the command said once everything is ready."""
        options = ["--detach", *(["--install-missing"] if self.real else []), *more]
        return self.kubus("up", "--config", str(self.config), *options, limit_s=UP_LIMIT_S).stdout

    def purge(self) -> None:
        """Stop and remove everything that Kubus made, whatever state it is in."""
        self.kubus("down", "--purge", limit_s=90)

    def forget(self) -> None:
        """Remove what this test made around the cluster."""
        shutil.rmtree(self.data_dir, ignore_errors=True)
        self.config.unlink(missing_ok=True)
        if self.real:
            _check(["ip", "netns", "del", self.namespace])

    def inside(self, command: list[str]) -> list[str]:
        """Return the command as it must be run to reach the cluster's network."""
        if not self.real:
            return command
        return ["nsenter", f"--net=/var/run/netns/{self.namespace}", *command]

    def run(
        self, *command: str, stdin: str = "", status: int | None = 0, limit_s: float = COMMAND_LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside; CommandFailed unless it ends with `status` (None: any)."""
        done = subprocess.run(
            self.inside(list(command)),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=limit_s,
            env=self.environment(),
            check=False,
        )
        if status is not None and done.returncode != status:
            raise CommandFailed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def environment(self) -> dict[str, str]:
        own = {"KUBUS_DATA_DIR": str(self.data_dir), "KUBECONFIG": str(self.data_dir / "kubeconfig"), "NO_COLOR": "1"}
        return os.environ | own | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def kubus(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "actors.cluster.cli", *words, **options)

    def kubectl(self, *words: str, **options: Any) -> str:
        """Run kubectl, and return what it printed."""
        return self.run("kubectl", *words, **options).stdout

    def get(self, *words: str) -> dict[str, Any]:
        """Return the object, or the List, that `kubectl get` names."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def apply(self, manifest: str) -> str:
        return self.kubectl("apply", "-f", "-", stdin=manifest)

    def status(self) -> dict[str, Any]:
        return json.loads(self.kubus("status", "-o", "json").stdout)

    def actor(self, name: str) -> dict[str, Any]:
        return next(actor for actor in self.status()["actors"] if actor["name"] == name)

    def log_of(self, name: str) -> str:
        return (self.data_dir / "logs" / f"{name}.log").read_text(errors="replace")

    def picture(self) -> str:
        """What somebody who looks for the reason of a failure would ask first."""
        said = []
        for command in (
            ["kubectl", "get", "deployments,replicasets,pods,services,endpointslices", "-A", "-o", "wide"],
            ["kubectl", "get", "events", "-A", "--sort-by=.lastTimestamp"],
            [sys.executable, "-m", "actors.cluster.cli", "status"],
            [sys.executable, "-m", "actors.cluster.cli", "call", "kubelet@w1", "control.tasks"],
        ):
            done = self.run(*command, status=None)
            said.append(f"$ {' '.join(command)}\n{done.stdout[-6000:]}{done.stderr[-1000:]}")
        for log in sorted((self.data_dir / "logs").glob("*.log")):
            loud = [line for line in log.read_text(errors="replace").splitlines() if '"info"' not in line]
            said.append(f"$ {log.name}\n" + "\n".join(line[:1500] for line in loud[-5:]))
        return "\n".join(said)


def eventually(condition: Callable[[], Any], what: str, limit_s: float = 30.0) -> Any:
    """Return the first true answer of `condition`; AssertionError, with the last answer or error, when none comes."""
    deadline = time.monotonic() + limit_s
    while True:
        answer: Any
        try:
            answer = condition()
            if answer:
                return answer
        except (AssertionError, subprocess.TimeoutExpired, LookupError, ValueError, OSError) as error:
            answer = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s:.0f} s: {what}; last: {answer!r}")
        time.sleep(POLL_S)


def _check(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=20)


REAL_CONFIG = f"""
name: e2e
apiserver: {{bind: {NODE_ADDRESS}}}
nodes:
  m1:
    roles: [state, apiserver, scheduler, controller-manager]
  w1:
    roles: [kubelet, proxy]
    runtime: containerd
    kubelet: {{lease_renew_s: 2}}
controllers:
  node_monitor_period_s: 1
  node_monitor_grace_period_s: 8
"""

SIMULATED_CONFIG = """
name: e2e-simulated
apiserver:
  port: 0
nodes:
  m1:
    roles: [state, apiserver, scheduler, controller-manager]
  w1:
    roles: [kubelet]
    runtime: simulated
    count: 3
    kubelet: {lease_renew_s: 2}
controllers:
  node_monitor_period_s: 1
  node_monitor_grace_period_s: 8
"""
