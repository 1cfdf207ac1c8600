"""metrics.k8s.io: NodeMetrics and PodMetrics, asked of every kubelet when somebody wants to see them.

What a kubelet that does not answer would have told is left out, as with an aggregated metrics server whose scrape
failed. Labels are those of the Node and the Pod, so that selectors work.

Neighbours: `kubelets` asks; `computed` answers; `handler` comes here for the whole group.
"""

from collections.abc import Iterable
from typing import Any

from actors.api import errors
from actors.api.meta import rfc3339
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.reads import settle
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.verbs.computed import answer_with
from actors.kubelet.messages import NodeStat, PodStat

KIB = 1024

Object = dict[str, Any]


async def metrics(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    if resource.namespaced and info.name and not info.namespace:
        raise errors.path_not_found()
    stats = await server.kubelets.stats()
    await settle(server, "")
    made = _pods(server, stats, info.namespace) if resource.namespaced else _nodes(server, stats)
    return answer_with(server, call, info, resource, made)


def _nodes(server: Server, stats: Iterable[NodeStat]) -> list[Object]:
    resource = server.registry.lookup("", "v1", "nodes")
    assert resource is not None, "nodes are built in"
    entries = server.cache.of(resource).entries
    made = []
    for stat in stats:
        entry = entries.get(resource.key(None, stat.node))
        if entry is None or stat.cpu_nanos is None:
            continue
        metadata = _metadata(entry.decode()["metadata"], stat)
        usage = _usage(stat.cpu_nanos, stat.memory_bytes)
        made.append(_object("NodeMetrics", metadata, stat) | {"usage": usage})
    return sorted(made, key=_key)


def _pods(server: Server, stats: Iterable[NodeStat], namespace: str) -> list[Object]:
    resource = server.registry.lookup("", "v1", "pods")
    assert resource is not None, "pods are built in"
    entries = server.cache.of(resource).entries
    made = []
    for stat in stats:
        for pod in stat.pods:
            entry = entries.get(resource.key(pod.namespace, pod.name))
            if entry is not None and namespace in ("", pod.namespace):
                made.append(_pod(entry.decode()["metadata"], stat, pod))
    return sorted(made, key=_key)


def _pod(metadata: Object, stat: NodeStat, pod: PodStat) -> Object:
    containers = [{"name": item.name, "usage": _usage(item.cpu_nanos, item.memory_bytes)} for item in pod.containers]
    return _object("PodMetrics", _metadata(metadata, stat), stat) | {"containers": containers}


def _object(kind: str, metadata: Object, stat: NodeStat) -> Object:
    return {
        "kind": kind,
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": metadata,
        "timestamp": rfc3339(stat.time_s),
        "window": f"{stat.window_s:.3f}s",
    }


def _metadata(of: Object, stat: NodeStat) -> Object:
    kept = {field: of[field] for field in ("name", "namespace", "labels") if of.get(field)}
    return kept | {"creationTimestamp": rfc3339(stat.time_s)}


def _usage(cpu_nanos: int, memory_bytes: int) -> dict[str, str]:
    return {"cpu": f"{cpu_nanos}n" if cpu_nanos else "0", "memory": f"{memory_bytes // KIB}Ki"}


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
