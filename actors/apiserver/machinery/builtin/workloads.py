"""What runs pods, and what bounds it: apps, batch, autoscaling, policy, scheduling."""

from actors.apiserver.machinery.columns import cluster as cluster_columns
from actors.apiserver.machinery.columns import platform, workloads
from actors.apiserver.machinery.kinds import autoscaling, batch, policy
from actors.apiserver.machinery.kinds.workloads import (
    ControllerRevisionStrategy,
    DaemonSetStrategy,
    DeploymentStrategy,
    ReplicaSetStrategy,
    StatefulSetStrategy,
)
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.rows import ALL, SCALE, row
from actors.apiserver.machinery.selectable import JOB_FIELDS, REPLICAS_FIELDS

APPS: tuple[Resource, ...] = (
    row("apps/v1", "Deployment", "deployments", short_names=("deploy",), categories=ALL, status=True,
        subresources=(SCALE,), strategy=DeploymentStrategy(), columns=workloads.DEPLOYMENT),
    row("apps/v1", "ReplicaSet", "replicasets", short_names=("rs",), categories=ALL, status=True,
        subresources=(SCALE,), selectable=REPLICAS_FIELDS, strategy=ReplicaSetStrategy(),
        columns=workloads.REPLICA_SET),
    row("apps/v1", "StatefulSet", "statefulsets", short_names=("sts",), categories=ALL, status=True,
        subresources=(SCALE,), strategy=StatefulSetStrategy(), columns=workloads.STATEFUL_SET),
    row("apps/v1", "DaemonSet", "daemonsets", short_names=("ds",), categories=ALL, status=True,
        strategy=DaemonSetStrategy(), columns=workloads.DAEMON_SET),
    row("apps/v1", "ControllerRevision", "controllerrevisions", strategy=ControllerRevisionStrategy(),
        columns=workloads.CONTROLLER_REVISION),
)  # fmt: skip

AUTOSCALING: tuple[Resource, ...] = (
    row("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", short_names=("hpa",), categories=ALL,
        status=True, strategy=policy.HorizontalPodAutoscalerStrategy(), columns=platform.HORIZONTAL_POD_AUTOSCALER),
    row("autoscaling/v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", short_names=("hpa",), categories=ALL,
        status=True, strategy=autoscaling.FirstAutoscalerStrategy(), conversion=autoscaling.AS_V2,
        columns=platform.HORIZONTAL_POD_AUTOSCALER_V1),
)  # fmt: skip

BATCH: tuple[Resource, ...] = (
    row("batch/v1", "CronJob", "cronjobs", short_names=("cj",), categories=ALL, status=True,
        strategy=batch.CronJobStrategy(), columns=workloads.CRON_JOB),
    row("batch/v1", "Job", "jobs", categories=ALL, status=True, strategy=batch.JobStrategy(), columns=workloads.JOB,
        selectable=JOB_FIELDS),
)  # fmt: skip

POLICY: tuple[Resource, ...] = (
    row("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", short_names=("pdb",), status=True,
        strategy=policy.PodDisruptionBudgetStrategy(), columns=platform.POD_DISRUPTION_BUDGET),
)  # fmt: skip

SCHEDULING: tuple[Resource, ...] = (
    row("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False, short_names=("pc",),
        strategy=policy.PriorityClassStrategy(), columns=cluster_columns.PRIORITY_CLASS),
)  # fmt: skip
