"""The networks that Services get addresses from: those of the ServiceCIDRs that are ready, of the cluster's own family.

While there is no default ServiceCIDR, as at a cluster's first start, the config's network is the only one.

Neighbours: `ranges` has the places in each; `bootstrap.service_network` makes the default one; `services` chooses.
"""

import ipaddress
from typing import Any

from actors.api.config import ClusterConfig
from actors.api.meta import get_condition
from actors.apiserver.allocate.ip_addresses import family_of
from actors.apiserver.allocate.ranges import Places, cluster_ips
from actors.apiserver.storage.watch_cache import WatchCache

PREFIX = b"/registry/networking.k8s.io/servicecidrs/"
DEFAULT = "kubernetes"
READY = "Ready"

Object = dict[str, Any]


def is_usable(service_cidr: Object) -> bool:
    """May new addresses be taken from it? The default one is used before anybody has said so."""
    if service_cidr["metadata"].get("deletionTimestamp"):
        return False
    ready = get_condition((service_cidr.get("status") or {}).get("conditions") or [], READY)
    if ready is None:
        return service_cidr["metadata"]["name"] == DEFAULT
    return ready.get("status") == "True"


def service_cidrs(cache: WatchCache) -> list[Object]:
    """Return all ServiceCIDRs, the default one first."""
    found = [entry.decode() for entry in cache.at(PREFIX).entries.values()]
    return sorted(found, key=lambda obj: (obj["metadata"]["name"] != DEFAULT, obj["metadata"]["name"]))


def places(cache: WatchCache, config: ClusterConfig) -> list[Places]:
    """Return the places to choose from, in the order in which they are tried."""
    found = service_cidrs(cache)
    own = config.network.service_cidr
    if not any(obj["metadata"]["name"] == DEFAULT for obj in found):
        return [cluster_ips(own, own)]
    usable = [cidr for obj in found if is_usable(obj) for cidr in obj["spec"].get("cidrs") or ()]
    family = family_of(own)
    return [cluster_ips(cidr, own) for cidr in dict.fromkeys(usable) if family_of(cidr) == family]


def holding(service_cidrs_: list[Object], address: str) -> list[Object]:
    """Return the ServiceCIDRs whose networks an address is in."""
    one = ipaddress.ip_address(address)
    return [
        obj
        for obj in service_cidrs_
        if any(one in ipaddress.ip_network(cidr, strict=False) for cidr in obj["spec"].get("cidrs") or ())
    ]
