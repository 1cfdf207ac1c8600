"""The official Python client at work; run by test_python_client.py inside the cluster's network.

Commands: `tour` creates, lists, watches, patches and deletes; `watch COUNT` prints the names of configmaps whose
creation a watch reports, resuming after every loss, until COUNT were seen.
"""

import json
import sys

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException


def tour() -> None:
    api, apps = client.CoreV1Api(), client.AppsV1Api()
    api.create_namespace({"metadata": {"name": "py"}})
    made = api.create_namespaced_config_map("py", {"metadata": {"name": "a", "labels": {"x": "1"}}, "data": {"k": "v"}})
    assert api.read_namespaced_config_map("a", "py").data == {"k": "v"}
    assert [item.metadata.name for item in api.list_namespaced_config_map("py", label_selector="x=1").items] == ["a"]
    patched = api.patch_namespaced_config_map("a", "py", {"data": {"k": "w"}})
    assert patched.data == {"k": "w"}
    assert int(patched.metadata.resource_version) > int(made.metadata.resource_version)
    patched.data["more"] = "yes"
    assert api.replace_namespaced_config_map("a", "py", patched).data["more"] == "yes"
    try:
        made.data = {}
        api.replace_namespaced_config_map("a", "py", made)
    except ApiException as error:
        assert (error.status, json.loads(error.body)["reason"]) == (409, "Conflict")
    else:
        raise AssertionError("a stale write was accepted")
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    apps.create_namespaced_deployment("py", {"metadata": {"name": "d"}, "spec": spec})
    apps.patch_namespaced_deployment_scale("d", "py", {"spec": {"replicas": 2}})
    assert apps.read_namespaced_deployment_scale("d", "py").spec.replicas == 2
    for event in watch.Watch().stream(apps.list_namespaced_deployment, "py", timeout_seconds=30):
        if (event["object"].status.ready_replicas or 0) == 2:
            break
    else:
        raise AssertionError("the deployment never became ready")
    pods = api.list_namespaced_pod("py", limit=1)
    assert len(pods.items) == 1
    assert pods.metadata._continue
    assert len(api.list_namespaced_pod("py", _continue=pods.metadata._continue).items) == 1
    api.delete_namespaced_config_map("a", "py")
    api.delete_namespace("py")
    print("toured")


def follow(count: int) -> None:
    api = client.CoreV1Api()
    seen: list[str] = []
    version = api.list_namespaced_config_map("default").metadata.resource_version
    print("ready", flush=True)
    while len(seen) < count:
        try:
            stream = watch.Watch().stream(
                api.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=60
            )
            for event in stream:
                version = event["object"].metadata.resource_version
                name = event["object"].metadata.name
                if event["type"] == "ADDED" and name.startswith("w-"):
                    seen.append(name)
                    print(name, flush=True)
                if len(seen) >= count:
                    return
        except ApiException as error:
            if error.status != 410:
                raise
            listed = api.list_namespaced_config_map("default")
            missed = {item.metadata.name for item in listed.items if item.metadata.name.startswith("w-")} - set(seen)
            seen += sorted(missed)
            print(*sorted(missed), sep="\n", flush=True)
            version = listed.metadata.resource_version
        except OSError:
            continue
        except Exception as error:
            if "urllib3" not in type(error).__module__:
                raise


if __name__ == "__main__":
    config.load_kube_config()
    tour() if sys.argv[1] == "tour" else follow(int(sys.argv[2]))
