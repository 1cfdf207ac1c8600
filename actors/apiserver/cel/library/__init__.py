"""Kubernetes' functions for CEL: what the language's own extensions lack.

What the C++ implementation lets nobody add under its own name, `methods` writes as calls of functions that are here.
"""

from functools import cache
from typing import Any

from actors.apiserver.cel.library import (
    addresses,
    authorizing,
    formats,
    json_patches,
    lists,
    ordering,
    quantities,
    regexes,
    semantic_versions,
    standard,
    urls,
)


@cache
def functions() -> tuple[Any, ...]:
    """Return the declarations, with their implementations, of all functions."""
    return (
        *quantities.functions(),
        *addresses.functions(),
        *urls.functions(),
        *regexes.functions(),
        *semantic_versions.functions(),
        *ordering.functions(),
        *lists.functions(),
        *formats.functions(),
        *authorizing.functions(),
        *json_patches.functions(),
        *standard.functions(),
    )
