# ruff: noqa: E501 - a table reads best with one case a line
"""Strategic merge patch: the documented examples, each directive, and the order of merged lists."""

import pytest
import yaml

from actors.apiserver.machinery import schema
from actors.apiserver.machinery.strategic import BadPatch, merge
from tests.actors.apiserver.machinery.objects import loaded

CASES = yaml.safe_load("""
- name: containers merge by name, as documented under "use a strategic merge patch to update a Deployment"
  kind: apps/v1/Deployment
  original: {spec: {template: {spec: {containers: [{name: patch-demo-ctr, image: nginx}], tolerations: [{key: a}]}}}}
  patch: {spec: {template: {spec: {containers: [{name: patch-demo-ctr-2, image: redis}]}}}}
  result: {spec: {template: {spec: {
    containers: [{name: patch-demo-ctr-2, image: redis}, {name: patch-demo-ctr, image: nginx}], tolerations: [{key: a}]}}}}

- name: a list without a merge strategy is replaced, as documented for tolerations
  kind: apps/v1/Deployment
  original: {spec: {template: {spec: {tolerations: [{key: dedicated, effect: NoSchedule}]}}}}
  patch: {spec: {template: {spec: {tolerations: [{key: disktype, value: ssd, effect: NoSchedule}]}}}}
  result: {spec: {template: {spec: {tolerations: [{key: disktype, value: ssd, effect: NoSchedule}]}}}}

- name: retainKeys clears what the new strategy does not have, as documented
  kind: apps/v1/Deployment
  original: {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%}}}}
  patch: {spec: {strategy: {$retainKeys: [type], type: Recreate}}}
  result: {spec: {strategy: {type: Recreate}}}

- name: maps merge, null deletes
  kind: v1/ConfigMap
  original: {metadata: {labels: {a: '1', b: '2'}}, data: {x: '1', y: '2'}}
  patch: {metadata: {labels: {b: null, c: '3'}}, data: {y: '3', z: null}}
  result: {metadata: {labels: {a: '1', c: '3'}}, data: {x: '1', y: '3'}}

- name: an item changes in place and keeps what the patch does not name
  kind: v1/Pod
  original: {spec: {containers: [{name: a, image: '1', env: [{name: X, value: '1'}]}, {name: b, image: '2'}]}}
  patch: {spec: {containers: [{name: b, image: '3'}]}}
  result: {spec: {containers: [{name: a, image: '1', env: [{name: X, value: '1'}]}, {name: b, image: '3'}]}}

- name: nested merge lists
  kind: v1/Pod
  original: {spec: {containers: [{name: a, env: [{name: X, value: '1'}, {name: Y, value: '2'}]}]}}
  patch: {spec: {containers: [{name: a, env: [{name: X, value: null, valueFrom: {fieldRef: {fieldPath: p}}}, {name: Z, value: z}]}]}}
  result: {spec: {containers: [{name: a, env: [{name: X, valueFrom: {fieldRef: {fieldPath: p}}}, {name: Z, value: z}, {name: Y, value: '2'}]}]}}

- name: $patch delete removes one item
  kind: v1/Pod
  original: {spec: {containers: [{name: a}, {name: b}]}}
  patch: {spec: {containers: [{name: a, $patch: delete}]}}
  result: {spec: {containers: [{name: b}]}}

- name: $patch delete of an item that is not there is nothing
  kind: v1/Pod
  original: {spec: {containers: [{name: a}]}}
  patch: {spec: {containers: [{name: x, $patch: delete}]}}
  result: {spec: {containers: [{name: a}]}}

- name: $patch replace of a list
  kind: v1/Pod
  original: {spec: {containers: [{name: a, image: '1'}, {name: b}]}}
  patch: {spec: {containers: [{name: a, image: '2'}, {$patch: replace}]}}
  result: {spec: {containers: [{name: a, image: '2'}]}}

- name: $patch replace of a map
  kind: v1/Pod
  original: {spec: {nodeSelector: {a: '1', b: '2'}}}
  patch: {spec: {nodeSelector: {$patch: replace, c: '3'}}}
  result: {spec: {nodeSelector: {c: '3'}}}

- name: $patch delete of a map
  kind: v1/Pod
  original: {spec: {securityContext: {runAsUser: 1}}}
  patch: {spec: {securityContext: {$patch: delete}}}
  result: {spec: {securityContext: {}}}

- name: service ports merge by port
  kind: v1/Service
  original: {spec: {ports: [{port: 80, nodePort: 30080, name: a}, {port: 443, name: b}]}}
  patch: {spec: {ports: [{port: 80, targetPort: 8080}]}}
  result: {spec: {ports: [{port: 80, nodePort: 30080, name: a, targetPort: 8080}, {port: 443, name: b}]}}

- name: finalizers, a list of plain values, merge
  kind: v1/Pod
  original: {metadata: {finalizers: [a/x, b/x]}}
  patch: {metadata: {finalizers: [b/x, c/x]}}
  result: {metadata: {finalizers: [a/x, b/x, c/x]}}

- name: plain values are deleted with $deleteFromPrimitiveList
  kind: v1/Pod
  original: {metadata: {finalizers: [a/x, b/x, c/x]}}
  patch: {metadata: {$deleteFromPrimitiveList/finalizers: [b/x]}}
  result: {metadata: {finalizers: [a/x, c/x]}}

- name: $setElementOrder orders what the patch knows and keeps the server's own items
  kind: v1/Pod
  original: {spec: {containers: [{name: a}, {name: injected}, {name: b}]}}
  patch: {spec: {$setElementOrder/containers: [{name: b}, {name: a}], containers: [{name: a, image: x}]}}
  result: {spec: {containers: [{name: injected}, {name: b}, {name: a, image: x}]}}

- name: $setElementOrder without a list of its own only orders
  kind: v1/Pod
  original: {spec: {containers: [{name: a}, {name: b}, {name: c}]}}
  patch: {spec: {$setElementOrder/containers: [{name: c}, {name: b}, {name: a}]}}
  result: {spec: {containers: [{name: c}, {name: b}, {name: a}]}}

- name: what kubectl apply sends when an item is removed and another added
  kind: apps/v1/Deployment
  original: {spec: {template: {spec: {containers: [{name: a, image: '1'}, {name: b, image: '2'}]}}}}
  patch: {spec: {template: {spec: {$setElementOrder/containers: [{name: a}, {name: c}],
    containers: [{name: c, image: '3'}, {$patch: delete, name: b}]}}}}
  result: {spec: {template: {spec: {containers: [{name: a, image: '1'}, {name: c, image: '3'}]}}}}

- name: $setElementOrder with $deleteFromPrimitiveList
  kind: v1/Pod
  original: {metadata: {finalizers: [a/x, b/x, s/x]}}
  patch: {metadata: {$setElementOrder/finalizers: [c/x, a/x], $deleteFromPrimitiveList/finalizers: [b/x], finalizers: [c/x]}}
  result: {metadata: {finalizers: [c/x, a/x, s/x]}}

- name: what was not there is taken over without directives and nulls
  kind: v1/Pod
  original: {}
  patch: {spec: {nodeName: null, $setElementOrder/containers: [{name: a}], containers: [{name: a, image: null}, {name: b, $patch: delete}]}}
  result: {spec: {containers: [{name: a}]}}

- name: kubectl rollout restart
  kind: apps/v1/Deployment
  original: {spec: {replicas: 2, template: {metadata: {labels: {app: x}}}}}
  patch: {spec: {template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: now}}}}}
  result: {spec: {replicas: 2, template: {metadata: {labels: {app: x}, annotations: {kubectl.kubernetes.io/restartedAt: now}}}}}

- name: conditions merge by type
  kind: v1/Node
  original: {status: {conditions: [{type: Ready, status: 'True'}, {type: DiskPressure, status: 'False'}]}}
  patch: {status: {$setElementOrder/conditions: [{type: Ready}, {type: DiskPressure}], conditions: [{type: Ready, status: 'False'}]}}
  result: {status: {conditions: [{type: Ready, status: 'False'}, {type: DiskPressure, status: 'False'}]}}

- name: a scalar replaces a map
  kind: v1/Pod
  original: {spec: {nodeSelector: {a: b}}}
  patch: {spec: {nodeSelector: x}}
  result: {spec: {nodeSelector: x}}
""")


