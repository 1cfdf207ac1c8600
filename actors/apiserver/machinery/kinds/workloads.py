"""Deployment, ReplicaSet, ReplicationController, DaemonSet, StatefulSet: pods out of a template."""

from typing import Any

from actors.api import names, selectors
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.placement import label_selector_causes
from actors.apiserver.machinery.kinds.pod_defaults import default_template
from actors.apiserver.machinery.kinds.pod_spec import template_causes
from actors.apiserver.machinery.kinds.pod_warnings import claim_spec_warnings, name_warnings, template_warnings
from actors.apiserver.machinery.kinds.with_status import WithStatus
from actors.apiserver.machinery.resource import Strategy

_HOSTNAMES = "Pod names and hostnames"
_QUARTER = "25%"
_PERCENT_DIGITS = 9  # more is no percentage of anything, and Python refuses to parse thousands of digits


def selector_causes(spec: dict[str, Any], kind: str) -> list[Cause]:
    """The selector must select something, and the pods of its own template."""
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    detail = "`selector` does not match template `labels`"
    if selector is None:
        return [field.required("spec.selector"), field.invalid("spec.template.metadata.labels", labels, detail)]
    causes = label_selector_causes(selector, "spec.selector")
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.append(field.invalid("spec.selector", selector, f"empty selector is invalid for {kind}"))
    if not causes and not selectors.matches(selector, labels or {}):
        causes.append(field.invalid("spec.template.metadata.labels", labels, detail))
    return causes


