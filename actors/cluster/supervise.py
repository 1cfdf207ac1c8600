"""The supervisor with the eyes of `kubus up`: it reports what happens, and says when the cluster can be used.

Neighbours: `bringup` has made everything ready for this loop; `readiness` knows when a cluster is.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from pathlib import Path

from actors.api.addresses import nodes_of_role
from actors.api.config import ClusterConfig
from actors.cluster import exits, kubeconfig, members
from actors.cluster.compose import Composition
from actors.cluster.identity import client_of
from actors.cluster.plan import node_names
from actors.cluster.readiness import NotReady, Readiness
from actors.cluster.report import Report
from actors.cluster.wish import Wish
from bus.client import Client
from bus.errors import BusError
from runtime.supervisor.events import Announce
from runtime.supervisor.shell import Cluster, Supervisor, handle_signals
from runtime.warm.link import WarmLink

READY_DEADLINE_S = 120.0  # until the API is ready and every node registered; a long log may have to be replayed
READY_PER_NODE_S = 0.1  # more for each simulated node
SPEAKER = "cli@supervisor"  # who waits for the cluster, and adds members to it, does it on behalf of the user


async def live(
    wish: Wish, composition: Composition, data_dir: Path, run_dir: Path, link: WarmLink, report: Report
) -> int:
    """Supervise until told to stop; return the exit status."""
    config = wish.config
    cluster = Cluster(
        data_dir,
        run_dir,
        composition.actors,
        remote=composition.remote,
        log_level=config.log.level,
        preload=composition.preload,
        listen=composition.listen,
        keys_dir=composition.keys_dir,
    )
    observer = _Observer(report, wish.begun, {spec.name for spec in composition.specs})
    supervisor = Supervisor(cluster, composition.specs, observer=observer.see)
    client = client_of(data_dir, config, wish.here, SPEAKER)
    if len(nodes_of_role(config, "scheduler")) > 1 or len(nodes_of_role(config, "controller-manager")) > 1:
        _arrange_succession(config, client, supervisor, observer, report)
    handle_signals(supervisor)
    watching = asyncio.create_task(_until_ready(wish, cluster, observer, report), name="readiness")
    watching.add_done_callback(lambda task: _end_of_wait(task, supervisor, report, observer))
    try:
        await supervisor.run(link)
    finally:
        watching.cancel()
        client.close()
    return observer.status


def _arrange_succession(
    config: ClusterConfig, client: Client, supervisor: Supervisor, observer: "_Observer", report: Report
) -> None:
    # Imported where there is more than one master: a supervisor of one needs none of the API's client.
    from actors.api.client import ApiClient
    from actors.cluster.succession import Succession

    api = ApiClient(client, supervisor.cluster.directory.work_of_role("apiserver"))
    observer.on_death = Succession(config, api, lambda name: supervisor.core.children[name].pid, report.note).died


class _Observer:
    """Passes announcements on to a report, and knows who has served."""

    def __init__(self, report: Report, begun: float, names: set[str]):
        self._report = report
        self._begun = begun
        self.status = exits.OK
        self.on_death: Callable[[str], None] = lambda name: None
        self.waiting = names  # have not served yet
        self.served = asyncio.Event()
        self.given_up = asyncio.get_running_loop().create_future()  # what a child says that crashes too often

    def see(self, announcement: Announce) -> None:
        detail = announcement.detail
        if announcement.what == "serving":
            detail = f"{detail}, at {time.monotonic() - self._begun:.2f} s" if detail else ""
            self.waiting.discard(announcement.name)
            self.served.set()
        if announcement.what == "exited":
            self.on_death(announcement.name)
        if announcement.what == "failed" and not self.given_up.done():
            self.given_up.set_result(f"{announcement.name}: {detail}")
        self._report.actor(announcement.name, announcement.what, detail)


async def _until_ready(wish: Wish, cluster: Cluster, observer: _Observer, report: Report) -> None:
    """Report when the cluster can be used; NotReady at the deadline, or when a child crashes too often."""
    coming = asyncio.ensure_future(_come_up(wish, cluster, observer, report))
    try:
        await asyncio.wait((coming, observer.given_up), return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            raise NotReady(observer.given_up.result())
        await coming
    finally:
        coming.cancel()


async def _come_up(wish: Wish, cluster: Cluster, observer: _Observer, report: Report) -> None:
    config = wish.config
    client = client_of(cluster.data_dir, config, wish.here, SPEAKER)
    try:
        deadline = time.monotonic() + _ready_deadline_s(config)
        await _join(wish, cluster, client, report)
        readiness = Readiness(client, cluster.directory.work_of_role("apiserver"), deadline)
        await readiness.api()
        api_after_s = time.monotonic() - wish.begun
        await _until_served(observer, deadline, [name for name in observer.waiting if name.startswith("balancer@")])
        path = _write_kubeconfig(wish, cluster)
        server = kubeconfig.server_url(cluster.data_dir, config, wish.here)
        report.note(f"API ready after {api_after_s:.2f} s at {server}")
        names = node_names(config, wish.here)
        await readiness.nodes(names)
        await _until_served(observer, deadline)
        _write_kubeconfig(wish, cluster)  # by now every API server has said where it listens
        facts = {
            "seconds": f"{time.monotonic() - wish.begun:.2f}",
            "api_seconds": f"{api_after_s:.2f}",
            "server": server,
            "nodes": f"{len(names)} node{'' if len(names) == 1 else 's'}",
            "kubeconfig": path,
        }
        report.ready(facts)
    finally:
        client.close()


def _write_kubeconfig(wish: Wish, cluster: Cluster) -> str:
    """Write the administrator's kubeconfig, and return its path: nothing on a machine of workers, which has none."""
    if not (cluster.data_dir / "pki" / "admin.crt").exists():
        return ""
    return str(kubeconfig.write(cluster.data_dir, wish.config, wish.here))


