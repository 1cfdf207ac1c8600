"""The checker: what it must accept, and planted faults that it must catch."""

import random

import pytest

from tests.linearizability import (
    CAS,
    FOREVER,
    READ,
    WRITE,
    Change,
    Operation,
    check,
    check_revisions,
    check_watch,
)


def write(value, begin, end=FOREVER, key="k"):
    return Operation(key, WRITE, value, None, begin, end)


def read(value, begin, end, key="k"):
    return Operation(key, READ, None, value, begin, end)


def cas(expected, new, done, begin, end=FOREVER, key="k"):
    return Operation(key, CAS, (expected, new), done, begin, end)


def test_what_a_register_may_do():
    assert check([]) == []
    assert check([write(1, 0, 1), read(1, 2, 3)]) == []
    assert check([write(1, 0, 5), read(None, 1, 2), read(1, 3, 4)]) == []
    assert check([write(1, 0, 9), write(2, 0, 9), read(2, 1, 2), read(1, 3, 4)]) == []
    assert check([cas(None, 1, True, 0, 1), cas(None, 2, False, 2, 3), read(1, 4, 5)]) == []


def test_an_unknown_outcome_may_happen_at_any_later_time_or_never():
    assert check([write(1, 0, 1), write(2, 2), read(1, 3, 4), read(2, 5, 6)]) == []
    assert check([write(1, 0, 1), write(2, 2), read(1, 3, 4), read(1, 5, 6)]) == []
    assert check([write(1, 0, 1), cas(1, 2, None, 2), read(1, 3, 4), read(2, 90, 91)]) == []
    assert check([write(2, 5), read(2, 1, 2)])
    assert check([write(1, 0, 1), write(2, 2), read(2, 3, 4), read(1, 5, 6)])


def test_a_stale_read_is_caught():
    (violation,) = check([write(1, 0, 1), write(2, 2, 3), read(1, 4, 5), read(1, 0, 9, key="other"),
                          write(1, 0, 9, key="other")])  # fmt: skip
    assert violation.key == "k"
    assert "READ" not in str(violation) and "read" in str(violation)
    assert check([write(1, 0, 9), read(1, 1, 2), read(None, 3, 4)])


def test_a_lost_write_is_caught():
    assert check([write(1, 0, 1), read(None, 2, 3)])
    assert check([write(1, 0, 1), cas(1, 2, True, 2, 3), cas(1, 3, True, 4, 5)])
    assert check([cas(None, 1, True, 0, 3), cas(None, 2, True, 1, 4)])


def test_a_watch_that_skips_repeats_or_invents_is_caught():
    answered = [Change(2, "a", 1), Change(3, "b", 1), Change(5, "a", 2)]
    seen = [Change(2, "a", 1), Change(3, "b", 1), Change(4, "c", 9), Change(5, "a", 2)]
    assert check_watch(seen, answered, 2, 5) == []
    assert check_watch(seen[1:], answered, 3, 5) == []
    assert check_watch(seen[:2] + seen[3:], answered, 2, 5) == ["revision 4 is missing"]
    assert check_watch([seen[0], *seen[2:]], answered, 2, 5)[0] == "revision 3 was written and is missing"
    assert check_watch([seen[0], *seen], answered, 2, 5)
    assert check_watch([seen[0], seen[2], seen[1], seen[3]], answered, 2, 5)
    assert check_watch([*seen[:3], Change(5, "a", 7)], answered, 2, 5)


def test_answers_that_go_back_in_time_are_caught():
    assert check_revisions([(0, 1, 5), (2, 3, 5), (2.5, 4, 6), (0, 9, 4)]) == []
    assert check_revisions([(0, 1, 5), (2, 3, 4)]) == ["revision 4 was answered after 5 had been"]


def history(rng, clients=5, length=60):
    """A history that a real register has made, with overlapping operations and unknown outcomes."""
    value, now, operations, free = None, 0.0, [], [0.0] * clients
    for number in range(length):
        client = rng.randrange(clients)
        begin = max(free[client], now - rng.random() * 3)
        now = max(now, begin) + rng.random()
        end = now + rng.random() * 3
        kind = rng.choice([WRITE, READ, CAS])
        is_unknown = rng.random() < 0.05
        argument, result = None, None
        if kind == WRITE:
            argument, value = number, number
        elif kind == READ:
            result = value
        else:
            argument = (value if rng.random() < 0.5 else -1, number)
            result = argument[0] == value
            value = number if result else value
        free[client] = end
        operations.append(Operation("k", kind, argument, None if is_unknown else result, begin,
                                    FOREVER if is_unknown else end))  # fmt: skip
    return operations


@pytest.mark.parametrize("seed", range(100))
def test_histories_of_a_real_register_are_accepted_and_with_a_planted_fault_refused(seed):
    rng = random.Random(seed)
    operations = history(rng)
    assert check(operations) == []
    last = max(operation.end for operation in operations if operation.end != FOREVER)
    assert check([*operations, read("never written", last + 1, last + 2)])
