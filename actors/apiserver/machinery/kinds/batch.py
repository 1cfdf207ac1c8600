"""Job and CronJob."""

from typing import Any
from zoneinfo import ZoneInfo

from actors.api import names
from actors.api.errors import Cause
from actors.apiserver.machinery import field
from actors.apiserver.machinery.kinds.cron import cron_error
from actors.apiserver.machinery.kinds.job_policies import policy_causes
from actors.apiserver.machinery.kinds.placement import label_selector_causes
from actors.apiserver.machinery.kinds.pod_defaults import default_template
from actors.apiserver.machinery.kinds.pod_spec import template_causes
from actors.apiserver.machinery.kinds.pod_warnings import name_warnings, template_warnings
from actors.apiserver.machinery.kinds.with_status import WithStatus

MAX_INDEXED_PARALLELISM = 100_000
MAX_MANAGER_CHARS = 63
MAX_CRON_JOB_NAME = 52  # leaves room for the minute that its Jobs' names end in

_PREFIX = "batch.kubernetes.io/"
_NO_LIMIT = 2**31 - 1
_NUMBERS = (
    "parallelism", "completions", "backoffLimit", "backoffLimitPerIndex", "maxFailedIndexes", "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
)  # fmt: skip
MANY_COMPLETIONS = 100_000
MANY_AT_ONCE = 10_000
_HOSTNAMES = "Pod names and hostnames"
_COUNTS = ("active", "failed", "ready", "succeeded", "terminating")
_PLACEMENT = frozenset({"affinity", "nodeSelector", "schedulingGates", "tolerations"})
_MARKS = frozenset({"annotations", "labels"})


class JobStrategy(WithStatus):
    def default(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        if spec.get("completions") is None and spec.get("parallelism") is None:
            spec["completions"] = spec["parallelism"] = 1
        spec.setdefault("parallelism", 1)
        spec.setdefault("backoffLimit", _NO_LIMIT if "backoffLimitPerIndex" in spec else 6)
        spec.setdefault("completionMode", "NonIndexed")
        spec.setdefault("suspend", False)
        spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
        spec.setdefault("template", {}).setdefault("spec", {})
        labels = (spec["template"].get("metadata") or {}).get("labels")
        if labels and not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(labels)
        default_template(spec.get("template"))

    def prepare_for_create(self, obj: dict[str, Any]) -> None:
        super().prepare_for_create(obj)
        spec, metadata = obj["spec"], obj["metadata"]
        if spec.get("manualSelector"):
            return
        uid, name = metadata.get("uid", ""), metadata.get("name", "")
        labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
        labels |= {"controller-uid": uid, "job-name": name}
        labels |= {f"{_PREFIX}controller-uid": uid, f"{_PREFIX}job-name": name}
        selector = spec.setdefault("selector", {})
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), f"{_PREFIX}controller-uid": uid}

    def validate_create(self, obj: dict[str, Any]) -> list[Cause]:
        """Only who says so chooses the selector; otherwise it is ours."""
        spec = obj["spec"]
        own = {f"{_PREFIX}controller-uid": obj["metadata"].get("uid", "")}
        selector = spec.get("selector") or {}
        if spec.get("manualSelector") or (selector.get("matchLabels") == own and not selector.get("matchExpressions")):
            return []
        return [field.invalid("spec.selector", selector, "`selector` not auto-generated")]

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj["spec"]
        causes = job_spec_causes(spec, "spec") + label_selector_causes(spec.get("selector"), "spec.selector")
        selector = (spec.get("selector") or {}).get("matchLabels") or {}
        labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
        if spec.get("selector") is None:
            causes.append(field.required("spec.selector"))
        elif not selector.items() <= labels.items():
            detail = "`selector` does not match template `labels`"
            causes.append(field.invalid("spec.template.metadata.labels", labels, detail))
        return causes

    def validate_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        spec, before = obj["spec"], old["spec"]
        fixed = ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
        if not before.get("suspend") or _to_be_kept(spec["template"]) != _to_be_kept(before["template"]):
            fixed.append("template")
        if before.get("completionMode") != "Indexed":
            fixed.append("completions")
        elif spec.get("completions") not in (before.get("completions"), spec.get("parallelism")):
            detail = "can only be modified in tandem with spec.parallelism"
            return [field.invalid("spec.completions", spec.get("completions"), detail)]
        return [field.immutable(f"spec.{name}", spec.get(name)) for name in fixed if spec.get(name) != before.get(name)]

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        return name_warnings(obj["metadata"].get("name", ""), _HOSTNAMES) + _spec_warnings(obj["spec"], "spec")

    def update_warnings(self, obj: dict[str, Any], old: dict[str, Any]) -> list[str]:
        return _spec_warnings(obj["spec"], "spec")

    def validate_status_update(self, obj: dict[str, Any], old: dict[str, Any]) -> list[Cause]:
        status = obj["status"]
        return [cause for name in _COUNTS for cause in field.non_negative(f"status.{name}", status.get(name))]


