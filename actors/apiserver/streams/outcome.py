"""How a command ended, in Kubernetes' words: the Status that a client's error stream gets. Pure.

Source: k8s.io/kubelet's remotecommand. Neighbours: `command` sends it.
"""

from typing import Any

from actors.api import errors
from actors.kubelet.messages import BAD_REQUEST, FAILED, NOT_FOUND, NOT_RUNNING, UNREACHABLE, UNSUPPORTED
from bus import BusError, Overloaded, RemoteError

NON_ZERO_EXIT_CODE = "NonZeroExitCode"  # the reason of a command that ended with an exit code other than 0
EXIT_CODE = "ExitCode"  # the cause that holds it

_BAD = frozenset({BAD_REQUEST, NOT_RUNNING, UNSUPPORTED})


def of_exit(exit_code: int) -> dict[str, Any]:
    """Return the Status of a command that ran."""
    if exit_code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {exit_code}",
        "reason": NON_ZERO_EXIT_CODE,
        "details": {"causes": [{"reason": EXIT_CODE, "message": str(exit_code)}]},
    }


def of_failure(error: errors.ApiError) -> dict[str, Any]:
    """Return the Status of a command that could not be run, or whose end nobody saw."""
    return error.status()


def refusal(error: BusError, node: str, pod: str) -> errors.ApiError:
    """Return what a caller learns when a kubelet refuses, or cannot be reached."""
    if isinstance(error, RemoteError):
        if error.kind == NOT_FOUND:
            return errors.ApiError(404, "NotFound", error.message, {"name": pod, "kind": "pods"})
        if error.kind in _BAD:
            return errors.bad_request(error.message)
        if error.kind == UNREACHABLE:
            return errors.unavailable(error.message)
        if error.kind == FAILED:
            return errors.internal(f"error executing command in container: {error.message}")
        return errors.internal(error.message)
    if isinstance(error, Overloaded):
        return errors.too_many_requests(f"the kubelet of node {node} is overloaded", 1)
    return errors.unavailable(f"the kubelet of node {node} does not answer: {error}")
