"""Answers of writes by the id of their request, so that a repeat is answered and not done again.

Part of the replicated state: a client that lost its answer because the leader died repeats the request at the next
leader, which knows the answer too. Bounded by count and bytes, the oldest go first. What was forgotten is remembered as
a revision: a repeat of a request that may be as old as that cannot be told from a new one, and is refused.

Neighbours: `machine` asks before it runs a command; `image` carries them over.
"""

from collections import OrderedDict

from actors.state.messages import DeleteRangeResult, KeyValue, PutResult, RangeResult, TxnResult
from bus.record import Record

MAX_ANSWERS = 16_384  # about a second of writes at full load; while there is no leader, none are forgotten
MAX_ANSWER_BYTES = 8 << 20  # of keys and values in them
ANSWER_BYTES = 64  # what an answer costs beside its keys and values


class Answer(Record, frozen=True, array_like=True, gc=False):
    """What a request did: nothing refused, nothing that changed nothing. `result` is None for a lease."""

    id: str
    revision: int
    result: TxnResult | None


class Answers:
    """Remembered answers, in the order in which they were given."""

    def __init__(self) -> None:
        self.forgotten_revision = -1  # of the newest answer that was forgotten
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def of(self, request_id: str) -> Answer | None:
        return self._answers.get(request_id)

    def all(self) -> list[Answer]:
        return list(self._answers.values())

    def remember(self, request_id: str, revision: int, result: TxnResult | None) -> None:
        self._add(Answer(request_id, revision, result))
        while len(self._answers) > MAX_ANSWERS or self._bytes > MAX_ANSWER_BYTES:
            _, gone = self._answers.popitem(last=False)
            self._bytes -= _size_bytes(gone.result)
            self.forgotten_revision = gone.revision

    def load(self, answers: list[Answer], forgotten_revision: int) -> None:
        """Begin with what an image holds."""
        for answer in answers:
            self._add(answer)
        self.forgotten_revision = forgotten_revision

    def _add(self, answer: Answer) -> None:
        self._answers[answer.id] = answer
        self._bytes += _size_bytes(answer.result)


def _size_bytes(result: TxnResult | None) -> int:
    size_bytes = ANSWER_BYTES
    if result is None:
        return size_bytes
    for each in result.responses:
        if type(each) is PutResult:
            if each.prev_kv is not None:
                size_bytes += _kv_bytes(each.prev_kv)
        elif type(each) is RangeResult:
            for kv in each.kvs:
                size_bytes += _kv_bytes(kv)
        elif type(each) is DeleteRangeResult:
            size_bytes += sum(map(_kv_bytes, each.prev_kvs))
        elif type(each) is TxnResult:
            size_bytes += _size_bytes(each)
    return size_bytes


def _kv_bytes(kv: KeyValue) -> int:
    return len(kv.key) + len(kv.value) + ANSWER_BYTES
