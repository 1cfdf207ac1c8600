"""Deployments, replica sets, daemon sets, stateful sets, jobs."""

from dataclasses import replace

from actors.apiserver.machinery.columns.cells import (
    AGE,
    NAME,
    NONE,
    SELECTOR,
    UNSET,
    WIDE,
    computed,
    labels_text,
    number,
    read,
    template_columns,
    text,
)
from actors.apiserver.machinery.durations import human_duration, seconds_between, since
from actors.apiserver.machinery.resource import Column

CONTAINERS, IMAGES = template_columns()


def _ready_of_desired(obj: dict) -> str:
    return f"{read(obj, 'status.readyReplicas', 0)}/{read(obj, 'spec.replicas', 0)}"


DEPLOYMENT: tuple[Column, ...] = (
    NAME,
    computed("Ready", _ready_of_desired),
    number("Up-to-date", "status.updatedReplicas"),
    number("Available", "status.availableReplicas"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)

REPLICA_SET: tuple[Column, ...] = (
    NAME,
    number("Desired", "spec.replicas"),
    number("Current", "status.replicas"),
    number("Ready", "status.readyReplicas"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)

DAEMON_SET: tuple[Column, ...] = (
    NAME,
    number("Desired", "status.desiredNumberScheduled"),
    number("Current", "status.currentNumberScheduled"),
    number("Ready", "status.numberReady"),
    number("Up-to-date", "status.updatedNumberScheduled"),
    number("Available", "status.numberAvailable"),
    computed("Node Selector", lambda obj: labels_text(read(obj, "spec.template.spec.nodeSelector"))),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)

STATEFUL_SET: tuple[Column, ...] = (NAME, computed("Ready", _ready_of_desired), AGE, CONTAINERS, IMAGES)


def _job_status(job: dict) -> str:
    true = {c.get("type") for c in read(job, "status.conditions", []) if c.get("status") == "True"}
    for kind, shown in (("Complete", "Complete"), ("Failed", "Failed")):
        if kind in true:
            return shown
    if job["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget"):
        if kind in true:
            return kind
    return "SuccessCriteriaMet" if "SuccessCriteriaMet" in true else "Running"


def _completions(job: dict) -> str:
    done, wanted = read(job, "status.succeeded", 0), read(job, "spec.completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallelism = read(job, "spec.parallelism", 0)
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _duration(job: dict, now: float) -> str:
    start, end = read(job, "status.startTime"), read(job, "status.completionTime")
    if not start:
        return ""
    return human_duration(seconds_between(start, end)) if end else since(start, now)


JOB: tuple[Column, ...] = (
    NAME,
    computed("Status", _job_status),
    computed("Completions", _completions),
    Column("Duration", _duration),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)


def _last_schedule(cron_job: dict, now: float) -> str:
    last = read(cron_job, "status.lastScheduleTime")
    return since(last, now) if last else NONE


_JOB_CONTAINERS, _JOB_IMAGES = template_columns("spec.jobTemplate.spec.template.spec")

CRON_JOB: tuple[Column, ...] = (
    NAME,
    text("Schedule", "spec.schedule"),
    text("Timezone", "spec.timeZone"),
    computed("Suspend", lambda obj: {True: "True", False: "False"}.get(read(obj, "spec.suspend"), UNSET)),
    computed("Active", lambda obj: len(read(obj, "status.active", [])), type="integer"),
    Column("Last Schedule", _last_schedule),
    AGE,
    _JOB_CONTAINERS,
    _JOB_IMAGES,
    computed("Selector", lambda obj: labels_text(read(obj, "spec.jobTemplate.spec.selector.matchLabels")), WIDE),
)

CONTROLLER_REVISION: tuple[Column, ...] = (
    NAME,
    computed(
        "Controller",
        lambda obj: next(
            (f"{o['kind'].lower()}.{o['apiVersion'].partition('/')[0]}/{o['name']}"
             for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")),
            NONE,
        ),
    ),
    number("Revision", "revision"),
    AGE,
)  # fmt: skip

POD_TEMPLATE: tuple[Column, ...] = (
    NAME,
    *(replace(column, priority=0) for column in template_columns("template.spec")),
    computed("Pod Labels", lambda obj: labels_text(read(obj, "template.metadata.labels"))),
)
