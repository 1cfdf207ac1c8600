"""Memory of answered message ids, so that a repeated write is answered and not done again.

Bounded by count and by bytes: the oldest answers go first. A repeat that comes after its answer was forgotten is done
again, so callers also guard their writes with preconditions. Answers live in memory only: after a restart of the server
a repeat meets the preconditions alone.
"""

from collections import OrderedDict
from collections.abc import Callable

Answer = tuple[bytes, bytes]
Send = Callable[[Answer], object]

ANSWERS = 8192  # some seconds of writes at full load, which is longer than any caller goes on repeating
ANSWER_BYTES = 16 * 1024 * 1024  # of all remembered answers


class Once:
    """Remembers answers by message id, and who else waits for one that is on its way."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._bytes = 0
        self._waiting: dict[str, dict[bytes, Send]] = {}

    def answer(self, message_id: str) -> Answer | None:
        return self._answers.get(message_id)

    def join(self, message_id: str, peer: bytes, send: Send) -> bool:
        """If this message is being worked on, send its answer to this peer too when it comes, and return True."""
        waiting = self._waiting.get(message_id)
        if waiting is None:
            return False
        waiting[peer] = send
        return True

    def begin(self, message_id: str) -> None:
        self._waiting[message_id] = {}

    def finish(self, message_id: str, answer: Answer, *, keep: bool = True) -> None:
        """Hand an answer to those who joined; remember it unless it says only "not now"."""
        for send in self._waiting.pop(message_id, {}).values():
            send(answer)
        if not keep:
            return
        self._answers[message_id] = answer
        self._bytes += len(answer[1])
        while len(self._answers) > ANSWERS or self._bytes > ANSWER_BYTES:
            _, forgotten = self._answers.popitem(last=False)
            self._bytes -= len(forgotten[1])
