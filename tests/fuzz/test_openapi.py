"""schemathesis on the project's own OpenAPI v3, over HTTPS, against real processes.

For each group version: what its document says may be sent is sent, and some of what it says may not. No answer is a
500, each refusal is a Status, each answer of an object is as the document says; at the end the same processes live, and
have not grown.
"""

import json
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import requests
import schemathesis
from hypothesis import Phase, given
from hypothesis import strategies as st
from kubernetes import config
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from actors.apiserver.machinery.registry import REGISTRY
from tests.cluster import SIMULATED_CONFIG, Cluster
from tests.conftest import brought_up
from tests.fuzz.target import ANSWER_S, REASONS, check, examples

pytestmark = pytest.mark.timeout(1800)

GROUP_VERSIONS = sorted({f"apis/{r.group}/{r.version}" if r.group else f"api/{r.version}" for r in REGISTRY})
CONTROL_PLANE = SIMULATED_CONFIG[: SIMULATED_CONFIG.index("  w1:")].replace(", scheduler, controller-manager", "")
# Groups whose objects change what everybody may do: their writes are tried, not done.
TRIED_ONLY = ("admissionregistration.k8s.io", "flowcontrol.apiserver.k8s.io", "apiregistration.k8s.io")
EXAMPLES_A_GROUP_VERSION = 8
GROWTH_BYTES = 300 * 1024 * 1024  # of a process, over all: caches fill, and the fuzzer creates objects
SKIPPED = ("watch", "follow")  # would go on for as long as they are asked to


class Front:
    """The cluster's HTTPS door, and the administrator's way through it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        client = config.new_client_from_config(str(cluster.data_dir / "kubeconfig")).configuration
        self.address = client.host
        self.session = requests.Session()
        self.session.trust_env = False  # or the environment's certificates would be preferred to the cluster's
        self.session.verify, self.session.cert = client.ssl_ca_cert, (client.cert_file, client.key_file)

    def schema(self, group_version: str) -> Any:
        answer = self.session.get(f"{self.address}/openapi/v3/{group_version}", timeout=ANSWER_S)
        return schemathesis.openapi.from_dict(answer.json())

    def ask(self, case: Any) -> Any:
        session = self.session
        return case.call(
            base_url=self.address, session=session, timeout=ANSWER_S, verify=session.verify, cert=session.cert
        )

    def processes(self) -> dict[str, int]:
        """pid and size of each actor."""
        pids = {actor["name"]: actor["pid"] for actor in self.cluster.status()["actors"]}
        return {f"{name} {pid}": psutil.Process(pid).memory_info().rss for name, pid in pids.items()}


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    for cluster in brought_up(real=False, config=CONTROL_PLANE):
        front = Front(cluster)
        before = front.processes()
        yield front
        after = front.processes()
        assert before.keys() == after.keys(), "a process was restarted"
        grown = {name: after[name] - before[name] for name in before if after[name] - before[name] > GROWTH_BYTES}
        assert grown == {}


@st.composite
def cases(draw: st.DrawFn, operations: list[Any]) -> Any:
    case = draw(draw(st.sampled_from(operations)).as_strategy())
    if draw(st.booleans()) and isinstance(case.path_parameters, dict):  # something that may well be there
        case.path_parameters = {**case.path_parameters, "namespace": "default", "name": "kubernetes"}
        if isinstance(case.body, dict) and isinstance(case.body.get("metadata"), dict):
            case.body["metadata"] = {"name": draw(st.sampled_from(["kubernetes", "a", "b"]))}
    return case


@pytest.mark.parametrize("group_version", GROUP_VERSIONS)
def test_a_group_version(front: Front, group_version: str):
    operations = [found.ok() for found in front.schema(group_version).get_all_operations()]
    operations = [
        found for found in operations if found.path.rpartition("/")[2] not in ("exec", "attach", "portforward")
    ]

    @examples(EXAMPLES_A_GROUP_VERSION, Phase.generate)  # a smaller example is not worth the requests
    @given(cases(operations))
    def any_case(case: Any) -> None:
        query = {name: value for name, value in (case.query or {}).items() if name not in SKIPPED}
        if any(group in group_version for group in TRIED_ONLY) and case.method != "GET":
            query["dryRun"] = "All"
        case.query = query
        response = front.ask(case)
        asked = f"{case.method} {response.request.url} {response.request.body!r:.2000}"
        if response.status_code >= 400 and response.status_code in REASONS:
            check(response.status_code, response.content, asked)
        checks = [not_a_server_error]
        if case.method != "DELETE":  # answers with a Status or with what was deleted, as the kind has it
            checks.append(response_schema_conformance)
        case.validate_response(response, checks=checks)

    any_case()


def test_the_cluster_still_works(front: Front):
    """After all that, what a user does first."""
    made = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "after"}, "data": {"a": "1"}})
    front.cluster.kubectl("apply", "-f", "-", stdin=made)
    assert front.cluster.get("configmap", "after")["data"] == {"a": "1"}
    assert front.cluster.kubectl("get", "--raw", "/readyz") == "ok"
