"""Who may ask a state actor for what."""

READERS = frozenset({"apiserver", "cli", "state"})
WRITERS = frozenset({"apiserver", "state"})
OPERATORS = frozenset({"cli", "state", "apiserver"})
