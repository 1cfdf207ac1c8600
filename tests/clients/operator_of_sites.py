"""A kopf operator, as its users write them: a Site gets a Deployment and a Service, and says how it goes.

Run by test_kopf.py as `kopf run`. Each event of interest is a line on stdout.
"""

import kopf
from kubernetes import client, config

GROUP, VERSION, PLURAL = "clients.example.com", "v1", "sites"


@kopf.on.startup()
def connect(settings: kopf.OperatorSettings, **_) -> None:
    config.load_kube_config()
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    settings.posting.level = 30
    settings.networking.error_backoffs = [0.2] * 50
    settings.networking.request_timeout = 10


def say(*words: object) -> None:
    print("SAID", *words, flush=True)


@kopf.on.create(GROUP, VERSION, PLURAL)
def create(name: str, namespace: str, spec, **_) -> dict:
    for body, make in (
        (deployment(name, spec["replicas"]), client.AppsV1Api().create_namespaced_deployment),
        (service(name), client.CoreV1Api().create_namespaced_service),
    ):
        kopf.adopt(body)
        try:
            make(namespace, body)
        except client.ApiException as error:
            if error.status != 409:
                raise
    say("created", name)
    return {"replicas": spec["replicas"]}


@kopf.on.update(GROUP, VERSION, PLURAL, field="spec.replicas")
def scale(name: str, namespace: str, old: int, new: int, **_) -> dict:
    client.AppsV1Api().patch_namespaced_deployment_scale(name, namespace, {"spec": {"replicas": new}})
    say("scaled", name, old, new)
    return {"replicas": new}


@kopf.on.resume(GROUP, VERSION, PLURAL)
def resume(name: str, **_) -> None:
    say("resumed", name)


@kopf.on.delete(GROUP, VERSION, PLURAL)
def delete(name: str, retry: int, **_) -> None:
    if retry == 0:
        raise kopf.TemporaryError("not yet", delay=0.2)
    say("deleted", name)


@kopf.on.event("apps", "v1", "deployments", labels={"site": kopf.PRESENT})
def observe(namespace: str, labels, status, **_) -> None:
    ready = status.get("readyReplicas", 0)
    try:
        client.CustomObjectsApi().patch_namespaced_custom_object_status(
            GROUP, VERSION, namespace, PLURAL, labels["site"], {"status": {"ready": ready}}
        )
    except client.ApiException as error:
        if error.status != 404:
            raise


@kopf.daemon(GROUP, VERSION, PLURAL, cancellation_timeout=2)
async def keep(name: str, stopped: kopf.DaemonStopped, **_) -> None:
    say("kept", name)
    await stopped.wait()


def deployment(name: str, replicas: int) -> dict:
    labels = {"site": name}
    container = {"name": "c", "image": "any:1", "ports": [{"containerPort": 80}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service(name: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"site": name}},
        "spec": {"selector": {"site": name}, "ports": [{"port": 80}]},
    }
