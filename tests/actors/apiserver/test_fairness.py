"""Priority and fairness: classification as a table, seats that are lent, and that nobody starves."""

import collections
import random

import pytest

from actors.apiserver.call import ANONYMOUS, AUTHENTICATED, MASTERS, Identity
from actors.apiserver.fairness import defaults
from actors.apiserver.fairness.fairness import Fairness, Rejected
from actors.apiserver.fairness.queues import deal
from actors.apiserver.request_info import parse

ADMIN = Identity("admin", (MASTERS, AUTHENTICATED))
CONTROLLERS = Identity("system:kube-controller-manager", (AUTHENTICATED,))
NODE = Identity("system:node:w1", ("system:nodes", AUTHENTICATED))
ACCOUNT = Identity("system:serviceaccount:shop:web", ("system:serviceaccounts", AUTHENTICATED))
SYSTEM_ACCOUNT = Identity("system:serviceaccount:kube-system:dns", ("system:serviceaccounts", AUTHENTICATED))
JANE = Identity("jane", (AUTHENTICATED,))
PODS = parse("GET", "/api/v1/namespaces/default/pods", "")
LEASE = parse("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x", "")
NODE_STATUS = parse("PATCH", "/api/v1/nodes/w1/status", "")


def user(name: str) -> Identity:
    return Identity(name, (AUTHENTICATED,))


def started(seats: int = 600) -> Fairness:
    fairness = Fairness(seats)
    fairness.configure(
        [*defaults.MANDATORY_SCHEMAS, *defaults.SUGGESTED_SCHEMAS],
        [*defaults.MANDATORY_LEVELS, *defaults.SUGGESTED_LEVELS],
    )
    return fairness


def level(name: str, shares: int, lendable: int = 0, borrowing: int | None = None, queues: int = 0) -> dict:
    limited = {"nominalConcurrencyShares": shares, "lendablePercent": lendable}
    if borrowing is not None:
        limited["borrowingLimitPercent"] = borrowing
    queuing = {"queues": queues, "handSize": min(4, queues), "queueLengthLimit": 20}
    limited["limitResponse"] = {"type": "Queue", "queuing": queuing} if queues else {"type": "Reject"}
    return {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited}}


def schema(name: str, to: str, users: list[str], precedence: int = 500) -> dict:
    subjects = [{"kind": "User", "user": {"name": one}} for one in users]
    rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    spec = {
        "matchingPrecedence": precedence,
        "priorityLevelConfiguration": {"name": to},
        "distinguisherMethod": {"type": "ByUser"},
        "rules": [{"subjects": subjects, "resourceRules": [rule]}],
    }
    return {"metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("identity", "info", "wanted"),
    [
        (ADMIN, PODS, "exempt"),
        (JANE, parse("GET", "/healthz", ""), "probes"),
        (ANONYMOUS, parse("GET", "/livez", ""), "probes"),
        (JANE, parse("GET", "/metrics", ""), "global-default"),
        (CONTROLLERS, LEASE, "system-leader-election"),
        (CONTROLLERS, PODS, "kube-controller-manager"),
        (CONTROLLERS, parse("PUT", "/api/v1/namespaces/a/endpoints/b", ""), "endpoint-controller"),
        (NODE, NODE_STATUS, "system-node-high"),
        (
            NODE,
            parse("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/w1", ""),
            "system-node-high",
        ),
        (NODE, PODS, "system-nodes"),
        (SYSTEM_ACCOUNT, LEASE, "workload-leader-election"),
        (SYSTEM_ACCOUNT, PODS, "kube-system-service-accounts"),
        (ACCOUNT, LEASE, "service-accounts"),
        (JANE, PODS, "global-default"),
        (Identity("nobody", ()), PODS, "catch-all"),
    ],
)
def test_requests_are_classified_as_in_kubernetes(identity, info, wanted):
    assert started().classifier.schema_of(identity, info).name == wanted


def test_nominal_seats_follow_the_shares():
    levels = started(245).seats.levels
    assert {name: one.nominal for name, one in levels.items()} == {
        "exempt": 0, "catch-all": 5, "system": 30, "node-high": 40, "leader-election": 10, "workload-high": 40,
        "workload-low": 100, "global-default": 20,
    }  # fmt: skip
    assert levels["workload-low"].sure == 10


