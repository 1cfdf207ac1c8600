"""What a config says of a node, checked beyond its types: labels, taints, amounts, thresholds, times.

What passes here, the kubelet can begin with and the API server takes: a mistake is told of at its line, before anything
starts, and not by a node that never becomes ready.

Neighbours: `plan` calls `check_node`; the kubelet's `machine`, `node` and `eviction` use the values.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from actors.api import names
from actors.api.config import EVICTION_SIGNALS, ClusterConfig, KubeletConfig
from actors.api.quantity import parse_quantity
from runtime.config import Loaded, suggestion

MAX_NODES = 10_000  # that one kubelet plays; twice what Kubernetes supports in a cluster
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
TAINT_KEYS = ("key", "value", "effect")
RESOURCES = ("cpu", "memory", "ephemeral-storage", "pods")  # beside hugepages-SIZE and extended ones, DOMAIN/NAME
AMOUNT = "expected an amount, as 500m, 2 or 64Gi"
PER_CENT = re.compile(r"[0-9]+(\.[0-9]+)?%")


def check_node(loaded: Loaded[ClusterConfig], name: str) -> None:
    """Raise ConfigError for the first thing that is well-formed but can't work."""
    node, place = loaded.value.nodes[name], ["nodes", name]
    if not 1 <= node.count <= MAX_NODES:
        raise loaded.error([*place, "count"], f"expected 1 to {MAX_NODES}, got {node.count}")
    if node.count > 1 and node.runtime != "simulated":
        raise loaded.error([*place, "count"], "only simulated nodes can be more than one")
    if not node.roles:
        raise loaded.error([*place, "roles"], "the list is empty: a node has one role at least, as [kubelet]")
    if "proxy" in node.roles and node.runtime == "simulated" and "kubelet" in node.roles:
        raise loaded.error([*place, "roles"], "a simulated node has no network for a proxy")
    if node.containerd_socket and not Path(node.containerd_socket).is_absolute():
        raise loaded.error(
            [*place, "containerd_socket"], "expected an absolute path, as /run/containerd/containerd.sock"
        )
    if node.runtime_handler and (node.runtime != "containerd" or node.containerd_socket):
        raise loaded.error([*place, "runtime_handler"], "only for a containerd that Kubus starts itself")
    _check_labels(loaded, place, node.labels)
    for index, taint in enumerate(node.taints):
        _check_taint(loaded, [*place, "taints", index], taint)
    _check_amounts(loaded, [*place, "capacity"], node.capacity)
    _check_kubelet(loaded, [*place, "kubelet"], node.kubelet)


