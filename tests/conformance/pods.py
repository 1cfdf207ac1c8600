"""Pods for the conformance tests: made in a line, run side by side, looked at by what the API says of them.

Neighbours: `access` speaks to the API server; each test module makes a `Space`, a namespace that it has to itself.
"""

import base64
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster import eventually
from tests.conformance.access import MERGE, Api, Object, Refused

IMAGE = "kubus.local/toolbox:latest"
NOBODY_ELSE = 1000  # a uid that is not root's
ENDED = ("Succeeded", "Failed")
SLEEP = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait"]  # ends at once when asked to

_numbers = itertools.count(1)
Condition = Callable[[Object], Any]


# -- manifests --------------------------------------------------------------------------------------------------------


def container(command: str | list[str] | None, name: str = "c", **fields: Any) -> Object:
    """Return a container that runs a shell script, a list of words, or (None) what the image says."""
    words = {} if command is None else {"command": ["sh", "-c", command] if isinstance(command, str) else command}
    return {"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", **words, **fields}


def pod(*containers: Object, name: str = "", labels: Object | None = None, **spec: Any) -> Object:
    """Return a pod that runs once. `annotations` goes into the metadata, everything else into the spec."""
    metadata: Object = {"name": name or f"p-{next(_numbers)}", "labels": labels or {}}
    if "annotations" in spec:
        metadata["annotations"] = spec.pop("annotations")
    basics = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {**basics, "containers": list(containers), **spec},
    }


def script(command: str | list[str], volumes: Object | None = None, **fields: Any) -> Object:
    """Return a pod of one container that runs a script, with volumes {"/mount/path": source} mounted."""
    of_pod = ("securityContext", "annotations", "labels", "name")
    spec = {name: fields.pop(name) for name in of_pod if name in fields}
    mounted = with_volumes(container(command, **fields), volumes or {})
    return pod(mounted[0], volumes=mounted[1], **spec)


def with_volumes(made: Object, sources: Object) -> tuple[Object, list[Object]]:
    """Return the container with a mount for each path, and the pod's volumes for them."""
    names = {path: f"v{number}" for number, path in enumerate(sources)}
    mounts = [{"name": name, "mountPath": path} for path, name in names.items()]
    volumes = [{"name": names[path], **source} for path, source in sources.items()]
    return {**made, "volumeMounts": made.get("volumeMounts", []) + mounts}, volumes


def config_map(name: str, data: Object | None = None, **fields: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data or {}, **fields}


def secret(name: str, data: dict[str, str], **fields: Any) -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded, **fields}


# -- what a pod's status says -----------------------------------------------------------------------------------------


def status_of(found: Object, name: str = "c") -> Object:
    """Return a container's status, whichever list it is in; LookupError before there is one."""
    lists = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    every = (item for field in lists for item in found["status"].get(field) or ())
    for item in every:
        if item["name"] == name:
            return item
    raise LookupError(f"no status of container {name}")


def is_ready(found: Object) -> bool:
    return condition_of(found, "Ready") == "True"


def has_ended(found: Object) -> bool:
    return found["status"].get("phase") in ENDED


def condition_of(found: Object, kind: str) -> str:
    conditions = found["status"].get("conditions") or ()
    return next((item["status"] for item in conditions if item["type"] == kind), "")


def restarts(found: Object, name: str = "c") -> int:
    return int(status_of(found, name)["restartCount"])


# -- a namespace ------------------------------------------------------------------------------------------------------


