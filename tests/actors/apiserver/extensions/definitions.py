"""CustomResourceDefinitions for tests."""

from typing import Any

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CRON = {"type": "string", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"}
SPEC = {
    "type": "object",
    "required": ["cron"],
    "properties": {
        "cron": CRON,
        "image": {"type": "string"},
        "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
    },
}
STATUS = {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}}


def schema(spec: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": spec or SPEC, "status": STATUS}, **more}


def version(name: str = "v1", *, storage: bool = True, spec: Any = None, **more: Any) -> dict[str, Any]:
    given = {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema(spec)}}
    return {**given, **more}


def definition(
    plural: str = "crontabs", kind: str = "CronTab", group: str = "stable.example.com", *,
    versions: list[dict[str, Any]] | None = None, scope: str = "Namespaced", names: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "kind": kind, **(names or {})},
            "versions": versions or [version()],
            **spec,
        },
    }


def cron_tab(name: str = "one", api_version: str = "stable.example.com/v1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": "CronTab",
        "metadata": {"name": name},
        "spec": {"cron": "* * * * */5", **spec},
    }
