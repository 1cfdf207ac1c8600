"""Who keeps the objects: the state actors of this cluster, or an etcd cluster. One interface, two drivers.

Neighbours: the API server's actor opens it and asks for nothing else of the driver.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.api.config import ClusterConfig
from actors.apiserver.storage.client import BusStateClient, StateClient
from runtime.actor import Actor, CannotServe


@dataclass(frozen=True, slots=True)
class Backend:
    state: StateClient
    upkeep: Coroutine[Any, Any, None] | None = None  # to be run beside it, for ever
    close: Callable[[], Awaitable[None]] | None = None


def open_backend(actor: Actor, config: ClusterConfig) -> Backend:
    """Return the driver that the config asks for. Raises CannotServe."""
    return _etcd(actor, config) if config.state.backend == "etcd" else _state_actors(actor)


def _state_actors(actor: Actor) -> Backend:
    directory = actor.setup.directory
    own = f"state@{actor.setup.node}"  # is asked first, and serves the watch
    members = sorted(directory.of_role("state"), key=lambda name: name != own)
    return Backend(BusStateClient(actor.client, {name: directory.work(name) for name in members}))


def _etcd(actor: Actor, config: ClusterConfig) -> Backend:
    # Imported here: gRPC must not exist before the fork, and most clusters want none of it.
    from actors.apiserver.storage.etcd.client import EtcdStateClient
    from actors.apiserver.storage.etcd.compaction import Compaction
    from actors.apiserver.storage.etcd.peers import BadEndpoint, Peers

    try:
        peers = Peers(config.state.endpoints, config.state.tls, Path(actor.setup.data_dir))
    except BadEndpoint as error:
        raise CannotServe(str(error)) from error
    state = EtcdStateClient(peers)
    return Backend(state, Compaction(state, config.state.compact_every_s, actor.log).run(), state.close)
