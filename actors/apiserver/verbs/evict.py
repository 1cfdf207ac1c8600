"""pods/eviction: a deletion that asks first whether the pod's disruption budgets allow it.

Without the PodDisruptionBudget resource in the registry there are no budgets, and an eviction is a deletion.

Neighbours: `delete.remove`.
"""

from typing import Any

from actors.api import errors, selectors
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.admission.chain import admit_body
from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.machinery.decode import decode_as
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.storage.entry import Entry
from actors.apiserver.storage.store import Write
from actors.apiserver.verbs.delete import deletion_of, remove
from actors.apiserver.verbs.deletion import DeleteOptions
from actors.apiserver.verbs.write_options import create_options, field_validation, is_dry_run, success

FINISHED = frozenset({"Succeeded", "Failed"})
RETRY_AFTER_S = 10  # told to whoever a budget turns away, as Kubernetes


async def evict(server: Server, call: ApiCall, info: RequestInfo, pods: Resource) -> Answer:
    eviction, _ = decode_as("policy", "v1", "Eviction", call.body, call.content_type, field_validation(info))
    name = eviction.get("metadata", {}).get("name") or info.name
    if name != info.name:
        raise errors.bad_request("name in URL does not match name in Eviction object")
    given = eviction.get("deleteOptions") or {}
    preconditions = given.get("preconditions") or {}
    options = DeleteOptions(
        given.get("gracePeriodSeconds"),
        given.get("propagationPolicy", ""),
        preconditions.get("uid", ""),
        preconditions.get("resourceVersion", ""),
        is_dry_run(info) or bool(given.get("dryRun")),
    )
    asked = Admission(
        server, call.identity, pods, info.namespace, name, "eviction", dry_run=options.dry_run,
        options=create_options(info), annotations=call.annotations,
    )  # fmt: skip
    await admit_body(server.hooks, asked, eviction)
    entry = await server.store.read(pods.key(info.namespace, name))
    if entry is None:
        raise errors.not_found("pods", name)
    if not options.dry_run:
        await _spend_budgets(server, info.namespace, entry.decode())
    await remove(server, deletion_of(server, call, pods, info.namespace, name, options), options)
    return success(code=201, warnings=asked.warnings)


async def _spend_budgets(server: Server, namespace: str, pod: dict[str, Any]) -> None:
    """Take one disruption from the budget that covers a pod. Raises ApiError TooManyRequests when it has none left."""
    budgets = server.registry.lookup("policy", "v1", "poddisruptionbudgets")
    status = pod.get("status") or {}
    if budgets is None or status.get("phase") in FINISHED or status.get("phase") == "Pending":
        return
    labels = pod["metadata"].get("labels") or {}
    covering = []
    for entry in server.cache.of(budgets).within(budgets.key(namespace, "")):
        budget = entry.decode()
        if selectors.matches((budget.get("spec") or {}).get("selector"), labels):
            covering.append(budget["metadata"]["name"])
    if len(covering) > 1:
        raise errors.internal(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    if not covering:
        return

    async def spend(budget: dict[str, Any], entry: Entry) -> Write:
        of_budget = budget.setdefault("status", {})
        generation = budget["metadata"].get("generation", 0)
        if of_budget.get("observedGeneration", 0) < generation or of_budget.get("disruptionsAllowed", 0) <= 0:
            raise errors.too_many_requests(
                "Cannot evict pod as it would violate the pod's disruption budget.", RETRY_AFTER_S
            )
        of_budget["disruptionsAllowed"] -= 1
        disrupted = of_budget.setdefault("disruptedPods", {})
        disrupted[pod["metadata"]["name"]] = pod["metadata"]["creationTimestamp"]
        return Write(budget)

    await server.store.update(budgets, namespace, covering[0], spend)