async def _join(wish: Wish, cluster: Cluster, client: Client, report: Report) -> None:
    """Have the masters that joined with this start added to the group of state actors; NotReady when that fails."""
    endpoints = {name: cluster.directory.work(name) for name in cluster.directory.of_role("state")}
    for name in wish.joining:
        try:
            await members.add(client, endpoints, name, within_s=members.CATCH_UP_S)
        except (BusError, members.NoLeader) as error:
            raise NotReady(f"{name} was not added: {error}; `kubus member add {name}` tries again") from error
        report.note(f"{name} has joined, and votes")


async def _until_served(observer: _Observer, deadline: float, names: Collection[str] | None = None) -> None:
    """Return when all of these have served, or all there are; NotReady at the deadline."""
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            while left := observer.waiting if names is None else observer.waiting & set(names):
                observer.served.clear()
                await observer.served.wait()
    except TimeoutError:
        raise NotReady(f"{', '.join(sorted(left))} did not start") from None


def _end_of_wait(task: "asyncio.Task[None]", supervisor: Supervisor, report: Report, observer: _Observer) -> None:
    """A cluster that is not ready in time keeps running, for somebody to look at; a broken wait stops everything."""
    if task.cancelled() or (error := task.exception()) is None:
        return
    logs = supervisor.cluster.data_dir / "logs"
    if isinstance(error, NotReady):
        observer.status = exits.NOT_READY
        report.failed(
            f"not ready: {error}\nThe logs are in {logs}. It keeps trying; `kubus down` ends it.", observer.status
        )
    else:
        observer.status = exits.FAILURE
        report.failed(f"{error!r}; the logs are in {logs}", observer.status)
        supervisor.stop()


def _ready_deadline_s(config: ClusterConfig) -> float:
    return READY_DEADLINE_S + READY_PER_NODE_S * len(node_names(config))