def _spec_warnings(spec: dict[str, Any], path: str) -> list[str]:
    found = template_warnings(spec["template"], f"{path}.template")
    many = (spec.get("completions") or 0) > MANY_COMPLETIONS and (spec.get("parallelism") or 0) > MANY_AT_ONCE
    if many and spec.get("completionMode") == "Indexed":
        detail = (
            "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
            "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        )
        found.insert(0, f"{path}: {detail}")
    return found


def _to_be_kept(template: dict[str, Any]) -> dict[str, Any]:
    """Return what of a template stays as it is while its Job is suspended: all but where pods go, and what they use."""
    spec = {name: value for name, value in template["spec"].items() if name not in _PLACEMENT}
    for kind in ("containers", "initContainers"):
        if kind in spec:
            spec[kind] = [{key: part for key, part in one.items() if key != "resources"} for one in spec[kind]]
    metadata = {name: value for name, value in (template.get("metadata") or {}).items() if name not in _MARKS}
    return {"metadata": metadata, "spec": spec}


def job_spec_causes(spec: dict[str, Any], path: str) -> list[Cause]:
    """Return what is wrong with a Job's spec, or with the one in a CronJob's template."""
    causes: list[Cause] = []
    for name in _NUMBERS:
        causes += field.non_negative(f"{path}.{name}", spec.get(name))
    mode = spec.get("completionMode", "NonIndexed")
    causes += field.one_of(f"{path}.completionMode", mode, ("NonIndexed", "Indexed"))
    if mode == "Indexed" and spec.get("completions") is None:
        causes.append(field.required(f"{path}.completions", "when completion mode is Indexed"))
    if mode == "Indexed" and (spec.get("parallelism") or 0) > MAX_INDEXED_PARALLELISM:
        detail = f"must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
        causes.append(field.invalid(f"{path}.parallelism", spec["parallelism"], detail))
    if (manager := spec.get("managedBy")) is not None:
        causes += field.messages(f"{path}.managedBy", manager, names.domain_prefixed_path(manager))
        if len(manager) > MAX_MANAGER_CHARS:
            causes.append(field.too_long(f"{path}.managedBy", MAX_MANAGER_CHARS))
    causes += template_causes(spec.get("template"), f"{path}.template")
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy", "Always")
    where = f"{path}.template.spec.restartPolicy"
    if policy == "Always":
        causes.append(field.required(where, 'valid values: "OnFailure", "Never"'))
    return causes + policy_causes(spec, path)


class CronJobStrategy(WithStatus):
    def validate_name(self, name: str, prefix: bool = False) -> list[str]:
        wrong = super().validate_name(name, prefix)
        if len(name) > MAX_CRON_JOB_NAME:
            wrong.append(f"must be no more than {MAX_CRON_JOB_NAME} characters")
        return wrong

    def default(self, obj: dict[str, Any]) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("concurrencyPolicy", "Allow")
        spec.setdefault("suspend", False)
        spec.setdefault("successfulJobsHistoryLimit", 3)
        spec.setdefault("failedJobsHistoryLimit", 1)
        job = spec.setdefault("jobTemplate", {}).setdefault("spec", {})
        job.setdefault("template", {}).setdefault("spec", {})
        default_template(job["template"])

    def validate(self, obj: dict[str, Any]) -> list[Cause]:
        spec = obj["spec"]
        schedule, path = spec.get("schedule", ""), "spec.schedule"
        causes = []
        if not schedule:
            causes.append(field.required(path))
        elif wrong := cron_error(schedule):
            causes.append(field.invalid(path, schedule, wrong))
        if (zone := spec.get("timeZone")) is not None and (wrong := time_zone_error(zone)):
            causes.append(field.invalid("spec.timeZone", zone, wrong))
        causes += field.one_of("spec.concurrencyPolicy", spec["concurrencyPolicy"], ("Allow", "Forbid", "Replace"))
        for name in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
            causes += field.non_negative(f"spec.{name}", spec.get(name))
        return causes + job_spec_causes(spec["jobTemplate"]["spec"], "spec.jobTemplate.spec")

    def warnings(self, obj: dict[str, Any]) -> list[str]:
        return name_warnings(obj["metadata"].get("name", ""), _HOSTNAMES) + self.update_warnings(obj, obj)

    def update_warnings(self, obj: dict[str, Any], old: dict[str, Any]) -> list[str]:
        return _spec_warnings(obj["spec"]["jobTemplate"]["spec"], "spec.jobTemplate.spec")


def time_zone_error(zone: str) -> str:
    """Return what is wrong with a time zone's name; "" when there is one."""
    if not zone:
        return "timeZone must be nil or non-empty string"
    if zone.lower() == "local":
        return "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
    try:
        ZoneInfo(zone)
    except (KeyError, OSError, ValueError):
        return f"unknown time zone {zone}"
    return ""
