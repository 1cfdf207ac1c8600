"""What /metrics tells of the server besides its requests: its build, its health, who else answers, what is outdated.

The names are Kubernetes' own, for the dashboards and alerts that people have. Health is at /metrics/slis, as there.

Neighbours: `metrics` has the figures of requests; `nonresource` answers both paths.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.apiserver import health
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.version import version_info

ApiServices = Callable[[], Mapping[str, Mapping[str, Any]]]
_BUILD = {
    "build_date": "buildDate", "compiler": "compiler", "git_commit": "gitCommit", "git_tree_state": "gitTreeState",
    "git_version": "gitVersion", "go_version": "goVersion", "major": "major", "minor": "minor", "platform": "platform",
}  # fmt: skip


class BuildInfo(Collector):
    def collect(self) -> Iterator[Metric]:
        info = version_info()
        build = GaugeMetricFamily("kubernetes_build_info", "What was built; always 1.", labels=list(_BUILD))
        build.add_metric([str(info[name]) for name in _BUILD.values()], 1)
        yield build


@dataclass(slots=True, eq=False)
class DeprecatedRequests(Collector):
    """Which outdated resources are still asked for."""

    asked: set[tuple[str, str, str, str]] = field(default_factory=set)

    def note(self, resource: Resource, subresource: str) -> None:
        self.asked.add((resource.group, resource.version, resource.plural, subresource))

    def collect(self) -> Iterator[Metric]:
        labels = ["group", "version", "resource", "subresource", "removed_release"]
        found = GaugeMetricFamily("apiserver_requested_deprecated_apis", "Outdated APIs in use.", labels=labels)
        for one in sorted(self.asked):
            found.add_metric([*one, ""], 1)
        yield found


@dataclass(frozen=True, slots=True)
class Aggregated(Collector):
    """Which API servers behind this one can't be asked now."""

    api_services: ApiServices

    def collect(self) -> Iterator[Metric]:
        found = GaugeMetricFamily(
            "aggregator_unavailable_apiservice", "1 for an APIService that is not available.", labels=["name"]
        )
        for name, api_service in sorted(self.api_services().items()):
            conditions = (api_service.get("status") or {}).get("conditions") or ()
            available = any(one["type"] == "Available" and one["status"] == "True" for one in conditions)
            found.add_metric([name], 0 if available else 1)
        yield found


def slis(checks: dict[str, str]) -> bytes:
    """Return the answer of /metrics/slis; `checks` are what is wrong by name."""
    registry = CollectorRegistry()
    registry.register(_Health(checks))
    return generate_latest(registry)


@dataclass(frozen=True, slots=True, eq=False)
class _Health(Collector):
    checks: dict[str, str]

    def collect(self) -> Iterator[Metric]:
        found = GaugeMetricFamily("kubernetes_healthcheck", "1 for a check that is well.", labels=["name", "type"])
        for path in sorted(health.PATHS):
            for name, wrong in health.of_path(path, self.checks).items():
                found.add_metric([name, path[1:]], 0 if wrong else 1)
        yield found
