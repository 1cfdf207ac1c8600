"""The graph of what pods name: kept change by change, it is always what a fresh one would be."""

import random

import orjson

from actors.apiserver.auth.pod_graph import PodGraph
from actors.apiserver.machinery.selectable import POD_FIELDS
from actors.apiserver.storage import resource_cache
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.resource_cache import ResourceCache

PREFIX = b"/registry/pods/"


def pod(name: str, node: str, *secrets: str) -> dict:
    volumes = [{"name": f"v{i}", "secret": {"secretName": secret}} for i, secret in enumerate(secrets)]
    spec = {"volumes": volumes, "serviceAccountName": "sa"} | ({"nodeName": node} if node else {})
    metadata = {"resourceVersion": "", "name": name, "namespace": "ns"}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec}


def entry(obj: dict, revision: int) -> Entry:
    key = PREFIX + f"ns/{obj['metadata']['name']}".encode()
    return Entry.of_stored(key, orjson.dumps(obj), revision)


def answers(graph: PodGraph) -> list:
    named = [graph.is_named((node,), "secrets", "ns", f"s{i}") for node in ("w1", "w2", "w3") for i in range(4)]
    return named + [graph.node_of("ns", f"p{i}") for i in range(6)]


def test_a_pod_names_what_it_names_on_its_node_only():
    pods = ResourceCache(PREFIX, POD_FIELDS)
    graph = PodGraph(pods)
    assert not graph.is_named(("w1",), "secrets", "ns", "a")
    pods.put(entry(pod("p", "w1", "a"), 1))
    assert graph.is_named(("w1",), "secrets", "ns", "a")
    assert graph.is_named(("w2", "w1"), "serviceaccounts", "ns", "sa")
    assert not graph.is_named(("w2",), "secrets", "ns", "a")
    assert not graph.is_named(("w1",), "secrets", "other", "a")
    pods.put(entry(pod("q", "w1", "a"), 2))
    pods.delete(PREFIX + b"ns/p", 3)
    assert graph.is_named(("w1",), "secrets", "ns", "a")
    pods.delete(PREFIX + b"ns/q", 4)
    assert not graph.is_named(("w1",), "secrets", "ns", "a")
    assert graph.node_of("ns", "q") is None


def test_kept_and_fresh_graphs_agree(monkeypatch):
    monkeypatch.setattr(resource_cache, "WINDOW_EVENTS", 20)
    choose = random.Random(5)
    pods = ResourceCache(PREFIX, POD_FIELDS)
    graph = PodGraph(pods)
    for revision in range(1, 2000):
        name = f"p{choose.randrange(6)}"
        if choose.random() < 0.3:
            pods.delete(PREFIX + f"ns/{name}".encode(), revision)
        else:
            secrets = choose.sample(["s0", "s1", "s2", "s3"], choose.randrange(3))
            pods.put(entry(pod(name, choose.choice(["", "w1", "w2", "w3"]), *secrets), revision))
        if choose.random() < 0.2:
            assert answers(graph) == answers(PodGraph(pods)), revision
    pods.replace([entry(pod("p1", "w2", "s1"), 1)], 3000)
    assert answers(graph) == answers(PodGraph(pods))