def _check_labels(loaded: Loaded[ClusterConfig], place: list[str], labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        if names.qualified_name(key):
            raise loaded.error(
                [*place, "labels", key], "is no key of a label; expected a word, as zone or example.com/zone"
            )
        if names.label_value(value):
            raise loaded.error(
                [*place, "labels", key], f"{value!r} is no value of a label: letters, digits, '-', '_', '.'"
            )


def _check_taint(loaded: Loaded[ClusterConfig], place: list[str | int], taint: Mapping[str, str]) -> None:
    example = "expected a taint, as {key: dedicated, value: gpu, effect: NoSchedule}"
    for key in taint:
        if key not in TAINT_KEYS:
            raise loaded.error([*place, key], f"unknown key; {suggestion(key, TAINT_KEYS)}")
    if "key" not in taint or "effect" not in taint:
        raise loaded.error(place, f"{'key' if 'key' not in taint else 'effect'} is missing; {example}")
    if names.qualified_name(taint["key"]):
        raise loaded.error([*place, "key"], f"{taint['key']!r} is no key of a taint; {example}")
    if names.label_value(taint.get("value", "")):
        raise loaded.error([*place, "value"], f"{taint['value']!r} is no value of a taint; {example}")
    if taint["effect"] not in EFFECTS:
        complaint = f"{taint['effect']!r} is no effect of a taint; {suggestion(taint['effect'], EFFECTS)}"
        raise loaded.error([*place, "effect"], complaint)


def _check_amounts(loaded: Loaded[ClusterConfig], place: list[str], amounts: Mapping[str, str]) -> None:
    for name, amount in amounts.items():
        if name not in RESOURCES and "/" not in name and not name.startswith("hugepages-"):
            complaint = f"no resource of a node; {suggestion(name, RESOURCES)}, or an own one with a domain"
            raise loaded.error([*place, name], complaint)
        if not _is_amount(amount):
            raise loaded.error([*place, name], f"{AMOUNT}, got {amount!r}")


def _check_kubelet(loaded: Loaded[ClusterConfig], place: list[str], kubelet: KubeletConfig) -> None:
    for key in ("lease_duration_s", "lease_renew_s", "status_period_s", "max_pods", "max_container_restart_period_s"):
        if getattr(kubelet, key) <= 0:
            raise loaded.error([*place, key], f"expected more than 0, got {getattr(kubelet, key)}")
    if kubelet.lease_renew_s >= kubelet.lease_duration_s:
        raise loaded.error([*place, "lease_renew_s"], "expected less than lease_duration_s")
    for key in ("eviction_pressure_transition_period_s", "eviction_max_pod_grace_period_s", "shutdown_grace_period_s",
                "shutdown_grace_period_critical_pods_s", "start_latency_ms"):  # fmt: skip
        if getattr(kubelet, key) < 0:
            raise loaded.error([*place, key], f"expected 0 or more, got {getattr(kubelet, key)}")
    if kubelet.shutdown_grace_period_critical_pods_s > kubelet.shutdown_grace_period_s:
        complaint = "is a part of shutdown_grace_period_s, and so at most as long"
        raise loaded.error([*place, "shutdown_grace_period_critical_pods_s"], complaint)
    groups = kubelet.shutdown_grace_period_by_pod_priority
    if groups and kubelet.shutdown_grace_period_s:
        complaint = "says the same as shutdown_grace_period_s in another way: give one of them"
        raise loaded.error([*place, "shutdown_grace_period_by_pod_priority"], complaint)
    if len({group.priority for group in groups}) < len(groups):
        raise loaded.error([*place, "shutdown_grace_period_by_pod_priority"], "has a priority twice")
    if any(group.shutdown_grace_period_s < 0 for group in groups):
        raise loaded.error([*place, "shutdown_grace_period_by_pod_priority"], "expected times of 0 or more")
    low, high = kubelet.image_gc_low_threshold_percent, kubelet.image_gc_high_threshold_percent
    if not 0 <= low < high <= 100:
        complaint = f"expected 0 <= image_gc_low_threshold_percent < this <= 100, got {low} and {high}"
        raise loaded.error([*place, "image_gc_high_threshold_percent"], complaint)
    if kubelet.pod_manifests and not Path(kubelet.pod_manifests).is_absolute():
        raise loaded.error([*place, "pod_manifests"], "expected the absolute path of a directory, as /etc/kubus/pods")
    _check_amounts(loaded, [*place, "system_reserved"], kubelet.system_reserved)
    _check_eviction(loaded, place, kubelet)


def _check_eviction(loaded: Loaded[ClusterConfig], place: list[str], kubelet: KubeletConfig) -> None:
    for field in ("eviction_hard", "eviction_soft", "eviction_minimum_reclaim", "eviction_soft_grace_period_s"):
        for signal, value in getattr(kubelet, field).items():
            if signal not in EVICTION_SIGNALS:
                complaint = f"no signal of eviction; {suggestion(signal, EVICTION_SIGNALS)}"
                raise loaded.error([*place, field, signal], complaint)
            if field == "eviction_soft_grace_period_s":
                if value <= 0:
                    raise loaded.error([*place, field, signal], f"expected more than 0, got {value}")
            elif not (PER_CENT.fullmatch(value) or _is_amount(value)):
                raise loaded.error(
                    [*place, field, signal], f'expected an amount or a share, as 100Mi or "10%", got {value!r}'
                )
    for signal in kubelet.eviction_soft:
        if signal not in kubelet.eviction_soft_grace_period_s:
            complaint = f"needs a grace, too: eviction_soft_grace_period_s: {{{signal}: 90}}"
            raise loaded.error([*place, "eviction_soft", signal], complaint)


def _is_amount(text: str) -> bool:
    try:
        return parse_quantity(text) >= Decimal(0)
    except ValueError:
        return False
