"""v1 ComponentStatus: the components of the control plane, asked when somebody wants to see how they are.

Deprecated in Kubernetes for long, and still what `kubectl get cs` shows.

Neighbours: `components` asks; `computed` answers.
"""

from typing import Any

from actors.apiserver.call import Answer, ApiCall
from actors.apiserver.components import OK
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.request_info import RequestInfo
from actors.apiserver.server import Server
from actors.apiserver.verbs.computed import answer_with


async def component_statuses(server: Server, call: ApiCall, info: RequestInfo, resource: Resource) -> Answer:
    made = [_status(name, wrong) for name, wrong in await server.components.checks()]
    return answer_with(server, call, info, resource, made)


def _status(name: str, wrong: str) -> dict[str, Any]:
    condition = {"type": "Healthy", "status": "True", "message": "ok"}
    if wrong != OK:
        condition = {"type": "Healthy", "status": "False", "error": wrong}
    return {"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": name}, "conditions": [condition]}
