"""Whole control loops against a world with late caches, lost answers, conflicts and crashes, each run from one seed."""

import copy

import pytest

from actors.controller_manager.deployment.controller import DeploymentController
from actors.controller_manager.deployment.strategy import max_surge, min_available, replicas_of
from actors.controller_manager.endpoints.controller import (
    EndpointsController,
    EndpointSliceController,
    EndpointSliceMirroringController,
)
from actors.controller_manager.garbage_collector.controller import GarbageCollector
from actors.controller_manager.pods import condition, is_active, is_ready
from actors.controller_manager.replicaset.controller import ReplicaSetController

from .objects import deployment, reference, replica_set, service, template
from .simulation import Simulation

SEEDS = range(12)
WORKLOADS = [DeploymentController, ReplicaSetController]
FAULTS = {"conflict": 0.05, "lost_request": 0.05, "lost_answer": 0.05, "crash": 0.01}


def plain(obj):
    """An object as a user would apply it."""
    obj = copy.deepcopy(obj)
    kept = {
        name: obj["metadata"][name] for name in ("name", "namespace", "labels", "finalizers") if name in obj["metadata"]
    }
    return {**obj, "metadata": kept, "status": {}}


def active_pods(world, image=None):
    pods = [found for found in world.all("pods") if is_active(found)]
    return [found for found in pods if image in (None, found["spec"]["containers"][0]["image"])]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_replica_set_gets_its_pods_and_no_more(seed):
    simulation = Simulation(seed, [ReplicaSetController], lost_request=0.1, conflict=0.1)
    simulation.world.put("replicasets.apps", plain(replica_set("web", 17)))

    def never_too_many():
        assert len(simulation.world.all("pods")) <= 17

    simulation.check = never_too_many
    simulation.run()
    (found,) = simulation.world.all("replicasets.apps")
    assert len(active_pods(simulation.world)) == 17
    assert found["status"]["availableReplicas"] == 17
    assert ("web", "SuccessfulCreate") in {(name, reason) for name, reason, _ in simulation.recorder.events}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_replica_set_survives_every_fault(seed):
    simulation = Simulation(seed, [ReplicaSetController], **FAULTS)
    simulation.world.put("replicasets.apps", plain(replica_set("web", 9)))
    simulation.run()
    simulation.world.edit("replicasets.apps", "default/web", {"spec": {"replicas": 2}})
    simulation.run()
    assert len(active_pods(simulation.world)) == 2


