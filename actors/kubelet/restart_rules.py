"""Whether a container that ended is started again: its own rules, its own policy, else its pod's. Pure.

A rule may want all containers of the pod to start again, init containers too, in the sandbox that is there: what was
made before the end that the rule is about then counts no more (`all_restart_ns`).

Source: "Container restarts" of Kubernetes' documentation of the pod lifecycle, KEP-5307 and KEP-5532.
"""

from typing import Any

from actors.kubelet import pod as pods
from actors.kubelet.observed import PodRuntime, has_exited

RESTART, RESTART_ALL = "Restart", "RestartAllContainers"


def policy_of(pod: pods.Pod, container: pods.ContainerDict) -> str:
    """Return the policy of a container; ephemeral ones have none and never come here."""
    return str(container.get("restartPolicy") or pods.restart_policy(pod))


def may_restart(pod: pods.Pod, container: pods.ContainerDict) -> bool:
    """Whether a container that is killed, as for its probes, gets another instance."""
    return policy_of(pod, container) != "Never"


def restarts(pod: pods.Pod, container: pods.ContainerDict, exit_code: int) -> bool:
    """Whether another instance follows one that ended so. The first rule that matches decides."""
    if action_of(container, exit_code) in (RESTART, RESTART_ALL):
        return True
    policy = policy_of(pod, container)
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def action_of(container: pods.ContainerDict, exit_code: int) -> str:
    """Return the action of the first rule that matches; empty when none does."""
    for rule in container.get("restartPolicyRules") or ():
        if _matches(rule.get("exitCodes") or {}, exit_code):
            return str(rule.get("action") or "")
    return ""


def all_restart_ns(pod: pods.Pod, runtime: PodRuntime) -> int:
    """Return when a container ended last whose rules want all to start again; 0 if none did in this sandbox."""
    sandbox = runtime.sandbox
    ruled = [item for item in (*pods.init_containers(pod), *pods.containers(pod)) if item.get("restartPolicyRules")]
    ends = (
        status.finished_ns
        for container in ruled
        for status in runtime.instances(container["name"])
        if has_exited(status)
        and sandbox is not None
        and status.container.sandbox_id == sandbox.sandbox.id
        and action_of(container, status.exit_code) == RESTART_ALL
    )
    return max(ends, default=0)


def may_restart_all(pod: pods.Pod) -> bool:
    """Whether a rule of the pod could have all its containers start again."""
    every = (*pods.init_containers(pod), *pods.containers(pod))
    return any(rule.get("action") == RESTART_ALL for item in every for rule in item.get("restartPolicyRules") or ())


def is_restarting_all(pod: pods.Pod, runtime: PodRuntime) -> bool:
    """Whether containers are being ended for such a rule, or have been, and none was made since."""
    since_ns = all_restart_ns(pod, runtime)
    ephemeral = {item["name"] for item in pods.ephemeral_containers(pod)}
    made = (item.container for item in runtime.containers if item.container.name not in ephemeral)
    return since_ns > 0 and all(item.created_ns <= since_ns for item in made)


def _matches(codes: dict[str, Any], exit_code: int) -> bool:
    listed = exit_code in (codes.get("values") or ())
    return listed if codes.get("operator") == "In" else not listed
