"""What every room of the API server may ask: what is stored, what is served, who may do what, what time it is.

`server` adds what only the verbs work with. Rooms that the verbs use, such as admission and the webhooks, know no more
than this, so that none of them leads back to the whole. Nothing here decides anything.
"""

from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Any

from actors.api.config import ClusterConfig
from actors.apiserver.auth.authorizer import Authorizer
from actors.apiserver.machinery.resource import Registry
from actors.apiserver.storage.barrier import Barrier
from actors.apiserver.storage.client import StateClient
from actors.apiserver.storage.watch_cache import WatchCache
from runtime.clock import Clock


@dataclass(slots=True, kw_only=True)
class Parts:
    config: ClusterConfig
    registry: Registry
    clock: Clock
    state: StateClient
    cache: WatchCache
    barrier: Barrier
    authorizer: Authorizer
    log: Any
    random: Random = field(default_factory=SystemRandom)
