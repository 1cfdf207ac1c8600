"""DefaultTolerationSeconds: a Pod may stay on a failing node for a while, unless it says otherwise.

Source: Kubernetes' DefaultTolerationSeconds plugin. Neighbours: `chain`.
"""

from typing import Any

FAILING_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")

Object = dict[str, Any]


def admit(spec: Object, seconds: int) -> None:
    """Add the tolerations that a pod's spec lacks."""
    tolerations = spec.get("tolerations") or []
    missing = [taint for taint in FAILING_TAINTS if not any(_covers(one, taint) for one in tolerations)]
    if missing:
        spec["tolerations"] = tolerations + [
            {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
            for taint in missing
        ]


def _covers(toleration: Object, taint: str) -> bool:
    """Does a toleration speak of this taint with effect NoExecute already?"""
    key = toleration.get("key", "")
    return key in ("", taint) and toleration.get("effect", "") in ("", "NoExecute")
