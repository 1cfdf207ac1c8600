"""Whether a container that ended is started again: its own rules, its own policy, else its pod's. Pure.

Source: "Container restarts" of Kubernetes' documentation of the pod lifecycle, and KEP-5307.
"""

from typing import Any

from actors.kubelet import pod as pods


def policy_of(pod: pods.Pod, container: pods.ContainerDict) -> str:
    """Return the policy of a container; ephemeral ones have none and never come here."""
    return str(container.get("restartPolicy") or pods.restart_policy(pod))


def may_restart(pod: pods.Pod, container: pods.ContainerDict) -> bool:
    """Whether a container that is killed, as for its probes, gets another instance."""
    return policy_of(pod, container) != "Never"


def restarts(pod: pods.Pod, container: pods.ContainerDict, exit_code: int) -> bool:
    """Whether another instance follows one that ended so. The first rule that matches decides."""
    for rule in container.get("restartPolicyRules") or ():
        if rule.get("action") == "Restart" and _matches(rule.get("exitCodes") or {}, exit_code):
            return True
    policy = policy_of(pod, container)
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def _matches(codes: dict[str, Any], exit_code: int) -> bool:
    listed = exit_code in (codes.get("values") or ())
    return listed if codes.get("operator") == "In" else not listed