def roll_out(simulation, found, check_from_the_start=True):
    """Bring a Deployment up, change its image, and let it roll while its bounds are watched."""
    world = simulation.world
    world.put("deployments.apps", plain(found))
    simulation.run()
    lowest, highest = min_available(found), replicas_of(found) + max_surge(found)

    def within_bounds():
        active = active_pods(world)
        assert len(active) <= highest, f"{len(active)} pods, at most {highest}"
        ready = sum(map(is_ready, active))
        assert ready >= lowest, f"{ready} ready, at least {lowest}"

    simulation.check = within_bounds
    world.edit("deployments.apps", "default/web", {"spec": {"template": template("web:2")}})
    simulation.run()
    simulation.check = lambda: None


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("surge", "unavailable"), [(1, 0), (0, 1), ("25%", "25%"), ("100%", 0), (3, 3)])
def test_a_rolling_update_keeps_its_bounds(seed, surge, unavailable):
    simulation = Simulation(seed, WORKLOADS, conflict=0.05, lost_request=0.05, crash=0.01)
    roll_out(simulation, deployment(replicas=7, surge=surge, unavailable=unavailable))
    world = simulation.world
    (found,) = world.all("deployments.apps")
    assert len(active_pods(world, "web:2")) == len(active_pods(world)) == 7
    assert condition(found, "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


@pytest.mark.parametrize("seed", SEEDS)
def test_recreate_never_runs_two_versions(seed):
    simulation = Simulation(seed, WORKLOADS, **FAULTS)
    world = simulation.world
    world.put("deployments.apps", plain(deployment(replicas=4, recreate=True)))
    simulation.run()

    def one_version():
        assert len({found["spec"]["containers"][0]["image"] for found in world.all("pods")}) <= 1

    simulation.check = one_version
    world.edit("deployments.apps", "default/web", {"spec": {"template": template("web:2")}})
    simulation.run()
    assert len(active_pods(world, "web:2")) == 4


@pytest.mark.parametrize("seed", SEEDS)
def test_rolling_back_from_a_version_that_never_gets_ready(seed):
    simulation = Simulation(seed, WORKLOADS, **FAULTS)
    simulation.fates["web:broken"] = "never ready"
    world = simulation.world
    world.put("deployments.apps", plain(deployment(replicas=5, surge=1, unavailable=1)))
    simulation.run()
    simulation.check = lambda: least_ready(world, 4)
    world.edit("deployments.apps", "default/web", {"spec": {"template": template("web:broken")}})
    simulation.run()
    (found,) = world.all("deployments.apps")
    assert condition(found, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    world.edit("deployments.apps", "default/web", {"spec": {"template": template("web:1")}})
    simulation.run()
    (found,) = world.all("deployments.apps")
    assert len(active_pods(world, "web:1")) == len(active_pods(world)) == 5
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert condition(found, "Progressing")["reason"] == "NewReplicaSetAvailable"


def least_ready(world, count):
    ready = sum(map(is_ready, active_pods(world)))
    assert ready >= count, f"{ready} ready, at least {count}"


@pytest.mark.parametrize("seed", SEEDS)
def test_scaling_and_changing_at_random_ends_in_what_was_asked_for_last(seed):
    simulation = Simulation(seed, WORKLOADS, **FAULTS)
    world = simulation.world
    world.put("deployments.apps", plain(deployment(replicas=3, spec={"revisionHistoryLimit": 1})))
    for round_ in range(5):
        change = {"replicas": simulation.rng.randrange(9), "template": template(f"web:{simulation.rng.randrange(4)}")}
        change["paused"] = round_ == 3 and simulation.rng.random() < 0.5
        simulation.run_some(200)
        world.edit("deployments.apps", "default/web", {"spec": change})
    world.edit("deployments.apps", "default/web", {"spec": {"paused": False}})
    simulation.run()
    assert len(active_pods(world, change["template"]["spec"]["containers"][0]["image"])) == change["replicas"]
    assert len(active_pods(world)) == change["replicas"]
    assert len(world.all("replicasets.apps")) <= 2


@pytest.mark.parametrize("seed", range(4))
def test_endpoints_follow_the_pods(seed):
    simulation = Simulation(seed, [*WORKLOADS, EndpointSliceController, EndpointsController], **FAULTS)
    world = simulation.world
    world.put("deployments.apps", plain(deployment(replicas=110)))
    world.put("services", plain(service()))
    simulation.run(60_000)
    world.edit("deployments.apps", "default/web", {"spec": {"replicas": 40}})
    simulation.run(60_000)
    pods = active_pods(world)
    slices = world.all("endpointslices.discovery.k8s.io")
    entries = [entry for found in slices for entry in found["endpoints"]]
    assert {entry["targetRef"]["uid"] for entry in entries} == {
        found["metadata"]["uid"] for found in active_pods(world)
    }
    assert len(entries) == 40
    assert all(entry["conditions"]["ready"] for entry in entries)
    assert all(len(found["endpoints"]) <= 100 for found in slices)
    (legacy,) = world.all("endpoints")
    assert {entry["ip"] for entry in legacy["subsets"][0]["addresses"]} == {found["status"]["podIP"] for found in pods}


@pytest.mark.parametrize("seed", SEEDS)
def test_endpoints_made_by_hand_are_mirrored(seed):
    simulation = Simulation(seed, [EndpointSliceMirroringController, GarbageCollector], **FAULTS)
    world = simulation.world
    without = plain(service())
    del without["spec"]["selector"]
    world.put("services", without)
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    addresses = [{"ip": f"10.0.0.{number}"} for number in range(1, 151)]
    made = {"kind": "Endpoints", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "default"}}
    world.put("endpoints", {**made, "subsets": [{"addresses": addresses, "ports": ports}]})

    def mirrored() -> list[int]:
        return sorted(len(found["endpoints"]) for found in world.all("endpointslices.discovery.k8s.io"))

    simulation.run()
    assert mirrored() == [50, 100]
    world.edit("endpoints", "default/web", {"subsets": [{"addresses": addresses[:20], "ports": ports}]})
    simulation.run()
    assert mirrored() == [20]
    world.remove("endpoints", world.all("endpoints")[0])
    simulation.run()
    assert mirrored() == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_deleting_a_deployment_takes_everything_along(seed, propagation):
    simulation = Simulation(seed, [*WORKLOADS, GarbageCollector], **FAULTS)
    world = simulation.world
    world.put("deployments.apps", plain(deployment(replicas=4)))
    world.put("configmaps", {"metadata": {"name": "unrelated", "namespace": "default"}})
    simulation.run()
    simulation.check = lambda: owners_outlive_dependents(world) if propagation == "Foreground" else None
    world.remove("deployments.apps", world.all("deployments.apps")[0], propagation=propagation)
    simulation.run()
    assert [world.all(resource) for resource in ("deployments.apps", "replicasets.apps", "pods")] == [[], [], []]
    assert len(world.all("configmaps")) == 1


def owners_outlive_dependents(world):
    if not world.all("deployments.apps"):
        assert not world.all("replicasets.apps")
    if not world.all("replicasets.apps"):
        assert not world.all("pods")


@pytest.mark.parametrize("seed", SEEDS)
def test_orphaning_leaves_the_pods_running(seed):
    simulation = Simulation(seed, [ReplicaSetController, GarbageCollector], **FAULTS)
    world = simulation.world
    world.put("replicasets.apps", plain(replica_set("web", 3)))
    simulation.run()
    names = {found["metadata"]["uid"] for found in world.all("pods")}
    world.remove("replicasets.apps", world.all("replicasets.apps")[0], propagation="Orphan")
    simulation.run()
    assert world.all("replicasets.apps") == []
    assert {found["metadata"]["uid"] for found in world.all("pods")} == names
    assert all(not found["metadata"].get("ownerReferences") for found in world.all("pods"))
    world.put("replicasets.apps", plain(replica_set("again", 3)))
    simulation.run()
    assert {found["metadata"]["uid"] for found in world.all("pods")} == names


@pytest.mark.parametrize("seed", SEEDS)
def test_an_owner_that_never_was_takes_its_dependent_along(seed):
    simulation = Simulation(seed, [GarbageCollector], **FAULTS)
    world = simulation.world
    owner = world.put("configmaps", {"metadata": {"name": "owner", "namespace": "default"}})
    kept = {"name": "kept", "namespace": "default", "ownerReferences": [reference(owner)]}
    lost = {"name": "lost", "namespace": "default", "ownerReferences": [reference(owner) | {"uid": "made-up"}]}
    other = {"name": "elsewhere", "namespace": "other", "ownerReferences": [reference(owner)]}
    for found in (kept, lost, other):
        world.put("configmaps", {"metadata": found})
    simulation.run()
    assert sorted(found["metadata"]["name"] for found in world.all("configmaps")) == ["kept", "owner"]
