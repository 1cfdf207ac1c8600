"""NodeMetrics and PodMetrics, as `kubectl get` shows them."""

from actors.api.quantity import bytes_of, cpu_millis, format_quantity
from actors.apiserver.machinery.columns.cells import NAME, computed
from actors.apiserver.machinery.resource import Column


def _sum(obj: dict, name: str) -> str:
    parts = [part["usage"] for part in obj.get("containers") or (obj,)]
    if name == "cpu":
        return f"{sum(cpu_millis(part['cpu']) for part in parts)}m"
    return format_quantity(sum(bytes_of(part["memory"]) for part in parts), binary=True)


_CPU = computed("CPU", lambda obj: _sum(obj, "cpu"))
_MEMORY = computed("Memory", lambda obj: _sum(obj, "memory"))
_WINDOW = computed("Window", lambda obj: obj["window"])

NODE_METRICS: tuple[Column, ...] = (NAME, _CPU, _MEMORY, _WINDOW)
POD_METRICS: tuple[Column, ...] = (NAME, _CPU, _MEMORY, _WINDOW)
