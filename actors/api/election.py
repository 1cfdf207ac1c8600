"""Leader election through a Lease object, as client-go does it.

`decide` is the pure part: what a Lease and our own observation of it allow. Time is our own monotonic clock: a Lease is
expired when *we* have not seen it change for its duration, whatever the holder's clock says. Between a renewal that
failed and `renew_deadline_s` we still lead; after it we don't, and `fence` says so before every write. Since the
deadline is shorter than the lease's duration, nobody else can lead by then.

A candidate watches the Lease, so that one that is given up is taken at once: by a leader that stops in order, or by a
supervisor on behalf of one that is known to be dead (`release_of`). Nobody else may do that: a leader that can't be
reached may lead on, and its Lease has to end by itself.
"""

import asyncio
import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from actors.api.client import ApiClient
from actors.api.errors import ApiError
from actors.api.meta import Object, rfc3339_micro
from bus import BusError
from runtime.clock import Clock

LEASES = "leases.coordination.k8s.io"
RELEASE_S = 2.0  # for a lead to be given up at the end of a process; when nobody takes that, the Lease ends by itself


class NotLeader(Exception):
    """A write was held back: this process does not lead any more."""


class Step(enum.Enum):
    CREATE = "create"
    RENEW = "renew"
    TAKE = "take"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Observation:
    """A state of the Lease, and when we first saw it (monotonic seconds)."""

    version: str
    seen_at: float


def decide(lease: Object | None, seen: Observation | None, identity: str, now: float) -> Step:
    """Return what a candidate may do about the Lease it just read."""
    if lease is None:
        return Step.CREATE
    spec = lease.get("spec") or {}
    holder = spec.get("holderIdentity") or ""
    if holder == identity:
        return Step.RENEW
    duration_s = spec.get("leaseDurationSeconds") or 0
    if not holder or (seen is not None and now - seen.seen_at > duration_s):
        return Step.TAKE
    return Step.WAIT


