"""How an actor's process ends, and how it tells its supervisor what somebody has to mend first."""

from pathlib import Path

EXIT_BROKEN = 70  # EX_SOFTWARE: an invariant broke
EXIT_ORPHANED = 71  # the supervisor was gone
EXIT_CANNOT_SERVE = 78  # EX_CONFIG: trying again soon does not help; the reason is in the last words


def last_words(run_dir: Path, name: str) -> Path:
    """Where an actor that cannot serve leaves the reason, for the supervisor to pass on."""
    return run_dir / f"{name}.last-words"