def test_masters_are_never_held_up():
    fairness = started(8)
    turns = [fairness.enter(ADMIN, PODS, 10, 0.0) for _ in range(1000)]
    assert all(turn.seated for turn in turns)
    for turn in turns:
        assert not fairness.leave(turn, 1.0)
    assert fairness.seats.levels["exempt"].in_use == 0


def two_levels(**more) -> Fairness:
    fairness = Fairness(20)
    fairness.configure(
        [schema("a", "low", ["ann", "bob", "eve"]), schema("z", "high", ["zoe"])],
        [level("exempt", 0), level("catch-all", 0), level("low", 10, **more), level("high", 10, lendable=50, queues=4)],
    )
    return fairness


def test_a_level_borrows_what_others_lend_and_no_more():
    fairness = two_levels(lendable=0)
    turns = []
    with pytest.raises(Rejected, match="concurrency-limit"):
        for _ in range(100):
            turns.append(fairness.enter(user("ann"), PODS, 1, 0.0))
    assert len(turns) == 15  # its own ten, and half of the other's
    high = [fairness.enter(user("zoe"), PODS, 1, 0.0) for _ in range(8)]
    assert [turn.seated for turn in high] == [True] * 5 + [False] * 3
    # What the borrower frees goes to the lender, until it has its own ten.
    assert fairness.leave(turns[0], 1.0) == [high[5]]
    assert fairness.leave(turns[1], 1.0) == [high[6]]


def test_a_borrowing_limit_holds():
    fairness = two_levels(borrowing=20)
    seated = 0
    with pytest.raises(Rejected):
        for _ in range(100):
            fairness.enter(user("ann"), PODS, 1, 0.0)
            seated += 1
    assert seated == 12


def test_seats_are_neither_lost_nor_invented():
    """Whatever enters, leaves and gives up, in the end every seat is free and every pool is empty."""
    choose = random.Random(11)
    fairness = started(40)
    inside, now = [], 0.0
    who = [ADMIN, CONTROLLERS, NODE, ACCOUNT, SYSTEM_ACCOUNT, JANE, user("bob")]
    for step in range(5000):
        now += choose.random() / 100
        waiting = [turn for turn in inside if not turn.seated]
        seated = [turn for turn in inside if turn.seated]
        if step == 2500:
            fairness.configure(
                defaults.SUGGESTED_SCHEMAS, [level("workload-low", 3, queues=2), *defaults.SUGGESTED_LEVELS[:3]]
            )
        if choose.random() < 0.55:
            try:
                inside.append(fairness.enter(choose.choice(who), PODS, choose.choice((1, 1, 1, 7)), now))
            except Rejected:
                pass
        elif waiting and choose.random() < 0.1:
            turn = choose.choice(waiting)
            fairness.abandon(turn)
            inside.remove(turn)
        elif seated:
            turn = choose.choice(seated)
            inside.remove(turn)
            fairness.leave(turn, now)
        assert fairness.waiting == sum(not turn.seated for turn in inside)
    while inside:
        turn = next(turn for turn in inside if turn.seated)
        inside.remove(turn)
        fairness.leave(turn, now)
    assert fairness.waiting == 0
    assert all((one.in_use, one.executing, one.waiting) == (0, 0, 0) for one in fairness.seats.levels.values())
    assert fairness.seats._pool_used == 0


