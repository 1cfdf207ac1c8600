"""CustomResourceDefinition: what is filled in, what is refused, what may change.

The status is the API server's: `conditions` computes it. Whatever is accepted here can be compiled and served without a
further question; schemas are checked to the last rule, in the words of Kubernetes.

Neighbours: `version_checks` looks at the versions; `controller` serves what is stored.
"""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.api.meta import get_condition
from actors.apiserver.extensions import conditions, version_checks
from actors.apiserver.extensions.schema import structural
from actors.apiserver.machinery import field
from actors.apiserver.machinery.columns.cells import CREATED_AT, NAME
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.rows import row

GROUP = "apiextensions.k8s.io"
GROUP_VERSION = f"{GROUP}/v1"
CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_SCOPES = ("Cluster", "Namespaced")


class CustomResourceDefinitionStrategy(WithStatus):
    metadata_with_status = ("annotations", "managedFields", "finalizers")

    def default(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        given = spec.setdefault("names", {})
        if kind := given.get("kind"):
            given["singular"] = given.get("singular") or kind.lower()
            given["listKind"] = given.get("listKind") or f"{kind}List"
        conversion = spec.setdefault("conversion", {})
        conversion.setdefault("strategy", "None")
        client = (conversion.get("webhook") or {}).get("clientConfig") or {}
        if service := client.get("service"):
            service.setdefault("port", 443)
        for version in spec.get("versions") or ():
            if schema := (version.get("schema") or {}).get("openAPIV3Schema"):
                structural.tidy(schema)

    def initial_status(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Nothing is accepted yet; what is stored will be of the storage version."""
        stored = [v["name"] for v in obj["spec"].get("versions") or () if v.get("storage") and v.get("name")]
        return {"conditions": [], "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored[:1]}

    def prepare_for_update(self, obj: dict[str, Any], old: dict[str, Any]) -> None:
        super().prepare_for_update(obj, old)
        stored = list((obj.get("status") or {}).get("storedVersions") or ())
        for version in obj["spec"].get("versions") or ():
            if version.get("storage") and version.get("name") not in stored:
                obj["status"] = {**(obj.get("status") or {}), "storedVersions": [*stored, version["name"]]}

    def hold_deletion(self, obj: dict[str, Any], now: str) -> None:
        """The objects go first: the definition waits for them with a finalizer."""
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            return
        metadata["finalizers"] = list(dict.fromkeys([*(metadata.get("finalizers") or ()), CLEANUP_FINALIZER]))
        status = obj.setdefault("status", {})
        status["conditions"] = conditions.terminating(status.get("conditions") or [], now)

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj["spec"]
        causes = _group_causes(spec, obj["metadata"])
        causes += _names_causes(spec)
        wanted = f"{(spec.get('names') or {}).get('plural', '')}.{spec.get('group', '')}"
        name = obj["metadata"].get("name", "")
        if name != wanted:
            causes.append(field.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
        causes += field.needed_one_of("spec.scope", spec.get("scope"), _SCOPES)
        if spec.get("preserveUnknownFields"):
            detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema "
            causes.append(field.invalid("spec.preserveUnknownFields", True, detail + "instead"))
        causes += version_checks.causes_of(spec)
        return causes + _conversion_causes(spec)

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        spec, before = obj["spec"], old["spec"]
        causes = [field.immutable("spec.group", spec.get("group"))] if spec.get("group") != before.get("group") else []
        established = get_condition((old.get("status") or {}).get("conditions") or [], conditions.ESTABLISHED)
        if established is not None and established["status"] == "True":
            for name in ("plural", "kind"):
                if spec["names"].get(name) != before["names"].get(name):
                    causes.append(field.immutable(f"spec.names.{name}", spec["names"].get(name)))
            if spec.get("scope") != before.get("scope"):
                causes.append(field.immutable("spec.scope", spec.get("scope")))
        return causes + _stored_causes(obj)

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return _stored_causes(obj)


def _group_causes(spec: dict[str, Any], metadata: dict[str, Any]) -> list[Cause]:
    group = spec.get("group", "")
    if not group:
        return [field.required("spec.group")]
    wrong = names.dns_subdomain(group)
    if wrong:
        return field.messages("spec.group", group, wrong)
    if "." not in group:
        return [field.invalid("spec.group", group, "should be a domain with at least one dot")]
    if not conditions.is_protected(group):
        return []
    said = (metadata.get("annotations") or {}).get(conditions.APPROVAL, "")
    _, reason, why = conditions.approval_of(said)
    where = f"metadata.annotations[{conditions.APPROVAL}]"
    if reason == conditions.MISSING:
        return [field.required(where, why)]
    return [field.invalid(where, said, why)] if reason == conditions.INVALID else []


def _names_causes(spec: dict[str, Any]) -> list[Cause]:
    given = spec.get("names") or {}
    causes: list[Cause] = []
    for name in ("plural", "singular", "kind", "listKind"):
        value = given.get(name, "")
        where = f"spec.names.{name}"
        if not value:
            causes.append(field.required(where))
            continue
        form = value.lower() if name in ("kind", "listKind") else value
        causes += field.messages(where, value, names.dns_label_1035(form))
    for name in ("shortNames", "categories"):
        for i, value in enumerate(given.get(name) or ()):
            causes += field.messages(f"spec.names.{name}[{i}]", value, names.dns_label_1035(value))
    if given.get("kind") and given.get("kind") == given.get("listKind"):
        detail = "kind and listKind may not be the same"
        causes.append(field.invalid("spec.names.listKind", given["listKind"], detail))
    return causes


def _conversion_causes(spec: dict[str, Any]) -> list[Cause]:
    conversion, where = spec.get("conversion") or {}, "spec.conversion"
    strategy = conversion.get("strategy", "None")
    causes = field.one_of(f"{where}.strategy", strategy, ("None", "Webhook"))
    webhook = conversion.get("webhook")
    if strategy != "Webhook":
        if webhook:
            detail = "should not be set when strategy is not set to Webhook"
            causes.append(field.forbidden(f"{where}.webhook", detail))
        return causes
    client = (webhook or {}).get("clientConfig")
    if not client:
        return [*causes, field.required(f"{where}.webhook.clientConfig", "required when strategy is set to Webhook")]
    causes += client_config_causes(client, f"{where}.webhook.clientConfig")
    versions = (webhook or {}).get("conversionReviewVersions") or []
    review = f"{where}.webhook.conversionReviewVersions"
    if not versions:
        causes.append(field.required(review))
    elif "v1" not in versions and "v1beta1" not in versions:
        causes.append(field.invalid(review, versions, "must include at least one of v1, v1beta1"))
    return causes


def client_config_causes(client: dict[str, Any], where: str) -> list[Cause]:
    """What is wrong with where a webhook is said to be."""
    url, service = client.get("url"), client.get("service")
    if bool(url) == bool(service):
        return [field.required(where, "exactly one of url or service is required")]
    causes: list[Cause] = []
    if url:
        if not url.startswith("https://"):
            scheme = url.partition("://")[0]
            causes.append(field.invalid(f"{where}.url", scheme, "'https' is the only allowed URL scheme"))
        elif not url.removeprefix("https://").partition("/")[0]:
            causes.append(field.invalid(f"{where}.url", "", "host must be specified"))
        elif "@" in url.removeprefix("https://").partition("/")[0] or "#" in url or "?" in url:
            causes.append(
                field.invalid(f"{where}.url", url, "user information, fragments and queries are not permitted")
            )
    else:
        assert service is not None
        for name in ("namespace", "name"):
            if not service.get(name):
                causes.append(field.required(f"{where}.service.{name}", f"service {name} is required"))
        port = service.get("port", 443)
        if not 0 < port < 65536:
            detail = "port is not valid: must be between 1 and 65535, inclusive"
            causes.append(field.invalid(f"{where}.service.port", port, detail))
        path = service.get("path")
        if path and not path.startswith("/"):
            causes.append(field.invalid(f"{where}.service.path", path, "must start with a '/'"))
    return causes


def _stored_causes(obj: dict[str, Any]) -> list[Cause]:
    """Every version that may still be stored must stay a version."""
    versions = obj["spec"].get("versions") or []
    known = {version.get("name") for version in versions}
    stored = (obj.get("status") or {}).get("storedVersions") or []
    causes: list[Cause] = []
    if not stored:
        detail = "must have at least one stored version"
        causes.append(field.invalid("status.storedVersions", stored, detail))
    for i, name in enumerate(stored):
        if name not in known:
            detail = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {name} and removes "
                f"{name} from status.storedVersions"
            )
            causes.append(field.invalid(f"status.storedVersions[{i}]", name, detail))
    for version in versions:
        if version.get("storage") and version.get("name") not in stored:
            detail = f"must have the storage version {version.get('name')}"
            causes.append(field.invalid("status.storedVersions", stored, detail))
    return causes


def definition_resource() -> Resource:
    """Return the row of the resource table."""
    return row(
        GROUP_VERSION,
        "CustomResourceDefinition",
        "customresourcedefinitions",
        namespaced=False,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        status=True,
        strategy=CustomResourceDefinitionStrategy(),
        columns=(NAME, CREATED_AT),
    )
