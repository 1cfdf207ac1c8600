"""sig-node: probes of every kind; a container is restarted exactly when its liveness probe fails."""

import sys
from collections.abc import Iterator

import pytest

from tests.cluster import REAL_CONFIG
from tests.conformance.access import Api
from tests.conformance.pods import Space, condition_of, container, pod, restarts, space_of, status_of, with_volumes
from tests.conftest import brought_up, need_real

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

PROBED = 4  # times that a probe is seen before its verdict is looked at
OFTEN = {"periodSeconds": 1, "timeoutSeconds": 5}
WEB = """
    echo ok > /tmp/healthz; httpd -p 8080 -h /tmp
    seen=0
    while sleep 0.2; do  # how many connections the kernel has accepted
        now=$(grep ^Tcp: /proc/net/snmp | tail -n 1 | cut -d' ' -f7)
        while [ $seen -lt $now ]; do echo probed; seen=$((seen + 1)); done
    done"""
WEB_THAT_FAILS = "echo ok > /tmp/healthz; (sleep 1; rm /tmp/healthz) & exec httpd -f -p 8080 -h /tmp"
ECHO = "echo probed > /proc/1/fd/1; "  # into the log of the container that is asked

# Speaks the health protocol of gRPC: whichever method is called, the answer is SERVING.
GRPC_SERVER = """
import concurrent.futures, grpc
class Health(grpc.GenericRpcHandler):
    def service(self, call):
        print("probed", call.method, flush=True)
        return grpc.unary_unary_rpc_method_handler(lambda request, context: bytes([8, 1]))
server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), handlers=[Health()])
server.add_insecure_port("0.0.0.0:5000")
server.start()
server.wait_for_termination()
"""


def probed(command: str | list[str], kind: str = "livenessProbe", **probe) -> dict:
    made = container(command, **{kind: OFTEN | probe})
    return pod(made, restartPolicy="Always", terminationGracePeriodSeconds=0)


def speaking_grpc(port: int) -> dict:
    """A pod that runs this interpreter, whose files it finds under the host's root."""
    probe = {"livenessProbe": OFTEN | {"grpc": {"port": port}, "initialDelaySeconds": 3, "failureThreshold": 1}}
    made, volumes = with_volumes(
        container(["chroot", "/host", sys.executable, "-c", GRPC_SERVER], **probe),
        {"/host": {"hostPath": {"path": "/"}}},
    )
    return pod(made, volumes=volumes, restartPolicy="Always")


NEVER_RESTARTED = {
    "Pod liveness probe, using http endpoint, failure": probed(WEB, httpGet={"path": "/healthz", "port": 8080}),
    "Pod liveness probe, using grpc call, success": speaking_grpc(5000),
    "Pod liveness probe, using local file, no restart": probed(
        "echo ok > /tmp/health; sleep 1000000", exec={"command": ["sh", "-c", ECHO + "cat /tmp/health"]}
    ),
    "Pod liveness probe, using tcp socket, no restart": probed(WEB, tcpSocket={"port": 8080}),
    "Pod readiness probe, failure": probed(
        "sleep 1000000", "readinessProbe", exec={"command": ["sh", "-c", ECHO + "false"]}
    ),
}
RESTARTED = "Pod liveness probe, using grpc call, failure"


@pytest.fixture(scope="module")
def started(space: Space) -> dict[str, str]:
    pods = NEVER_RESTARTED | {RESTARTED: speaking_grpc(2333)}
    return {name: space.start(made) for name, made in pods.items()}


@pytest.mark.parametrize("behaviour", NEVER_RESTARTED)
def test_a_container_that_is_not_restarted(behaviour: str, space: Space, started: dict[str, str]):
    name = started[behaviour]
    space.read_until(name, lambda text: text.count("probed") >= PROBED, f"it was probed {PROBED} times")
    found = space.get("pods", name)
    assert restarts(found) == 0
    is_ready = behaviour != "Pod readiness probe, failure"
    assert (status_of(found)["ready"], condition_of(found, "Ready")) == (is_ready, str(is_ready))


@pytest.mark.parametrize("behaviour", [RESTARTED])
def test_a_container_whose_liveness_probe_fails_is_restarted(behaviour: str, space: Space, started: dict[str, str]):
    space.when(started[behaviour], lambda found: restarts(found) >= 1, "it was restarted")


# -- many restarts: with Kubernetes' backoff these would take minutes, so a node with a short one ----------------------


@pytest.fixture(scope="module")
def hasty(space: Space) -> Iterator[Space]:
    """A namespace on a node that restarts crashing containers after a second."""
    need_real()
    config = REAL_CONFIG.replace("lease_renew_s: 2", "lease_renew_s: 2, max_container_restart_period_s: 1")
    for cluster in brought_up(real=True, config=config):
        with space_of(Api(cluster), "hasty") as made:
            yield made


def test_restart_counts_only_grow(hasty: Space):
    """Pod liveness probe, using http endpoint, multiple restarts (slow)"""
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "failureThreshold": 1, "initialDelaySeconds": 1}
    name = hasty.start(probed(WEB_THAT_FAILS, **probe))
    seen = [0]

    def grows(found: dict) -> bool:
        seen.append(restarts(found))
        return seen[-1] >= 5

    hasty.when(name, grows, "it was restarted five times", 60)
    assert seen == sorted(seen)
