"""The kubelet: runs the pods that are bound to its node, and says in the API how they and the node are.

Does:      a worker for each pod (`worker`): look at the API, the runtime and the probes, decide (`compute`), act
           (`starter`, `terminator`), tell (`status`, `status.writer`).
Sends:     API requests (pods/status, nodes/status, leases, events, tokens, deletions of pods that have ended), and
           calls to the container runtime.
Receives:  watches of its pods, its Node, services, and the ConfigMaps and Secrets that its pods name; the runtime's
           events; `kubelet.logs` and `kubelet.exec`.
Crashes:   at any line, without harm: containers go on without it, and the next kubelet adopts what it finds in the
           runtime and on the disk. The API being away stops no container; statuses are written when it is back.
"""

import asyncio
import functools
from typing import Any

from prometheus_client import ProcessCollector

from actors.api.client import ApiClient
from actors.api.config import ClusterConfig, NodeConfig, node_of_settings, of_settings
from actors.api.events import Outbox
from actors.api.network import instance_id
from actors.kubelet import node_views
from actors.kubelet.machine import machine_of, own_address, simulated_machine
from actors.kubelet.metrics import ApiMetrics, MetricsServing
from actors.kubelet.node import Machine
from actors.kubelet.node_kubelet import BY_NODE, NodeKubelet, Shared, node_of
from actors.kubelet.runtime import RuntimeDriver
from actors.kubelet.serving import Found, Serving
from actors.kubelet.simulated.driver import SimulatedDriver
from actors.kubelet.stats.serving import StatsServing
from actors.kubelet.streaming.node_paths import NodePaths
from actors.kubelet.streaming.serving import StreamServing
from runtime.actor import Actor
from runtime.informer import Informer

# Writes on their way at a time. One node never has so many; a thousand of one process would bury the API server, whose
# answers then come after the deadline, and all of it would be asked again.
STATUS_WRITES, HEARTBEATS = 32, 128


class KubeletActor(Actor):
    async def start(self) -> None:
        self._cluster: ClusterConfig = of_settings(self.setup.settings)
        self._config: NodeConfig = node_of_settings(self.setup.settings)
        self._simulated = self._config.runtime == "simulated"
        directory = self.setup.directory
        api = ApiClient.of_node(self.client, directory, self.setup.node)
        names = self._node_names()
        only = names[0] if len(names) == 1 else ""
        self._pods = self._informer(api, "pods", f"spec.nodeName={only}" if only else "spec.nodeName!=")
        self._pods.add_index(BY_NODE, node_of)
        self._nodes = self._informer(api, "nodes", f"metadata.name={only}" if only else "")
        services = None if self._simulated else self._informer(api, "services", "")
        shared = Shared(
            cluster=self._cluster,
            config=self._config,
            data_dir=self.setup.data_dir,
            owner=instance_id(self.setup.data_dir),
            api=api,
            outbox=Outbox(api, self.clock),
            status_writes=asyncio.Semaphore(STATUS_WRITES),
            heartbeats=asyncio.Semaphore(HEARTBEATS),
            nodes=self._nodes,
            pods=self._pods,
            services=services,
            spawn=self.spawn,
            clock=self.clock,
            log=self.log,
        )
        self._kubelets = {name: NodeKubelet(name, self._driver(name), self._machine(), shared) for name in names}
        self._pods.on_change(self._pod_changed)
        self._nodes.on_change(self._node_changed)
        Serving(self._find, self.clock).register(self.server)
        StreamServing(self._find).register(self.server)
        self._serve_paths(api)
        for informer in (self._pods, self._nodes, services):
            if informer is not None:
                self.spawn(informer.run(), informer.name)
        for kubelet in self._kubelets.values():
            await kubelet.start()
        self.spawn(self._look_at_all(), "first look")

    async def stop(self) -> None:
        for kubelet in getattr(self, "_kubelets", {}).values():
            await kubelet.stop()

    def inspect(self) -> dict[str, Any]:
        kubelets = getattr(self, "_kubelets", {})
        if len(kubelets) == 1:
            return next(iter(kubelets.values())).inspect()
        pods = sum(len(kubelet.pods) for kubelet in kubelets.values())
        return {"nodes": len(kubelets), "pods": pods, "runtime": "simulated"}

    # -- parts ------------------------------------------------------------------------------------------------------

    def _serve_paths(self, api: ApiClient) -> None:
        paths = NodePaths(self._kubelets, self._pods_of)
        paths.register(self.server)
        stats = StatsServing({name: kubelet.sampler for name, kubelet in self._kubelets.items()})
        stats.register(self.server)
        ProcessCollector(registry=self.metrics)
        process = (self.metrics, ApiMetrics(api.answers))
        metrics = MetricsServing(process, {name: kubelet.metrics for name, kubelet in self._kubelets.items()})
        observers = {name: kubelet.observer for name, kubelet in self._kubelets.items()}
        views = node_views.paths(self._cluster, self._config, observers)
        for path, answer in (stats.paths() | metrics.paths() | views).items():
            paths.serve(path, answer)

    def _node_names(self) -> list[str]:
        if self._config.count == 1:
            return [self.setup.node]
        return [f"{self.setup.node}-{number}" for number in range(self._config.count)]

    def _informer(self, api: ApiClient, resource: str, field_selector: str) -> Informer:
        source = api.source(resource, field_selector=field_selector)
        return Informer(source, name=resource, log=self.log, clock=self.clock)

    def _driver(self, name: str) -> RuntimeDriver:
        if self._simulated:
            return SimulatedDriver(self._config.kubelet.start_latency_ms / 1000, self.clock)
        # Imported only where a containerd is: a simulated node needs none of what it needs.
        from actors.kubelet.containerd.driver import ContainerdDriver

        driver = ContainerdDriver(self.setup, name)
        names = [handler.name for handler in driver.handlers.all]
        self.log.info("container runtime", handlers=names, default=driver.handlers.why)
        return driver

    def _machine(self) -> Machine:
        config, overrides = self._config.kubelet, self._config.capacity
        if self._simulated:
            return simulated_machine(config.max_pods, overrides, own_address())
        return machine_of(self.setup.data_dir, config, overrides)

    # -- what happens -----------------------------------------------------------------------------------------------

    def _pod_changed(self, key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        found = new or old
        kubelet = self._kubelets.get((found or {}).get("spec", {}).get("nodeName", ""))
        if kubelet is not None:
            kubelet.pod_changed(key, old, new)

    def _node_changed(self, key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        kubelet = self._kubelets.get(key)
        if kubelet is not None:
            kubelet.node_changed()

    def _pods_of(self, node: str) -> list[dict[str, Any]]:
        return self._pods.by_index(BY_NODE, node)

    async def _look_at_all(self) -> None:
        """Orphans show only once the API's pods were listed."""
        await self._pods.synced()
        for kubelet in self._kubelets.values():
            kubelet.pods.look_at_all()

    def _find(self, key: str) -> Found | None:
        for kubelet in self._kubelets.values():
            worker = kubelet.pods.find(key)
            if worker is not None:
                return worker.pod, functools.partial(kubelet.observer.pod, worker.uid), kubelet.driver
        return None
