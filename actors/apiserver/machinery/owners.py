"""Owners that an object names twice: the second time is dropped, and its writer told so.

Neighbours: `verbs.create` and `verbs.update`.
"""

from typing import Any

import orjson


def without_duplicates(metadata: dict[str, Any]) -> list[str]:
    """Drop owner references that are there already; return the warning of it."""
    owners = metadata.get("ownerReferences")
    if not owners or len(owners) < 2:
        return []
    kept: dict[bytes, dict[str, Any]] = {}
    repeated: list[str] = []
    for owner in owners:
        key = orjson.dumps(owner, option=orjson.OPT_SORT_KEYS)
        if key in kept:
            repeated.append(owner.get("uid", ""))
        kept.setdefault(key, owner)
    if not repeated:
        return []
    metadata["ownerReferences"] = list(kept.values())
    return [
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may "
        "reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
        + ", ".join(dict.fromkeys(repeated))
    ]