class LeaderElector:
    """Keeps trying to lead. `run` calls `on_started` each time it begins to; that work is cancelled when it ends."""

    def __init__(
        self,
        api: ApiClient,
        name: str,
        identity: str,
        clock: Clock,
        log: Any,
        *,
        namespace: str = "kube-system",
        lease_duration_s: float = 15.0,
        renew_deadline_s: float = 10.0,
        retry_period_s: float = 2.0,
    ):
        if not retry_period_s < renew_deadline_s < lease_duration_s:
            raise ValueError("retry_period_s < renew_deadline_s < lease_duration_s must hold")
        self._api = api
        self._name = name
        self._namespace = namespace
        self._identity = identity
        self._clock = clock
        self._log = log
        self._duration_s = lease_duration_s
        self._deadline_s = renew_deadline_s
        self._retry_s = retry_period_s
        self._seen: Observation | None = None
        self._renewed_at: float | None = None
        self._lease: Object | None = None

    @property
    def is_leader(self) -> bool:
        renewed_at = self._renewed_at
        return renewed_at is not None and self._clock.monotonic() - renewed_at < self._deadline_s

    def fence(self) -> None:
        """Raise NotLeader unless this process leads right now; called before every write."""
        if not self.is_leader:
            raise NotLeader(self._name)

    async def run(self, on_started: Callable[[], Awaitable[None]]) -> None:
        """Lead whenever possible, for ever. Returns when `on_started` returns by itself."""
        while True:
            if not await self._try():
                await self._until_next_chance()
                continue
            self._log.info("leads", lease=self._name)
            work = asyncio.ensure_future(on_started())
            try:
                await self._keep(work)
                if work.done():
                    work.result()
                    return
            finally:
                await _cancel(work)
            self._renewed_at = None
            self._log.warning("lost the lead", lease=self._name)

    async def _until_next_chance(self) -> None:
        """Wait for the next attempt, or until somebody gives the Lease up."""
        watching = asyncio.ensure_future(self._until_given_up())
        try:
            await asyncio.wait((watching,), timeout=self._retry_s)
            if watching.done() and not watching.cancelled() and watching.exception() is not None:
                self._log.debug("the lease can't be watched", lease=self._name, error=str(watching.exception()))
                await asyncio.sleep(self._retry_s)
        finally:
            await _cancel(watching)

    async def _until_given_up(self) -> None:
        if self._lease is None:
            await asyncio.sleep(self._retry_s)
            return
        source = self._api.source(LEASES, self._namespace, field_selector=f"metadata.name={self._name}")
        async for key, found, _ in source.watch(self._lease["metadata"]["resourceVersion"]):
            if key and (found is None or not (found.get("spec") or {}).get("holderIdentity")):
                return

    async def release(self) -> None:
        """Give the lead up, so that another need not wait for it to expire."""
        if not self.is_leader or self._lease is None:
            return
        self._renewed_at = None
        try:
            async with asyncio.timeout(RELEASE_S):
                await self._api.update(LEASES, _given_up(self._lease))
        except (ApiError, BusError, TimeoutError) as error:
            self._log.info("the lead was not given up", lease=self._name, error=str(error))

    async def _keep(self, work: "asyncio.Future[None]") -> None:
        while self.is_leader and not work.done():
            await asyncio.wait((work,), timeout=self._retry_s)
            if not work.done() and not await self._try() and not self._may_still_lead():
                return

    def _may_still_lead(self) -> bool:
        holder = ((self._lease or {}).get("spec") or {}).get("holderIdentity")
        return holder in (None, self._identity) and self.is_leader

    async def _try(self) -> bool:
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._deadline_s):
                if await self._step():
                    self._renewed_at = began  # as of before the write: the lease can only be younger
                    return True
        except (ApiError, BusError, TimeoutError) as error:
            self._log.debug("could not renew", lease=self._name, error=str(error))
        return False

    async def _step(self) -> bool:
        lease = await self._read()
        step = decide(lease, self._seen, self._identity, self._clock.monotonic())
        if step is Step.WAIT:
            return False
        spec = self._next_spec(lease, step)
        if lease is None:
            metadata = {"name": self._name, "namespace": self._namespace}
            made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            self._lease = await self._api.create(LEASES, made)
        else:
            self._lease = await self._api.update(LEASES, lease | {"spec": spec})
        return True

    async def _read(self) -> Object | None:
        try:
            lease = await self._api.get(LEASES, self._name, self._namespace)
        except ApiError as error:
            if error.reason != "NotFound":
                raise
            self._lease = None
            return None
        version = lease["metadata"]["resourceVersion"]
        if self._seen is None or self._seen.version != version:
            self._seen = Observation(version, self._clock.monotonic())
        self._lease = lease
        return lease

    def _next_spec(self, lease: Object | None, step: Step) -> Object:
        before = (lease or {}).get("spec") or {}
        now = rfc3339_micro(self._clock.wall())
        taken = step is not Step.RENEW
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._duration_s),
            "acquireTime": now if taken else before.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": before.get("leaseTransitions", 0) + (1 if step is Step.TAKE else 0),
        }


async def release_of(
    api: ApiClient, name: str, identity: str, is_dead: Callable[[], bool], namespace: str = "kube-system"
) -> bool:
    """Give a Lease up on behalf of a holder that is dead; return whether that was done. Raises ApiError, BusError.

    `is_dead` is asked once the Lease has been read: whoever lives by then, a successor under the same name, has not
    renewed what was read, and the write fails if it does so afterwards.
    """
    try:
        lease = await api.get(LEASES, name, namespace)
    except ApiError as error:
        if error.reason == "NotFound":
            return False
        raise
    if (lease.get("spec") or {}).get("holderIdentity") != identity or not is_dead():
        return False
    try:
        await api.update(LEASES, _given_up(lease))
    except ApiError as error:
        if error.reason in ("Conflict", "NotFound"):
            return False
        raise
    return True


def _given_up(lease: Object) -> Object:
    return lease | {"spec": lease["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1}}


async def _cancel(work: "asyncio.Future[None]") -> None:
    if not work.done():
        work.cancel()
        await asyncio.wait((work,))
