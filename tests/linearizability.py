"""Is a recorded history linearizable? Wing and Gong's search with Lowe's memory, key by key.

An operation took effect at one moment between its begin and its end. One whose outcome is unknown has no end: it may
have taken effect at any later time, or never. Keys are registers, so a history is linearizable if the part of each key
is (Herlihy and Wing). The search tries operations in the order in which they could have happened, and remembers every
(set of operations done, value) that it has been to.

Watches are checked apart: every revision once, in order, nothing that was answered missing.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WRITE, READ, CAS = "write", "read", "cas"
FOREVER = math.inf
MAX_STATES = 2_000_000  # of one key: a history that needs more was recorded with too many unknown outcomes


@dataclass(frozen=True, slots=True)
class Operation:
    """`argument` is the value of a write, or (expected, new) of a cas; `result` what a read saw, or whether a cas was
    done. With `end` FOREVER the result means nothing."""

    key: str
    kind: str
    argument: object
    result: object
    begin: float
    end: float = FOREVER


@dataclass(frozen=True, slots=True)
class Violation:
    """No order explains these; `stuck` are those that could not be placed after the longest order that was found."""

    key: str
    done: int
    stuck: tuple[Operation, ...]

    def __str__(self) -> str:
        lines = "\n".join(f"    {operation}" for operation in self.stuck[:8])
        return f"{self.key}: not linearizable; after {self.done} operations none of these can come next:\n{lines}"


def check(operations: Iterable[Operation]) -> list[Violation]:
    """Return what is wrong with a history; nothing when it is linearizable."""
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.end == FOREVER and operation.kind == READ:
            continue  # nobody saw it, and it changed nothing
        by_key[operation.key].append(operation)
    found = (_check_key(key, sorted(mine, key=lambda each: each.begin)) for key, mine in by_key.items())
    return [violation for violation in found if violation is not None]


def _apply(value: object, operation: Operation) -> list[object]:
    """Return the values that a register may have after an operation; none: it can't happen now."""
    is_unknown = operation.end == FOREVER
    if operation.kind == WRITE:
        return [operation.argument]
    if operation.kind == READ:
        return [value] if operation.result == value else []
    expected, new = operation.argument  # type: ignore[misc]
    if is_unknown:
        return [new] if value == expected else [value]
    if operation.result:
        return [new] if value == expected else []
    return [value] if value != expected else []


def _check_key(key: str, operations: Sequence[Operation]) -> Violation | None:
    """Search depth first. An operation may come next if it began before any other that is left has ended."""
    must = sum(1 << number for number, each in enumerate(operations) if each.end != FOREVER)
    seen: set[tuple[int, object]] = set()
    best, best_stuck = -1, ()
    stack: list[tuple[int, object, int]] = [(0, None, 0)]  # (operations done, value, all before this are done)
    while stack:
        done, value, first = stack.pop()
        if done & must == must:
            return None
        while done >> first & 1:
            first += 1
        candidates = _candidates(operations, done, first)
        if done.bit_count() > best:
            best, best_stuck = done.bit_count(), tuple(operations[number] for number in candidates)
        for number in reversed(candidates):
            for after in _apply(value, operations[number]):
                state = done | 1 << number, after
                if state not in seen:
                    seen.add(state)
                    stack.append((*state, first))
        if len(seen) > MAX_STATES:
            raise RuntimeError(f"{key}: the search does not end; record fewer unknown outcomes of one key")
    return Violation(key, best, best_stuck)


def _candidates(operations: Sequence[Operation], done: int, first: int) -> list[int]:
    """Return the operations that may come next: those that began before the first end among those that are left."""
    earliest_end = FOREVER
    found = []
    for number in range(first, len(operations)):
        operation = operations[number]
        if operation.begin > earliest_end:
            break
        if not done >> number & 1:
            found.append(number)
            earliest_end = min(earliest_end, operation.end)
    return [number for number in found if operations[number].begin <= earliest_end]


@dataclass(frozen=True, slots=True)
class Change:
    """What a watch showed, or an answered write did."""

    revision: int
    key: str
    value: object


def check_watch(seen: Sequence[Change], answered: Sequence[Change], start: int, end: int) -> list[str]:
    """Return what is wrong with all that one watch showed from revision `start` to `end`, both included."""
    wrong = []
    for before, after in zip(seen, seen[1:], strict=False):
        if after.revision <= before.revision:
            wrong.append(f"revision {after.revision} came after {before.revision}")
    shown = {change.revision: change for change in seen}
    wrong += [f"revision {each.revision} was written and is missing" for each in answered
              if start <= each.revision <= end and each.revision not in shown]  # fmt: skip
    wrong += [f"{each} was answered, {shown[each.revision]} was shown" for each in answered
              if each.revision in shown and shown[each.revision] != each]  # fmt: skip
    missing = sorted(set(range(start, end + 1)) - shown.keys())
    return wrong + [f"revision {revision} is missing" for revision in missing]


def check_revisions(answers: Sequence[tuple[float, float, int]]) -> list[str]:
    """Return answers that went back in time: (begin, end, revision); what began after an end must not be older."""
    wrong = []
    newest = 0
    ends = sorted(((end, revision) for _, end, revision in answers), reverse=True)
    for begin, _, revision in sorted(answers):
        while ends and ends[-1][0] < begin:
            newest = max(newest, ends.pop()[1])
        if revision < newest:
            wrong.append(f"revision {revision} was answered after {newest} had been")
    return wrong
