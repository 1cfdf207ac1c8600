"""The life of the process that supervises: from a checked config to a running cluster, and to its end.

In this order, each for a reason. The data dir's lock first: whoever holds it may touch what is in there. Then the warm
parent, because it imports on the other core while all else is done. Then what a dead predecessor left is ended, for it
may hold the port. Keys and certificates are made in a process aside; only then come the loop and the sockets. What is
slow to import is imported where nobody waits for it.
"""

import contextlib
import errno
import functools
import importlib
import os
import socket
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import msgspec
from setproctitle import setproctitle

from actors.api.addresses import Address, apiserver_bind, balancer_bind, etcd_bind, nodes_of_role
from actors.api.config import ClusterConfig
from actors.cluster import exits
from actors.cluster.aside import Aside, AsideFailed
from actors.cluster.compose import Composition, actor_names, compose, nodes_here, preload_of, preparations_of
from actors.cluster.founders import BadFounders, forget_beginnings, new_members, with_founders
from actors.cluster.report import Report
from actors.cluster.simulate import runs_containers
from actors.cluster.wish import Wish
from bus.keys import BadKeys
from runtime.full_disk import NoRoom, room_at
from runtime.supervisor.datadir import REMEDY, DataDir, DataDirError, DataDirInUse
from runtime.supervisor.records import LeftOver, Recorder
from runtime.warm.link import WarmLink

CONFIG_RECORD = "cluster.json"  # in the data dir: the config that the cluster last ran with
UNFINISHED = "restoring"  # in the data dir: a folder, while a snapshot is being restored there
ASKED_RECORD = "asked.json"  # in the data dir: the config that it should have run with, where that was another
HERE_RECORD = "here.json"  # in the data dir: the nodes of it that ran on this machine; empty: all


class CannotStart(Exception):
    """Why the cluster can't start; `status` is the exit status."""

    def __init__(self, message: str, status: int = exits.FAILURE):
        super().__init__(message)
        self.status = status


def serve(wish: Wish, report: Report) -> int:
    """Bring the cluster up, keep it up until told to stop, take it down in order; return the exit status."""
    try:
        data_dir = _open(wish.data_dir)
    except CannotStart as error:
        report.failed(str(error), error.status)
        return error.status
    try:
        return _serve_in(data_dir, wish, report)
    except CannotStart as error:
        report.failed(str(error), error.status)
        return error.status
    except NoRoom as error:
        report.failed(str(error), exits.FAILURE)
        return exits.FAILURE
    finally:
        data_dir.close()


def _open(path: Path) -> DataDir:
    try:
        return DataDir(path)
    except DataDirInUse as error:
        raise CannotStart(f"{error}; `kubus status` shows it", exits.IN_USE) from error
    except DataDirError as error:
        raise CannotStart(str(error)) from error


def _serve_in(data_dir: DataDir, wish: Wish, report: Report) -> int:
    setproctitle("kubus: supervisor")
    with room_at(data_dir.path, REMEDY):
        if wish.detached:
            _redirect(data_dir.path / "logs" / "supervisor.log")
        link = WarmLink(data_dir.path / "logs" / "warm-parent.log", preload_of(wish.config, wish.here))
    try:
        wish, composition, run_dir = _prepare(data_dir.path, wish)
    except CannotStart:
        link.end()
        raise
    import asyncio

    from actors.cluster.supervise import live

    return asyncio.run(live(wish, composition, data_dir.path, run_dir, link, report))


def _prepare(data_dir: Path, wish: Wish) -> tuple[Wish, Composition, Path]:
    """Make everything that must be there before the first actor starts; raises CannotStart."""
    if (data_dir / UNFINISHED).exists():
        fault = f"`kubus snapshot restore` into {data_dir} was broken off"
        raise CannotStart(f"{fault}: repeat it, or remove what is there with `kubus down --purge`")
    try:
        with room_at(data_dir, REMEDY):
            wish, run_dir = _make(data_dir, wish)
    except BadFounders as error:
        raise CannotStart(str(error), exits.BAD_CONFIG) from error
    except (AsideFailed, DataDirError, LeftOver, OSError) as error:
        raise CannotStart(str(error)) from error
    return wish, compose(wish.config, data_dir, run_dir, wish.here), run_dir


def _make(data_dir: Path, wish: Wish) -> tuple[Wish, Path]:
    config, here = wish.config, wish.here
    Recorder(data_dir).end_left_over()
    if wish.join:
        forget_beginnings(config, data_dir, here)
    joining = tuple(new_members(config, data_dir, here)) if wish.join else ()
    config = with_founders(config, data_dir, here, join=wish.join)
    _check_ports(config, here)
    _check_networks(config, data_dir, here)
    _take_bundle(data_dir, wish)
    make_pki = functools.partial(_prepare_pki, data_dir, config, here)
    makers: list[Callable[[], object]] = [make_pki, *preparations_of(config, data_dir, here)]
    aside = Aside([room_at(data_dir, REMEDY)(make) for make in makers])
    _record(data_dir, config, here, wish.asked)
    # The imports that the loop needs cost as much as the work aside: so they come while that goes on.
    from runtime.supervisor import rundir

    importlib.import_module("actors.cluster.supervise")
    run_dir = rundir.prepare(data_dir, [*actor_names(config, here), "supervisor"])
    aside.wait()
    return replace(wish, config=config, joining=joining), run_dir


