"""What a LimitRange's item and a ResourceQuota's line may say."""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field, quantities
from actors.apiserver.machinery.kinds.resource_lists import amount_causes

_LIMIT_TYPES = ("Container", "Pod", "PersistentVolumeClaim")
_COUNTED = frozenset(
    {
        "configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets",
        "services", "services.loadbalancers", "services.nodeports",
    }
)  # fmt: skip
_MEASURED = frozenset(
    {"cpu", "memory", "ephemeral-storage", "requests.storage"}
    | {f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")}
)
_HUGE_PAGES = ("hugepages-", "requests.hugepages-", "limits.hugepages-")

Item = dict[str, Any]


def quota_causes(name: str, amount: str, at: str) -> list[Cause]:
    """Return what is wrong with one line of a quota."""
    causes = field.messages(at, name, names.qualified_name(name))
    if not causes and "/" not in name and name not in _COUNTED | _MEASURED and not name.startswith(_HUGE_PAGES):
        causes.append(field.invalid(at, name, "must be a standard resource type or fully qualified"))
        causes.append(field.invalid(at, name, "must be a standard resource for quota"))
    causes += amount_causes(amount, at)
    is_whole = name in _COUNTED or ("/" in name and "kubernetes.io/" not in name)
    if is_whole and "storageclass.storage.k8s.io" not in name and not quantities.is_whole(amount):
        causes.append(field.invalid(at, amount, "must be an integer"))
    return causes


def limit_causes(item: Item, at: str) -> list[Cause]:
    """Return what is wrong with one item of a limit range."""
    kind = item.get("type", "")
    causes = field.needed_one_of(f"{at}.type", kind, _LIMIT_TYPES)
    if kind == "Pod":
        for part in ("default", "defaultRequest"):
            if item.get(part):
                causes.append(field.forbidden(f"{at}.{part}", "may not be specified when `type` is 'Pod'"))
    low, high = item.get("min") or {}, item.get("max") or {}
    if kind == "PersistentVolumeClaim" and "storage" not in {*low, *high}:
        detail = "either minimum or maximum storage value is required, but neither was provided"
        causes.append(field.required(f"{at}.limits", detail))
    for name in sorted({*low, *high, *(item.get("default") or ()), *(item.get("defaultRequest") or ())}):
        causes += _order_causes(item, name, at)
    for name, ratio in (item.get("maxLimitRequestRatio") or {}).items():
        causes += _ratio_causes(item, name, ratio, f"{at}.maxLimitRequestRatio[{name}]")
    return causes


def _order_causes(item: Item, name: str, at: str) -> list[Cause]:
    """The least, what is requested by default, the default limit, the most: each no more than the next."""
    low, requested, default, high = (
        (item.get(part) or {}).get(name) for part in ("min", "defaultRequest", "default", "max")
    )
    causes = []
    for part, value, one, other, word in (
        ("min", low, low, high, f"min value {low} is greater than max value {high}"),
        (
            "defaultRequest",
            requested,
            low,
            requested,
            f"min value {low} is greater than default request value {requested}",
        ),
        (
            "defaultRequest",
            requested,
            requested,
            high,
            f"default request value {requested} is greater than max value {high}",
        ),
        (
            "defaultRequest",
            requested,
            requested,
            default,
            f"default request value {requested} is greater than default limit value {default}",
        ),
        ("default", default, low, default, f"min value {low} is greater than default value {default}"),
        ("default", default, default, high, f"default value {default} is greater than max value {high}"),
    ):
        if one is not None and other is not None and quantities.amount(one) > quantities.amount(other):
            causes.append(field.invalid(f"{at}.{part}[{name}]", value, word))
    return causes


def _ratio_causes(item: Item, name: str, ratio: str, at: str) -> list[Cause]:
    amount = quantities.amount(ratio)
    if amount < 1:
        return [field.invalid(at, ratio, f"ratio {ratio} is less than 1")]
    low, high = (item.get("min") or {}).get(name), (item.get("max") or {}).get(name)
    if low is None or high is None or not quantities.amount(low):
        return []
    widest = quantities.amount(high) / quantities.amount(low)
    if amount <= widest:
        return []
    return [field.invalid(at, ratio, f"ratio {ratio} is greater than max/min = {float(widest):f}")]
