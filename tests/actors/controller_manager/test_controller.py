"""The shell of a control loop: keys that take long to decide do not take all the time."""

from actors.controller_manager.controller import DECIDING_SHARE, LONGEST_PAUSE_S, QUICK_S, rest_s


def test_what_is_quickly_decided_never_rests() -> None:
    assert rest_s(QUICK_S, others=100) == 0.0


def test_deciding_takes_its_share_of_the_time_however_many_keys_there_are() -> None:
    took_s = 0.004
    for keys in (1, 5, 20):
        pause_s = rest_s(took_s, others=keys - 1)
        assert keys * took_s / (pause_s + took_s) <= DECIDING_SHARE


def test_nothing_rests_for_ever() -> None:
    assert rest_s(3.0, others=50) == LONGEST_PAUSE_S
