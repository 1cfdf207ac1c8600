"""How a state actor opens its gRPC face: the address that the config gives it, the services, the front.

Several state actors of one machine share an address: the first takes the port of the config, the next ones those after
it. Port 0 is any free one, the same again after a restart unless it is taken meanwhile.

gRPC has threads: nothing of this room is imported before the actor's process has been forked.

Neighbours: `actor` calls it when the config asks for a face; `front` serves.
"""

from pathlib import Path
from typing import Any

from actors.api.addresses import is_unspecified
from actors.api.config import ClusterConfig, EtcdConfig
from actors.state.etcd.door import Door
from actors.state.etcd.front import CannotListen, Front
from actors.state.etcd.header import Headers
from actors.state.etcd.key_value import KV
from actors.state.etcd.leases import Lease
from actors.state.etcd.maintenance import Maintenance
from actors.state.etcd.members import Cluster
from actors.state.etcd.watching import Watch
from actors.state.membership import Membership
from actors.state.service import Service
from runtime.actor import Actor, CannotServe

KEYS = Path("pki") / "etcd"  # in the cluster's data dir
ENDPOINT = "etcd-endpoint"  # in the actor's directory: the address of its last life


async def open_face(
    actor: Actor, service: Service, membership: Membership, config: ClusterConfig, wanted: EtcdConfig
) -> Front:
    """Serve etcd's API. Raises CannotServe."""
    door = Door(service, membership, actor.client, actor.setup.directory.work, actor.clock)
    headers = Headers(service)
    cluster = Cluster(door, headers, actor.spawn, actor.log)
    services: dict[str, Any] = {
        "KV": KV(door, headers, service.store),
        "Watch": Watch(service.hub, service.committer, headers, wanted.progress_notify_s),
        "Lease": Lease(door, headers),
        "Cluster": cluster,
        "Maintenance": Maintenance(door, headers, service, cluster, config.name, actor.clock),
    }
    core = service.committer.core
    front = Front(services, lambda: bool(core.leader) and not service.alarms, actor.fail)
    tls = Path(actor.setup.data_dir) / KEYS if wanted.tls else None
    try:
        port = await _listen(front, wanted, actor, config, tls)
    except (CannotListen, OSError) as error:
        raise CannotServe(f"etcd's clients cannot be served: {error}") from error
    own = config.nodes[actor.setup.node].address
    host = wanted.advertise or (own if own and is_unspecified(wanted.bind) else wanted.bind)
    service.etcd_url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    actor.log.info("serving etcd's API", address=service.etcd_url)
    return front


async def _listen(front: Front, wanted: EtcdConfig, actor: Actor, config: ClusterConfig, tls: Path | None) -> int:
    if wanted.port:
        place = _place(actor.name, config)
        return await front.start(wanted.bind, wanted.port + place, tls)
    endpoint = actor.dir / ENDPOINT
    port = await _listen_again(front, wanted, endpoint, tls) or await front.start(wanted.bind, 0, tls)
    beside = endpoint.with_name(f"{ENDPOINT}.new")
    beside.write_text(f"{port}\n")
    beside.replace(endpoint)
    return port


def _place(name: str, config: ClusterConfig) -> int:
    """Return how many state actors of the same machine come before one."""
    address = config.nodes[name.partition("@")[2]].address
    here = [node for node, its in config.nodes.items() if "state" in its.roles and its.address == address]
    return here.index(name.partition("@")[2])


async def _listen_again(front: Front, wanted: EtcdConfig, endpoint: Path, tls: Path | None) -> int:
    """Listen on the port of the last life; 0 when there is none, or it is taken."""
    if not endpoint.exists():
        return 0
    try:
        return await front.start(wanted.bind, int(endpoint.read_text()), tls)
    except (CannotListen, ValueError):
        return 0
