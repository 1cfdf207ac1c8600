"""What the verbs work with: one value that holds the parts of a running API server.

Built once by `actor`; tests build one over a store in memory. Nothing here decides anything.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from prometheus_client import CollectorRegistry

from actors.apiserver.admission.dynamic import Hooks
from actors.apiserver.admission.quota import Ledger
from actors.apiserver.auth.bearer import BearerTokens
from actors.apiserver.auth.bootstrap_tokens import BootstrapTokens
from actors.apiserver.auth.legacy_tokens import LegacyTokens
from actors.apiserver.auth.oidc import OidcTokens
from actors.apiserver.auth.tokens import ServiceAccountTokens, StaticTokens
from actors.apiserver.parts import Parts
from actors.apiserver.storage.store import Store
from actors.kubelet.messages import LogsRequest, NodeStat
from bus import Duplex, Request

if TYPE_CHECKING:
    from actors.apiserver.extensions.aggregator import Aggregator


class Kubelets(Protocol):
    """The kubelets, asked over the bus."""

    def logs(self, node: str, request: LogsRequest) -> AsyncGenerator[bytes, None]:
        """Yield a container's log. Raises ApiError when the kubelet refuses or cannot be reached."""

    def duplex(self, node: str, request: Request) -> AbstractAsyncContextManager[Duplex]:
        """Open a stream that goes both ways. Raises ApiError for a node without kubelet; the stream, BusError."""

    async def ask(self, node: str, request: Request) -> Any:
        """Return a kubelet's answer. Raises ApiError for a node without kubelet, BusError."""

    async def stats(self) -> list[NodeStat]:
        """Return what all nodes use, as far as their kubelets answer."""


class Components(Protocol):
    """The other components of the control plane."""

    async def checks(self) -> list[tuple[str, str]]:
        """Return each one's name and what is wrong with it; empty when it is well."""


@dataclass(slots=True, kw_only=True)
class Server(Parts):
    store: Store
    tokens: ServiceAccountTokens
    kubelets: Kubelets
    components: Components
    metrics: CollectorRegistry
    static_tokens: StaticTokens | None = None
    issuers: tuple[OidcTokens, ...] = ()
    anonymous_paths: frozenset[str] | None = frozenset()  # what strangers may ask besides health and version; None: all
    bearer: BearerTokens = field(init=False)
    quotas: Ledger = field(default_factory=Ledger)
    hooks: Hooks = field(default_factory=Hooks)
    aggregator: "Aggregator | None" = None  # who else serves something

    def __post_init__(self) -> None:
        bootstrap = BootstrapTokens(self.cache, self.clock)
        legacy = LegacyTokens(self.tokens.public_key, self.cache)
        self.bearer = BearerTokens(self.tokens, bootstrap, self.static_tokens, self.issuers, legacy)
