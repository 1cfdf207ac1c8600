"""How a state actor opens its gRPC face: the address that the config gives it, the services, the front.

Several state actors of one machine share an address: the first takes the port of the config, the next ones those after
it. Port 0 is any free one, the same again after a restart unless it is taken meanwhile.

gRPC has threads: nothing of this room is imported before the actor's process has been forked.

Neighbours: `actor` calls it when the config asks for a face; `front` serves.
"""

from pathlib import Path
from typing import Any

from actors.api.addresses import Address, client_address, etcd_bind
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
    bound = etcd_bind(config, actor.setup.node)
    try:
        port = await _listen(front, bound, actor.dir / ENDPOINT, tls)
    except (CannotListen, OSError) as error:
        raise CannotServe(f"etcd's clients cannot be served: {error}") from error
    address = client_address(config, actor.setup.node, bound._replace(port=port))
    service.etcd_url = f"{'https' if tls else 'http'}://{address}"
    actor.log.info("serving etcd's API", address=service.etcd_url)
    return front


async def _listen(front: Front, bound: Address, endpoint: Path, tls: Path | None) -> int:
    if bound.port:
        return await front.start(bound, tls)
    port = await _listen_again(front, bound, endpoint, tls) or await front.start(bound, tls)
    beside = endpoint.with_name(f"{ENDPOINT}.new")
    beside.write_text(f"{port}\n")
    beside.replace(endpoint)
    return port


async def _listen_again(front: Front, bound: Address, endpoint: Path, tls: Path | None) -> int:
    """Listen on the port of the last life; 0 when there is none, or it is taken."""
    if not endpoint.exists():
        return 0
    try:
        return await front.start(bound._replace(port=int(endpoint.read_text())), tls)
    except (CannotListen, ValueError):
        return 0
