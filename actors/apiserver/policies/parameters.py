"""What a policy's binding refers to: the objects that its expressions see as `params`, read from the watch cache.

Neighbours: `validation` and `mutation`.
"""

from typing import Any

from actors.api.selectors import from_label_selector
from actors.apiserver.admission.attributes import Admission
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.policies.configuration import Binding, ParamRef, Policy

Object = dict[str, Any]


class Misconfigured(Exception):
    """The policy or its binding refers to what is not there, or may not be missing; the text says what."""


def find_params(asked: Admission, policy: Policy, binding: Binding) -> list[Object | None]:
    """Return the parameters that a policy is evaluated with, one after the other. Raises Misconfigured."""
    reference = binding.param_ref
    if policy.param_kind is None or reference is None:
        return [None]
    version, kind = policy.param_kind
    resource = asked.parts.registry.by_kind(version, kind)
    if resource is None or resource.is_virtual:
        raise Misconfigured(f"failed to configure policy: failed to find resource referenced by paramKind: '{version}, "
                            f"Kind={kind}'")  # fmt: skip
    found = _find(asked, resource, reference)
    if not found and reference.denies_when_missing:
        raise Misconfigured(
            "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
        )
    return list(found)


def _find(asked: Admission, resource: Resource, reference: ParamRef) -> list[Object]:
    cache = asked.parts.cache.of(resource)
    namespace = _namespace(asked, resource, reference)
    if reference.selector is None:
        entry = cache.entries.get(resource.key(namespace, reference.name))
        return [_read(resource, entry.decode())] if entry is not None else []
    selector = from_label_selector(reference.selector)
    prefix = resource.key(namespace, "")
    return [
        _read(resource, entry.decode())
        for entry in cache.within(prefix)
        if selector.matches(entry.traits(cache.fields)[0])
    ]


def _namespace(asked: Admission, resource: Resource, reference: ParamRef) -> str:
    if not resource.namespaced:
        if reference.namespace:
            raise Misconfigured("failed to configure binding: paramRef.namespace must not be provided for a "
                                "cluster-scoped `paramKind`")  # fmt: skip
        return ""
    namespace = reference.namespace or asked.namespace
    if not namespace:
        raise Misconfigured("failed to configure binding: cannot use namespaced paramRef in policy binding that "
                            "matches cluster-scoped resources")  # fmt: skip
    return namespace


def _read(resource: Resource, obj: Object) -> Object:
    return obj if resource.conversion is None else resource.conversion.from_stored(obj)
