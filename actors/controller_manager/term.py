"""One term of leadership: all controllers over one set of caches, from winning the Lease to losing it.

A new term starts from nothing but the API, so that it cannot act upon what was true under another leader.
"""

import asyncio
from typing import Any

from actors.controller_manager.certificates.approving import ApprovingController
from actors.controller_manager.certificates.cleaning import CleaningController
from actors.controller_manager.certificates.signing import SigningController
from actors.controller_manager.clusterrole_aggregation import ClusterRoleAggregationController
from actors.controller_manager.controller import Controller, Surroundings
from actors.controller_manager.deployment.controller import DeploymentController
from actors.controller_manager.endpoints.controller import (
    EndpointsController,
    EndpointSliceController,
    EndpointSliceMirroringController,
)
from actors.controller_manager.garbage_collector.controller import GarbageCollector
from actors.controller_manager.namespace.controller import NamespaceController
from actors.controller_manager.node_ipam import NodeIpamController
from actors.controller_manager.node_lifecycle.controller import NodeLifecycleController
from actors.controller_manager.persistent_volume.controller import (
    ClaimProtection,
    EphemeralVolumeController,
    PersistentVolumeBinder,
    VolumeProtection,
)
from actors.controller_manager.pod_gc import PodGcController
from actors.controller_manager.replicaset.controller import ReplicaSetController, ReplicationControllerController
from actors.controller_manager.resource_quota.controller import ResourceQuotaController
from actors.controller_manager.serviceaccount import RootCaPublisher, ServiceAccountController
from actors.controller_manager.taint_eviction import TaintEvictionController
from actors.controller_manager.tokens.bootstrap import TokenCleaner
from actors.controller_manager.tokens.service_account import ServiceAccountTokenController

# What a new cluster waits for comes first: accounts and subnets, then workloads. The garbage collector shares the
# caches of all others, so that it comes last.
CONTROLLERS: tuple[type[Controller], ...] = (
    ServiceAccountController,
    RootCaPublisher,
    NodeIpamController,
    NodeLifecycleController,
    TaintEvictionController,
    DeploymentController,
    ReplicaSetController,
    ReplicationControllerController,
    EndpointSliceController,
    EndpointsController,
    EndpointSliceMirroringController,
    PersistentVolumeBinder,
    ClaimProtection,
    VolumeProtection,
    EphemeralVolumeController,
    NamespaceController,
    ClusterRoleAggregationController,
    ApprovingController,
    SigningController,
    CleaningController,
    ServiceAccountTokenController,
    TokenCleaner,
    PodGcController,
    ResourceQuotaController,
    GarbageCollector,
)


class Term:
    def __init__(self, around: Surroundings):
        self._caches = around.caches
        self._controllers = [controller(around) for controller in CONTROLLERS]

    async def run(self) -> None:
        """Run every controller until cancelled. What ends one ends all."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._caches.run(), name="caches")
            for controller in self._controllers:
                group.create_task(controller.run(), name=controller.name)

    def inspect(self) -> dict[str, Any]:
        return {
            "controllers": {controller.name: controller.inspect() for controller in self._controllers},
            "caches": self._caches.inspect(),
        }
