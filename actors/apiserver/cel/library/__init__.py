"""Kubernetes' functions for CEL: what the language's own extensions lack.

Two things of the original are missing, for the C++ implementation lets nobody add them: `indexOf` and `lastIndexOf` of
lists (the names are taken by strings), and the `format` library (its results are optionals, which Python cannot make).
"""

from functools import cache
from typing import Any

from actors.apiserver.cel.library import (
    addresses,
    authorizing,
    json_patches,
    lists,
    ordering,
    quantities,
    regexes,
    semantic_versions,
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
        *authorizing.functions(),
        *json_patches.functions(),
    )