def _redirect(log_path: Path) -> None:
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _check_ports(config: ClusterConfig, here: Collection[str]) -> None:
    """Find a taken port before anything is started, and say it in the user's words."""
    for node, its in nodes_here(config, here).items():
        if "apiserver" in its.roles:
            _check_port(apiserver_bind(config, node), "apiserver.port")
        if "balancer" in its.roles:
            _check_port(balancer_bind(config, node), "balancer.port")
        if "state" in its.roles and config.state.etcd is not None:
            _check_port(etcd_bind(config, node), "state.etcd.port")


def _check_port(wanted: Address, key: str) -> None:
    bind, port = wanted
    if port == 0:
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(bind, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"can't be bound: {error.strerror}"
        other = ", or --port" if key != "state.etcd.port" else ""
        raise CannotStart(f"port {port} on {bind} {reason}; another one: {key} in the config{other}") from error


def _check_networks(config: ClusterConfig, data_dir: Path, here: Collection[str]) -> None:
    """Find another cluster, or a network, in the way of the pods' and the Services' addresses."""
    if not any(runs_containers(node) for node in nodes_here(config, here).values()):
        return
    from actors.api.network import bridge_name
    from actors.cluster.collisions import network_collisions

    if collisions := network_collisions(config, bridge_name(data_dir, config)):
        raise CannotStart(collisions[0], exits.BAD_CONFIG)


def _take_bundle(data_dir: Path, wish: Wish) -> None:
    """Unpack what was brought here; refuse a machine that would make authorities of its own. Raises CannotStart."""
    config, here = wish.config, wish.here
    if wish.bundle is not None:
        from actors.cluster.machine_bundle import BadBundle, unpack

        try:
            unpack(data_dir, config, here or tuple(config.nodes), wish.bundle.read_bytes())
        except (BadBundle, BadKeys) as error:
            raise CannotStart(f"{wish.bundle}: {error}", exits.BAD_CONFIG) from error
        return
    founder = founder_of(config)
    if here and founder not in here and not (data_dir / "pki" / "ca.crt").exists():
        raise CannotStart(
            f"this machine knows nothing of the cluster, which {founder} founds. There: `kubus bundle create "
            f"{' '.join(here)} > FILE`; here: `kubus up ... --bundle FILE`",
            exits.BAD_CONFIG,
        )


def _prepare_pki(data_dir: Path, config: ClusterConfig, here: Collection[str]) -> None:
    from actors.cluster import bus_keys, kubeconfig, pki

    if is_founder(config, here) and any(node.address for node in config.nodes.values()):
        bus_keys.prepare(bus_keys.directory_of(data_dir), actor_names(config))
    if pki.Pki(data_dir / "pki").ca_crt.exists() and not pki.Pki(data_dir / "pki").ca_key.exists():
        return  # a machine of workers, which signs nothing
    pki.prepare(data_dir, config)
    with contextlib.suppress(kubeconfig.EndpointUnknown):  # it is written again once somebody listens
        kubeconfig.write(data_dir, config, here)


def is_founder(config: ClusterConfig, here: Collection[str]) -> bool:
    """Whether the cluster's keys are made on this machine."""
    return not here or founder_of(config) in here


def founder_of(config: ClusterConfig) -> str:
    """Return the node on whose machine the cluster's keys are made: the first master."""
    return (nodes_of_role(config, "state") or nodes_of_role(config, "apiserver"))[0]


def _record(data_dir: Path, config: ClusterConfig, here: Collection[str], asked: ClusterConfig | None) -> None:
    for name, content in ((CONFIG_RECORD, config), (ASKED_RECORD, asked), (HERE_RECORD, list(here))):
        if content is None:
            (data_dir / name).unlink(missing_ok=True)
            continue
        beside = data_dir / f"{name}.new"
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2))
        os.replace(beside, data_dir / name)


def last_config(data_dir: Path) -> Path | None:
    """Return where the config is that a data dir's cluster was last asked to run with, None when it never ran."""
    records = (data_dir / ASKED_RECORD, data_dir / CONFIG_RECORD)
    return next((path for path in records if path.exists()), None)


def recorded_here(data_dir: Path) -> tuple[str, ...]:
    """Return the nodes that last ran on this machine; empty: all of the config's."""
    try:
        return tuple(msgspec.json.decode((data_dir / HERE_RECORD).read_bytes(), type=list[str]))
    except FileNotFoundError:
        return ()


def recorded_config(data_dir: Path) -> ClusterConfig | None:
    """Return the config that a data dir's cluster last ran with, None when it never ran."""
    try:
        return msgspec.json.decode((data_dir / CONFIG_RECORD).read_bytes(), type=ClusterConfig)
    except FileNotFoundError:
        return None
