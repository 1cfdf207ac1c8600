"""Why a data directory is refused: errors that name the file, the place in it and what to do.

Nothing has been changed when one is raised. The actor ends with it and comes up again only when somebody has acted, so
the message must be enough to act on.
"""


class DataRefused(Exception):
    """The files cannot be used as they are."""

    def __init__(self, file: str, what: str, advice: str, offset: int | None = None):
        where = f" at byte {offset}" if offset is not None else ""
        super().__init__(f"{file}: {what}{where}. {advice}")
        self.file = file
        self.offset = offset


class NewerFormat(DataRefused):
    """A newer program wrote the files."""

    def __init__(self, file: str, what: str):
        super().__init__(file, what, "Run a Kubus at least as new as the one that wrote it")


class NoSpace(Exception):
    """The disk is full. What was to be written is not there, and the log is as it was before."""


RESTORE = "Nothing was changed. Restore the data directory from a backup"


def cut_advice(end: int, later: list[str]) -> str:
    """Return what to do about damage in the middle of the log."""
    also = f" and move {', '.join(later)} away" if later else ""
    return f"{RESTORE}; or, to give up every write from there on, truncate this file to {end} bytes{also}"
