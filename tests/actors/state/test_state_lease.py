"""Leases: granted and revoked by commands, ended by a clock that the test moves."""

import pytest

from actors.state.commands import GrantCommand, RevokeCommand, TxnCommand
from actors.state.lease import Lessor, check_ttl
from actors.state.machine import Machine
from actors.state.messages import Put, Txn
from bus.errors import RemoteError


def apply(machine, command):
    return machine.apply(machine.applied + 1, command)


def put(key, lease):
    return TxnCommand(Txn([], [Put(key, b"v", lease)]))


def test_a_revoked_lease_takes_its_keys_along_under_one_revision():
    machine = Machine()
    for command in (GrantCommand(7, 60), put(b"b", 7), put(b"a", 7), put(b"c", 0)):
        apply(machine, command)
    outcome = apply(machine, RevokeCommand(7))
    assert [(kv.key, kv.mod_revision, kv.version) for kv in outcome.changes] == [(b"a", 5, 0), (b"b", 5, 0)]
    assert 7 not in machine.store.leases
    assert apply(machine, RevokeCommand(7)).result.kind == "lease_not_found"
    assert apply(machine, put(b"d", 7)).result.kind == "lease_not_found"


def test_a_key_leaves_its_lease_when_it_is_put_without_it_or_deleted():
    machine = Machine()
    for command in (GrantCommand(7, 60), GrantCommand(8, 60), put(b"a", 7), put(b"b", 7), put(b"a", 8), put(b"b", 0)):
        apply(machine, command)
    assert machine.store.leases.keys(7) == []
    assert machine.store.leases.keys(8) == [b"a"]
    outcome = apply(machine, RevokeCommand(7))
    assert (outcome.changes, outcome.revision) == ([], 5)


def test_a_lease_is_granted_once():
    machine = Machine()
    apply(machine, GrantCommand(7, 60))
    assert apply(machine, GrantCommand(7, 5)).result.kind == "lease_exists"
    assert machine.store.leases.ttl_s(7) == 60


@pytest.mark.parametrize("ttl_s", [0, -1, 9_000_000_001])
def test_impossible_times_to_live_are_refused(ttl_s):
    with pytest.raises(RemoteError) as refused:
        check_ttl(ttl_s)
    assert refused.value.kind == "invalid"


def test_leases_expire_in_time_and_once():
    lessor = Lessor()
    lessor.renew(1, 10, now_s=100.0)
    lessor.renew(2, 5, now_s=100.0)
    assert lessor.expired(104.9) == []
    assert lessor.expired(105.0) == [2]
    assert lessor.expired(200.0) == [1]
    assert lessor.expired(300.0) == []


def test_a_renewed_lease_lives_on():
    lessor = Lessor()
    lessor.renew(1, 10, now_s=0.0)
    lessor.renew(1, 10, now_s=9.0)
    assert lessor.expired(18.9) == []
    assert lessor.remaining_s(1, 18.0) == 1.0
    assert lessor.expired(19.0) == [1]


def test_an_expired_lease_cannot_be_renewed_once_its_revocation_is_proposed():
    lessor = Lessor()
    lessor.renew(1, 10, now_s=0.0)
    lessor.expired(10.0)
    with pytest.raises(RemoteError) as refused:
        lessor.renew(1, 10, now_s=10.0)
    assert refused.value.kind == "lease_not_found"
    lessor.forget(1)
    with pytest.raises(RemoteError):
        lessor.remaining_s(1, 10.0)


def test_a_revocation_that_could_not_be_written_comes_again():
    lessor = Lessor()
    lessor.renew(1, 10, now_s=0.0)
    assert lessor.expired(10.0) == [1]
    lessor.retry(1, now_s=11.0)
    assert lessor.expired(11.0) == [1]


def test_after_a_restart_every_lease_has_its_full_time():
    lessor = Lessor()
    lessor.renew(1, 10, now_s=0.0)
    lessor.renew_all([(1, 10), (2, 20)], now_s=1000.0)
    assert lessor.remaining_s(1, 1000.0) == 10.0
    assert lessor.expired(1019.0) == [1]


def test_many_renewals_do_not_pile_up():
    lessor = Lessor()
    for now_s in range(10_000):
        lessor.renew(1, 10, now_s=float(now_s))
    assert len(lessor._heap) < 100