class Space:
    """One namespace of a cluster, or with no name what is in none. A resource is "pods", or "GROUP/VERSION/PLURAL"."""

    def __init__(self, api: Api, name: str):
        self.api, self.name = api, name

    def path(self, resource: str, name: str = "", sub: str = "") -> str:
        group, _, plural = resource.rpartition("/")
        root = f"/apis/{group}" if group else "/api/v1"
        place = f"{root}/namespaces/{self.name}" if self.name else root
        return "/".join(item for item in (place, plural, name, sub) if item)

    def create(self, resource: str, body: Object, **query: Any) -> Object:
        return self.api.json("POST", self.path(resource), body, **query)

    def get(self, resource: str, name: str, sub: str = "") -> Object:
        return self.api.json("GET", self.path(resource, name, sub))

    def list(self, resource: str, selector: str = "") -> list[Object]:
        return self.api.json("GET", self.path(resource), **({"labelSelector": selector} if selector else {}))["items"]

    def update(self, resource: str, body: Object, sub: str = "") -> Object:
        return self.api.json("PUT", self.path(resource, body["metadata"]["name"], sub), body)

    def patch(self, resource: str, name: str, patch: Any, sub: str = "", kind: str = MERGE) -> Object:
        return self.api.json("PATCH", self.path(resource, name, sub), patch, kind)

    def modify(self, resource: str, name: str, change: Callable[[Object], None], sub: str = "") -> Object:
        """Read, change and write an object, again whenever somebody else was quicker; returns the answer."""
        while True:
            found = self.get(resource, name, sub)
            change(found)
            try:
                return self.update(resource, found, sub)
            except Refused as error:
                if error.reason != "Conflict":
                    raise

    def delete(self, resource: str, name: str, grace_s: int | None = None) -> None:
        query = {} if grace_s is None else {"gracePeriodSeconds": grace_s}
        self.api.json("DELETE", self.path(resource, name), **query)

    def delete_all(self, resource: str, selector: str) -> None:
        self.api.json("DELETE", self.path(resource), labelSelector=selector)

    def has(self, resource: str, name: str) -> bool:
        try:
            self.get(resource, name)
        except Refused as error:
            if error.code != 404:
                raise
            return False
        return True

    # -- pods

    def start(self, made: Object) -> str:
        """Create a pod; returns its name."""
        return str(self.create("pods", made)["metadata"]["name"])

    def when(self, name: str, condition: Condition, what: str, limit_s: float = 30.0) -> Object:
        """Return the pod once a condition on it holds."""
        last: list[Object] = []

        def holds() -> Object | None:
            last[:] = [self.get("pods", name)]
            return last[0] if condition(last[0]) else None

        try:
            return eventually(holds, f"pod {name}: {what}", limit_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{last[0]['status'] if last else ''}") from error

    def ended(self, name: str, limit_s: float = 30.0) -> Object:
        return self.when(name, has_ended, "it has ended", limit_s)

    def ready(self, name: str, limit_s: float = 30.0) -> Object:
        return self.when(name, is_ready, "it is ready", limit_s)

    def gone(self, name: str, limit_s: float = 30.0) -> None:
        eventually(lambda: not self.has("pods", name), f"pod {name} is gone", limit_s)

    def remove(self, name: str) -> None:
        """Delete a pod, and wait until it is gone."""
        self.delete("pods", name)
        self.gone(name)

    def log(self, name: str, of: str = "", **query: Any) -> str:
        more = {"container": of} if of else {}
        return self.api.request("GET", self.path("pods", name, "log"), **more, **query).decode()

    def output(self, name: str, phase: str = "Succeeded") -> str:
        """Return what a pod that runs once has printed, once it has ended as expected."""
        found = self.ended(name)
        text = self.log(name, of=found["spec"]["containers"][0]["name"])
        assert found["status"]["phase"] == phase, f"{found['status']}\n{text}"
        return text

    def run(self, made: Object, phase: str = "Succeeded") -> str:
        """Run a pod to its end; returns what it printed."""
        return self.output(self.start(made), phase)

    def read_until(self, name: str, wanted: Callable[[str], Any], what: str, of: str = "", limit_s: float = 30) -> str:
        """Return a pod's log once it says what is wanted."""

        def says() -> str:
            text = self.log(name, of)
            if not wanted(text):
                raise LookupError(text[-500:])
            return text or " "

        return eventually(says, f"the log of {name}: {what}", limit_s)


@contextmanager
def space_of(api: Api, name: str) -> Iterator[Space]:
    """A namespace for the time of a test; its end waits until all in it is gone."""
    whole = Space(api, "")
    whole.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    space = Space(api, name)
    eventually(lambda: space.has("serviceaccounts", "default"), "the default service account", 10)
    try:
        yield space
    finally:
        whole.delete("namespaces", name)
        eventually(lambda: not whole.has("namespaces", name), f"namespace {name} is gone", 60)
