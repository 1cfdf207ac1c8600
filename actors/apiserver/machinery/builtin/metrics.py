"""metrics.k8s.io: what pods and nodes use. Computed when asked for, and never stored."""

from actors.apiserver.machinery.columns.metrics import NODE_METRICS, POD_METRICS
from actors.apiserver.machinery.resource import COMPUTED, Resource
from actors.apiserver.machinery.rows import row

GROUP = "metrics.k8s.io"
_VERSION = f"{GROUP}/v1beta1"

METRICS: tuple[Resource, ...] = (
    row(_VERSION, "NodeMetrics", "nodes", namespaced=False, verbs=COMPUTED, columns=NODE_METRICS),
    row(_VERSION, "PodMetrics", "pods", verbs=COMPUTED, columns=POD_METRICS),
)
