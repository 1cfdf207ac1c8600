"""Role, ClusterRole and their bindings. Escalation is serving's to prevent; here is only form."""

from typing import Any

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.placement import label_selector_causes
from actors.apiserver.machinery.resource import Strategy

GROUP = "rbac.authorization.k8s.io"


class _RbacStrategy(Strategy):
    allow_create_on_update = True

    def validate_name(self, name: str, prefix: bool = False) -> list[str]:
        return names.path_segment(name, prefix)


class RoleStrategy(_RbacStrategy):
    namespaced = True

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        causes = []
        for i, rule in enumerate(obj.get("rules") or ()):
            causes += self._rule_causes(rule, f"rules[{i}]")
        return causes

    def _rule_causes(self, rule: dict[str, Any], at: str) -> list[Cause]:
        causes = []
        if not rule.get("verbs"):
            causes.append(field.required(f"{at}.verbs", "verbs must contain at least one value"))
        urls = rule.get("nonResourceURLs")
        if urls:
            if self.namespaced:
                detail = "namespaced rules cannot apply to non-resource URLs"
                causes.append(field.invalid(f"{at}.nonResourceURLs", urls, detail))
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                causes.append(field.invalid(f"{at}.nonResourceURLs", urls, detail))
            return causes
        if not rule.get("apiGroups"):
            causes.append(field.required(f"{at}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            causes.append(field.required(f"{at}.resources", "resource rules must supply at least one resource"))
        return causes


class ClusterRoleStrategy(RoleStrategy):
    namespaced = False

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        causes = super().validate(obj)
        aggregation = obj.get("aggregationRule")
        if aggregation is not None:
            selectors = aggregation.get("clusterRoleSelectors") or []
            path = "aggregationRule.clusterRoleSelectors"
            if not selectors:
                causes.append(
                    field.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
                )
            for i, selector in enumerate(selectors):
                causes += label_selector_causes(selector, f"{path}[{i}]")
        return causes


class RoleBindingStrategy(_RbacStrategy):
    role_kinds: tuple[str, ...] = ("Role", "ClusterRole")

    def default(self, obj: dict[str, Any]) -> None:
        if "roleRef" in obj:
            obj["roleRef"]["apiGroup"] = obj["roleRef"].get("apiGroup") or GROUP
        for subject in obj.get("subjects") or ():
            if subject.get("kind") in ("User", "Group"):
                subject["apiGroup"] = subject.get("apiGroup") or GROUP

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        role = obj.get("roleRef") or {}
        causes = field.one_of("roleRef.apiGroup", role.get("apiGroup", ""), (GROUP,))
        causes += field.one_of("roleRef.kind", role.get("kind", ""), self.role_kinds)
        if not role.get("name"):
            causes.append(field.required("roleRef.name"))
        else:
            causes += field.messages("roleRef.name", role["name"], names.path_segment(role["name"]))
        for i, subject in enumerate(obj.get("subjects") or ()):
            causes += self._subject_causes(subject, f"subjects[{i}]")
        return causes

    def _subject_causes(self, subject: dict[str, Any], at: str) -> list[Cause]:
        kind, name, causes = subject.get("kind", ""), subject.get("name", ""), []
        if not name:
            causes.append(field.required(f"{at}.name"))
        if kind == "ServiceAccount":
            causes += field.messages(f"{at}.name", name, names.dns_subdomain(name)) if name else []
            if subject.get("apiGroup"):
                causes.append(field.not_supported(f"{at}.apiGroup", subject["apiGroup"], ("",)))
            if not subject.get("namespace"):
                causes.append(field.required(f"{at}.namespace"))
        elif kind in ("User", "Group"):
            causes += field.one_of(f"{at}.apiGroup", subject.get("apiGroup"), (GROUP,))
        else:
            causes.append(field.not_supported(f"{at}.kind", kind, ("ServiceAccount", "User", "Group")))
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        if obj.get("roleRef") != old.get("roleRef"):
            return [field.invalid("roleRef", obj.get("roleRef"), "cannot change roleRef")]
        return []


class ClusterRoleBindingStrategy(RoleBindingStrategy):
    role_kinds = ("ClusterRole",)
