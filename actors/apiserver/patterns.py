"""Regular expressions that callers bring: RE2's, for no pattern and no text may take more than linear time.

Go's syntax is RE2's, so a CRD's `pattern` and a CEL rule's `matches` mean here what they mean in Kubernetes. (Python's
own engine would backtrack for hours on a pattern that somebody chose well.)

Neighbours: `extensions.schema` and `cel.library`.
"""

from functools import lru_cache
from typing import Any

import re2

MAX_MEMORY_BYTES = 1 << 20  # of one compiled pattern: far more than any that a person wrote
CACHED_PATTERNS = 512


class BadPattern(ValueError):
    """The text is no regular expression, or one that is too large."""


@lru_cache(maxsize=CACHED_PATTERNS)
def compile_pattern(pattern: str) -> Any:
    """Return a compiled pattern with `search` and `finditer`. Raises BadPattern."""
    options = re2.Options()
    options.max_mem = MAX_MEMORY_BYTES
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise BadPattern(f"error parsing regexp: {text}") from error
