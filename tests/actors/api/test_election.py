"""Who may lead, decided from a Lease and from when we first saw it."""

import asyncio

import pytest

from actors.api.election import LeaderElector, NotLeader, Observation, Step, decide, release_of
from actors.api.errors import ApiError, conflict, not_found
from runtime.clock import ManualClock
from runtime.logging import logger_of


def lease(holder, duration_s=15, version="1"):
    return {
        "metadata": {"resourceVersion": version},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": duration_s},
    }


@pytest.mark.parametrize(
    ("found", "seen_at", "now", "step"),
    [
        (None, None, 100, Step.CREATE),
        (lease("me"), 0, 100, Step.RENEW),
        (lease(""), 100, 100, Step.TAKE),
        (lease("other"), 90, 100, Step.WAIT),
        (lease("other"), 84, 100, Step.TAKE),
        (lease("other"), 85, 100, Step.WAIT),
        (lease("other"), None, 100, Step.WAIT),
    ],
)
def test_what_a_candidate_may_do(found, seen_at, now, step):
    seen = None if seen_at is None else Observation("1", seen_at)
    assert decide(found, seen, "me", now) is step


class Leases:
    """A single Lease with optimistic concurrency."""

    def __init__(self):
        self.found = None
        self.broken = False

    async def get(self, resource, name, namespace):
        self._check()
        if self.found is None:
            raise not_found(resource, name)
        return self.found

    async def create(self, resource, made):
        self._check()
        if self.found is not None:
            raise conflict(resource, "x")
        return self._put(made, 1)

    async def update(self, resource, made):
        self._check()
        if self.found["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]:
            raise conflict(resource, "x")
        return self._put(made, int(made["metadata"]["resourceVersion"]) + 1)

    def _put(self, made, version):
        self.found = made | {"metadata": made["metadata"] | {"resourceVersion": str(version)}}
        return self.found

    def _check(self):
        if self.broken:
            raise ApiError(503, "ServiceUnavailable", "away")


def elector(leases, identity, clock):
    return LeaderElector(leases, "l", identity, clock, logger_of(identity), lease_duration_s=15, renew_deadline_s=10)


def test_only_one_leads_and_a_deposed_leader_is_fenced():
    async def scenario():
        leases, clock = Leases(), ManualClock()
        first, second = elector(leases, "a", clock), elector(leases, "b", clock)
        assert await first._try()
        assert not await second._try()
        first.fence()
        leases.broken = True
        clock.advance(10)
        with pytest.raises(NotLeader):
            first.fence()
        leases.broken = False
        assert not await second._try()
        clock.advance(5.5)
        assert await second._try()
        assert not await first._try()
        assert not first.is_leader
        assert leases.found["spec"]["leaseTransitions"] == 1

    asyncio.run(scenario())


def test_a_leader_that_gives_up_lets_the_next_lead_at_once():
    async def scenario():
        leases, clock = Leases(), ManualClock()
        first, second = elector(leases, "a", clock), elector(leases, "b", clock)
        assert await first._try()
        await first.release()
        assert not first.is_leader
        assert await second._try()

    asyncio.run(scenario())


def test_the_lead_of_a_dead_leader_is_given_up_unless_it_lives_again():
    async def scenario():
        leases, clock = Leases(), ManualClock()
        first, second = elector(leases, "a", clock), elector(leases, "b", clock)
        assert not await release_of(leases, "l", "a", lambda: True), "there is no lease yet"
        assert await first._try()
        assert not await release_of(leases, "l", "b", lambda: True), "another one leads"
        assert not await release_of(leases, "l", "a", lambda: False), "its successor lives already"
        stale = leases.found
        assert await first._try()
        leases.get, get = lambda *names: asyncio.sleep(0, stale), leases.get
        assert not await release_of(leases, "l", "a", lambda: True), "it was renewed in the meantime"
        leases.get = get
        assert await release_of(leases, "l", "a", lambda: True)
        assert await second._try()

    asyncio.run(scenario())
