"""Which rows changed since a reader last looked.

A plan keeps masks and scores of every node; after one pod was placed, one row of them is stale. Each reader remembers a
position in this log and asks for the rows marked since. A reader that fell too far behind is told to read everything.

Neighbours: `arrays` marks, `plan` reads.
"""

LOG_ROWS = 8192  # marks kept; a reader further behind recomputes all rows, which then costs less than replaying


class ChangeLog:
    """An append-only list of row numbers with a moving start."""

    def __init__(self, limit: int = LOG_ROWS) -> None:
        self._limit = limit
        self._start = 0
        self._rows: list[int] = []

    @property
    def position(self) -> int:
        return self._start + len(self._rows)

    def mark(self, row: int) -> None:
        self._rows.append(row)
        if len(self._rows) > 2 * self._limit:
            self._start += self._limit
            del self._rows[: self._limit]

    def since(self, position: int) -> list[int] | None:
        """Return the rows marked from `position` on, each once; None when the log no longer reaches back that far."""
        if position < self._start:
            return None
        rows = self._rows[position - self._start :]
        return rows if len(rows) < 2 else list(dict.fromkeys(rows))