def test_a_greedy_client_does_not_starve_others():
    """One keeps twenty times as many requests open as each of the others: all get the same share of a full level."""
    fairness = Fairness(10)
    names = ["greedy", *(f"modest-{i}" for i in range(4))]
    fairness.configure([schema("all", "level", names)], [level("catch-all", 0), level("level", 10, queues=64)])
    wants = collections.Counter({name: 5 for name in names}) + collections.Counter(greedy=60)
    served, waits = collections.Counter(), collections.defaultdict(list)
    open_, running, now = collections.Counter(), [], 0.0
    for _ in range(6000):
        now += 0.001
        for name in names:
            while open_[name] < wants[name]:
                try:
                    turn = fairness.enter(user(name), PODS, 1, now)
                except Rejected:
                    break
                open_[name] += 1
                if turn.seated:
                    running.append((now + 0.01, name, turn))
                else:
                    waits[name].append((now, turn))
        for done in [one for one in running if one[0] <= now]:
            running.remove(done)
            open_[done[1]] -= 1
            served[done[1]] += 1
            for turn in fairness.leave(done[2], now):
                running.append((now + 0.01, turn.flow[1], turn))
    shares = {name: served[name] / sum(served.values()) for name in names}
    assert all(0.15 < share < 0.25 for share in shares.values()), shares


def test_a_wide_request_gets_its_seats_while_others_borrow():
    """A borrower that comes again and again takes nothing from a level that waits for its own."""
    fairness = Fairness(20)
    fairness.configure(
        [schema("a", "low", ["ann"]), schema("z", "high", ["zoe"])],
        [level("catch-all", 0), level("low", 10, lendable=90, queues=8), level("high", 10, lendable=90, queues=8)],
    )
    running = [fairness.enter(user("zoe"), PODS, 1, 0.0) for _ in range(19)]
    assert all(turn.seated for turn in running)
    wide = fairness.enter(user("ann"), PODS, 10, 0.0)
    assert wide.width == 10 and not wide.seated
    for now in range(1, 12):
        fairness.leave(running.pop(), float(now))
        again = fairness.enter(user("zoe"), PODS, 1, float(now))
        if again.seated:
            running.append(again)
        if wide.seated:
            break
    assert wide.seated and fairness.seats.levels["high"].in_use == 10


def test_who_waits_without_rights_holds_nobody_up():
    fairness = Fairness(10)
    fairness.configure(
        [schema("a", "jail", ["ann"]), schema("z", "free", ["zoe"])],
        [
            level("catch-all", 0),
            level("jail", 0, borrowing=0, queues=1),
            level("free", 5),
            level("lender", 5, lendable=100),
        ],
    )
    assert not fairness.enter(user("ann"), PODS, 1, 0.0).seated
    assert [fairness.enter(user("zoe"), PODS, 1, 0.0).seated for _ in range(10)] == [True] * 10


def test_a_full_queue_refuses_and_an_abandoned_turn_is_never_seated():
    fairness = Fairness(1)
    fairness.configure([schema("a", "level", ["ann"])], [level("catch-all", 0), level("level", 1, queues=1)])
    first = fairness.enter(user("ann"), PODS, 1, 0.0)
    waiting = [fairness.enter(user("ann"), PODS, 1, 0.0) for _ in range(20)]
    with pytest.raises(Rejected, match="queue-full"):
        fairness.enter(user("ann"), PODS, 1, 0.0)
    fairness.abandon(waiting[0])
    assert fairness.leave(first, 1.0) == [waiting[1]]
    counted = fairness.classifier.schema_of(user("ann"), PODS)
    assert (counted.dispatched, counted.rejected) == (2, {"queue-full": 1, "time-out": 1})


def test_hands_are_dealt_of_different_cards_that_stay_the_same():
    hands = {deal(("schema", f"user-{i}"), 64, 6) for i in range(500)}
    assert all(len(set(hand)) == 6 and max(hand) < 64 for hand in hands)
    assert len(hands) > 495
    assert deal(("a", "b"), 64, 6) == deal(("a", "b"), 64, 6)
    assert sorted(deal(("a", "b"), 5, 9)) == [0, 1, 2, 3, 4]


def test_new_rules_keep_those_who_wait():
    fairness = two_levels(queues=1)
    running = [fairness.enter(user("ann"), PODS, 1, 0.0) for _ in range(15)]
    waiting = [fairness.enter(user("bob"), PODS, 1, 0.0) for _ in range(3)]
    assert not any(turn.seated for turn in waiting)
    # The level is gone: whoever waited in it is let through.
    assert fairness.configure([], []) == waiting
    for turn in [*running, *waiting]:
        fairness.leave(turn, 1.0)
    assert all(one.in_use == 0 for one in fairness.seats.levels.values())