def merged(kind: str, original: dict, patch: dict) -> dict:
    api_version, _, name = kind.rpartition("/")
    return merge(loaded(original), patch, schema.of_kind(api_version, name))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case):
    patch = loaded(case["patch"])
    assert merged(case["kind"], case["original"], patch) == case["result"]
    assert patch == case["patch"], "the patch itself is not changed"


@pytest.mark.parametrize(
    "patch",
    [
        "{$patch: explode}",
        "{spec: {containers: [{image: x}]}}",
        "{spec: {containers: [x]}}",
        "{spec: {containers: [{name: a, $patch: merge}]}}",
        "{spec: {$retainKeys: x}}",
        "{spec: {$retainKeys: [a], b: 1}}",
        "{metadata: {$deleteFromPrimitiveList/finalizers: x}}",
        "{metadata: {finalizers: [{a: b}]}}",
        "{metadata: {finalizers: [[a]]}}",
        "{spec: {$setElementOrder/containers: x}}",
        "{spec: {$setElementOrder/containers: [{name: b}], containers: [{name: a}]}}",
    ],
)
def test_bad_patches(patch):
    original = {"metadata": {"finalizers": ["a/x"]}, "spec": {"containers": [{"name": "a"}]}}
    with pytest.raises(BadPatch):
        merged("v1/Pod", original, loaded(patch))


def test_the_order_of_a_merged_list_keeps_both_orders():
    original = {"spec": {"containers": [{"name": n} for n in ("a", "s1", "b", "s2", "c")]}}
    patch = {"spec": {"$setElementOrder/containers": [{"name": n} for n in ("c", "a", "b")]}}
    names = [c["name"] for c in merged("v1/Pod", original, patch)["spec"]["containers"]]
    assert [n for n in names if n in "abc"] == ["c", "a", "b"]
    assert [n for n in names if n.startswith("s")] == ["s1", "s2"]