def always_restarting_causes(template: dict[str, Any] | None, kind: str) -> list[Cause]:
    """Return what is wrong with the template of a controller whose pods never finish."""
    path = "spec.template"
    causes = template_causes(template, path)
    spec = (template or {}).get("spec") or {}
    if spec.get("restartPolicy", "Always") != "Always":
        causes.append(field.not_supported(f"{path}.spec.restartPolicy", spec["restartPolicy"], ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        causes.append(field.forbidden(f"{path}.spec.activeDeadlineSeconds", detail))
    return causes


def int_or_percent_causes(value: int | str | None, path: str, most_percent: int = 0) -> list[Cause]:
    """Return what is wrong with a count that may be a percentage; `most_percent` 0 means no upper bound."""
    if value is None:
        return []
    if isinstance(value, int):
        return field.non_negative(path, value)
    number = value.removesuffix("%")
    if not value.endswith("%") or not number.isascii() or not number.isdigit() or len(number) > _PERCENT_DIGITS:
        detail = "a valid percent string must be a numeric string followed by an ending '%'"
        return [field.invalid(path, value, f"{detail} (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')")]
    if most_percent and int(number) > most_percent:
        return [field.invalid(path, value, f"must not be greater than {most_percent}%")]
    return []


def _is_zero(value: int | str | None) -> bool:
    return value in (0, "0%", None)


class TemplateStrategy(WithStatus):
    """What controllers of pods share: replicas, selector, template, and a selector that never changes."""

    kind = ""
    selector_kind = ""
    scales = True
    template_is_value = True  # in Kubernetes' type: one that is missing is an empty one, and told what it lacks
    collisions_only_grow = False
    names_pods = True  # after itself, where nothing else keeps its name short

    def default(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        if self.scales:
            spec.setdefault("replicas", 1)
        if self.template_is_value:
            spec.setdefault("template", {}).setdefault("spec", {})
        default_template(spec.get("template"))
        self.default_spec(spec)

    def default_spec(self, spec: dict[str, Any]) -> None:
        """Fill in what only this kind has."""

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj["spec"]
        causes = field.non_negative("spec.replicas", spec.get("replicas"))
        causes += field.non_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
        causes += field.non_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
        causes += self.selector_causes(spec)
        return causes + always_restarting_causes(spec.get("template"), self.kind) + self.spec_causes(spec)

    def selector_causes(self, spec: dict[str, Any]) -> list[Cause]:
        return selector_causes(spec, self.selector_kind)

    def spec_causes(self, spec: dict[str, Any]) -> list[Cause]:
        return []

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        if obj["spec"].get("selector") != old["spec"].get("selector"):
            return [field.immutable("spec.selector", obj["spec"].get("selector"))]
        return []

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        named = name_warnings(obj["metadata"].get("name", ""), _HOSTNAMES) if self.names_pods else []
        return named + template_warnings(obj["spec"].get("template"), "spec.template")

    def update_warnings(self, obj: dict[str, Any], old: dict[str, Any]) -> list[str]:
        if obj["metadata"].get("generation") == old["metadata"].get("generation"):
            return []
        return template_warnings(obj["spec"].get("template"), "spec.template")

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        status = obj.get("status") or {}
        causes: list[Cause] = []
        for name, value in status.items():
            if isinstance(value, int):
                causes += field.non_negative(f"status.{name}", value)
        before = (old.get("status") or {}).get("collisionCount")
        if self.collisions_only_grow and before is not None and (status.get("collisionCount") or 0) < before:
            count = status.get("collisionCount")
            causes.append(field.invalid("status.collisionCount", count, "cannot be decremented"))
        return causes + self._excess_causes(status)

    def _excess_causes(self, status: dict[str, Any]) -> list[Cause]:
        """Return which replicas are more than there are."""
        causes: list[Cause] = []
        replicas = status.get("replicas", 0)
        if not self.scales:
            return []
        for name in (
            "readyReplicas",
            "availableReplicas",
            "fullyLabeledReplicas",
            "updatedReplicas",
            "currentReplicas",
        ):
            if replicas >= 0 and status.get(name, 0) > replicas:
                causes.append(field.invalid(f"status.{name}", status[name], "cannot be greater than status.replicas"))
        if 0 <= status.get("readyReplicas", 0) < status.get("availableReplicas", 0):
            detail = "cannot be greater than readyReplicas"
            causes.append(field.invalid("status.availableReplicas", status["availableReplicas"], detail))
        return causes


class DeploymentStrategy(TemplateStrategy):
    kind, selector_kind = "ReplicaSet", "deployment"
    collisions_only_grow = True

    def default_spec(self, spec: dict[str, Any]) -> None:
        strategy = spec.setdefault("strategy", {})
        strategy.setdefault("type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", _QUARTER)
            rolling.setdefault("maxSurge", _QUARTER)
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)

    def generation_parts(self, obj: dict[str, Any]) -> Any:
        return obj.get("spec"), obj["metadata"].get("annotations") or {}

    def spec_causes(self, spec: dict[str, Any]) -> list[Cause]:
        causes = self._strategy_causes(spec["strategy"])
        deadline = spec.get("progressDeadlineSeconds", 600)
        causes += field.non_negative("spec.progressDeadlineSeconds", deadline)
        if 0 <= deadline <= spec.get("minReadySeconds", 0):
            detail = "must be greater than minReadySeconds"
            causes.append(field.invalid("spec.progressDeadlineSeconds", deadline, detail))
        return causes

    def _strategy_causes(self, strategy: dict[str, Any]) -> list[Cause]:
        path, rolling = "spec.strategy", strategy.get("rollingUpdate")
        if strategy["type"] == "Recreate":
            if rolling is None:
                return []
            detail = "may not be specified when strategy `type` is 'Recreate'"
            return [field.forbidden(f"{path}.rollingUpdate", detail)]
        if strategy["type"] != "RollingUpdate":
            return [field.not_supported(f"{path}.type", strategy["type"], ("Recreate", "RollingUpdate"))]
        rolling, path = rolling or {}, f"{path}.rollingUpdate"
        unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
        causes = int_or_percent_causes(unavailable, f"{path}.maxUnavailable", 100)
        causes += int_or_percent_causes(surge, f"{path}.maxSurge")
        if _is_zero(unavailable) and _is_zero(surge):
            detail = "may not be 0 when `maxSurge` is 0"
            causes.append(field.invalid(f"{path}.maxUnavailable", unavailable, detail))
        return causes


class ReplicaSetStrategy(TemplateStrategy):
    kind, selector_kind = "ReplicaSet", "deployment"
    counts = ("replicas",)


class ReplicationControllerStrategy(TemplateStrategy):
    kind, selector_kind = "ReplicationController", "replicationcontroller"
    template_is_value = False
    counts = ("replicas",)

    def default(self, obj: dict[str, Any]) -> None:
        super().default(obj)
        labels = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels")
        if labels:
            if not obj["spec"].get("selector"):
                obj["spec"]["selector"] = dict(labels)
            if not obj["metadata"].get("labels"):
                obj["metadata"]["labels"] = dict(labels)

    def selector_causes(self, spec: dict[str, Any]) -> list[Cause]:
        """A ReplicationController's selector is a plain map."""
        selector = spec.get("selector")
        if not selector:
            return [field.required("spec.selector")]
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
        if not selector.items() <= labels.items():
            detail = "`selector` does not match template `labels`"
            return [field.invalid("spec.template.metadata.labels", labels, detail)]
        return []

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return []


class DaemonSetStrategy(TemplateStrategy):
    kind, selector_kind, scales = "DaemonSet", "daemonset", False
    names_pods = False
    collisions_only_grow = True
    counts = ("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady")

    def default_spec(self, spec: dict[str, Any]) -> None:
        strategy = spec.setdefault("updateStrategy", {})
        strategy.setdefault("type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", 1)
            rolling.setdefault("maxSurge", 0)
        spec.setdefault("revisionHistoryLimit", 10)

    def spec_causes(self, spec: dict[str, Any]) -> list[Cause]:
        strategy, path = spec["updateStrategy"], "spec.updateStrategy"
        causes = field.one_of(f"{path}.type", strategy["type"], ("OnDelete", "RollingUpdate"))
        rolling = strategy.get("rollingUpdate") or {}
        for name in ("maxUnavailable", "maxSurge"):
            causes += int_or_percent_causes(rolling.get(name), f"{path}.rollingUpdate.{name}", 100)
        both_zero = _is_zero(rolling.get("maxUnavailable")) and _is_zero(rolling.get("maxSurge"))
        if strategy["type"] == "RollingUpdate" and both_zero:
            detail = "cannot be 0 when maxSurge is 0"
            causes.append(field.required(f"{path}.rollingUpdate.maxUnavailable", detail))
        if not _is_zero(rolling.get("maxUnavailable")) and not _is_zero(rolling.get("maxSurge")):
            detail = "may not be set when maxUnavailable is non-zero"
            causes.append(field.invalid(f"{path}.rollingUpdate.maxSurge", rolling["maxSurge"], detail))
        return causes


class StatefulSetStrategy(TemplateStrategy):
    kind, selector_kind = "StatefulSet", "statefulset"
    names_pods = False
    collisions_only_grow = True
    counts = ("availableReplicas", "replicas")
    _MUTABLE = (
        "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
    )  # fmt: skip

    def default_spec(self, spec: dict[str, Any]) -> None:
        spec.setdefault("podManagementPolicy", "OrderedReady")
        strategy = spec.setdefault("updateStrategy", {})
        strategy.setdefault("type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
        policy = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
        policy.setdefault("whenDeleted", "Retain")
        policy.setdefault("whenScaled", "Retain")
        spec.setdefault("revisionHistoryLimit", 10)
        for claim in spec.get("volumeClaimTemplates") or ():
            claim.setdefault("kind", "PersistentVolumeClaim")
            claim.setdefault("apiVersion", "v1")
            claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
            claim.setdefault("status", {}).setdefault("phase", "Pending")

    def spec_causes(self, spec: dict[str, Any]) -> list[Cause]:
        causes = field.one_of(
            "spec.podManagementPolicy", spec["podManagementPolicy"], ("OrderedReady", "Parallel")
        ) + field.one_of("spec.updateStrategy.type", spec["updateStrategy"]["type"], ("OnDelete", "RollingUpdate"))
        for name, value in spec["persistentVolumeClaimRetentionPolicy"].items():
            causes += field.one_of(f"spec.persistentVolumeClaimRetentionPolicy.{name}", value, ("Retain", "Delete"))
        causes += field.non_negative("spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))
        if name := spec.get("serviceName"):
            causes += field.messages("spec.serviceName", name, names.dns_subdomain(name))
        partition = (spec["updateStrategy"].get("rollingUpdate") or {}).get("partition")
        return causes + field.non_negative("spec.updateStrategy.rollingUpdate.partition", partition)

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        found = super().warnings(obj)
        for i, claim in enumerate(obj["spec"].get("volumeClaimTemplates") or ()):
            found += claim_spec_warnings(claim.get("spec"), f"spec.volumeClaimTemplates[{i}].spec")
        return found

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        fixed = {name for name in {*obj["spec"], *old["spec"]} if name not in self._MUTABLE}
        if all(obj["spec"].get(name) == old["spec"].get(name) for name in fixed):
            return []
        detail = "updates to statefulset spec for fields other than " + ", ".join(f"'{n}'" for n in self._MUTABLE)
        return [field.forbidden("spec", detail + " are forbidden")]


class ControllerRevisionStrategy(Strategy):
    """The template that a revision of a DaemonSet or StatefulSet had: it never changes."""

    def default(self, obj: dict[str, Any]) -> None:
        obj.setdefault("revision", 0)

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        causes = field.non_negative("revision", obj.get("revision"))
        return causes if obj.get("data") is not None else [*causes, field.required("data", "data is mandatory")]

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        return [] if obj.get("data") == old.get("data") else [field.immutable("data", obj.get("data"))]


class PodTemplateStrategy(Strategy):
    def default(self, obj: dict[str, Any]) -> None:
        default_template(obj.get("template"))

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        obj["metadata"]["generation"] = 1

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        return template_causes(obj.get("template"), "template")

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        return template_warnings(obj.get("template"), "template")
