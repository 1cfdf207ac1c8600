"""Who gets the next connection, and when a server that is silent is given up."""

from actors.balancer.backends import DOWN_AFTER_S, FORSAKEN_AFTER_S, SUSPECT_AFTER_S, Backends, Health

NAMES = ["apiserver@m1", "apiserver@m2", "apiserver@m3"]


def ready(now=0.0):
    backends = Backends(NAMES, now)
    for name in NAMES:
        backends.answered(name, is_ready=True, now=now)
    return backends


def test_the_ready_one_with_the_fewest_connections_comes_first():
    backends = ready()
    backends["apiserver@m1"].connections = 2
    backends["apiserver@m3"].connections = 1
    assert backends.in_order() == ["apiserver@m2", "apiserver@m3", "apiserver@m1"]


def test_one_that_drains_gets_nothing_new_and_keeps_what_it_has():
    backends = ready()
    backends.answered("apiserver@m1", is_ready=False, now=1.0)
    assert backends.in_order()[-1] == "apiserver@m1"
    assert not backends.silent("apiserver@m1", 1.0 + SUSPECT_AFTER_S / 2)
    assert backends["apiserver@m1"].health is Health.DRAINING
    backends.answered("apiserver@m1", is_ready=True, now=2.0)
    assert backends["apiserver@m1"].health is Health.UP


def test_a_silent_one_is_passed_over_first_and_given_up_once():
    backends = ready()
    assert not backends.silent("apiserver@m2", SUSPECT_AFTER_S)
    assert backends["apiserver@m2"].health is Health.SUSPECT
    assert backends.in_order()[-1] == "apiserver@m2"
    assert backends.silent("apiserver@m2", DOWN_AFTER_S)
    assert not backends.silent("apiserver@m2", DOWN_AFTER_S + 1)
    backends.answered("apiserver@m2", is_ready=True, now=9.0)
    assert backends["apiserver@m2"].health is Health.UP


def test_one_that_refuses_is_down_and_yet_tried_last():
    backends = ready()
    backends.refused("apiserver@m1", 0.1)
    assert backends["apiserver@m1"].since == 0.1
    assert backends.in_order()[-1] == "apiserver@m1"
    assert not backends.silent("apiserver@m1", DOWN_AFTER_S), "its connections are gone by themselves"


def test_at_the_start_all_are_tried():
    assert sorted(Backends(NAMES, 100.0).in_order()) == NAMES


def test_one_whose_state_is_silent_is_forsaken_once_while_another_is_well():
    backends = ready()
    backends.answered("apiserver@m1", is_ready=False, is_lost=True, now=1.0)
    assert backends.in_order()[-1] == "apiserver@m1"
    assert not backends.forsaken("apiserver@m1", 1.0), "it may hear of a new leader in a moment"
    assert backends.forsaken("apiserver@m1", 1.0 + FORSAKEN_AFTER_S)
    assert not backends.forsaken("apiserver@m1", 2.0)
    backends.answered("apiserver@m1", is_ready=True, now=3.0)
    backends.answered("apiserver@m1", is_ready=False, is_lost=True, now=4.0)
    assert backends.forsaken("apiserver@m1", 5.0)


def test_while_all_wait_for_the_state_nobody_is_forsaken():
    backends = ready()
    for name in NAMES:
        backends.answered(name, is_ready=False, is_lost=True, now=1.0)
    assert not any(backends.forsaken(name, 2.0) for name in NAMES)
    backends.answered("apiserver@m2", is_ready=True, now=2.0)
    assert not backends.forsaken("apiserver@m1", 2.1), "one has just got over it"
    assert backends.forsaken("apiserver@m1", 2.0 + FORSAKEN_AFTER_S)
