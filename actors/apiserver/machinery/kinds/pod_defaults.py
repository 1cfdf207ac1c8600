"""Defaults of a pod's spec, as Kubernetes documents them; the same for a Pod and for a template, with three exceptions.

Only a Pod itself gets enableServiceLinks, requests out of limits, and the ports of its node that it takes in the node's
network: a template keeps what its author wrote. Default tolerations and the service account are admission's.
"""

from typing import Any

from actors.apiserver.machinery.kinds.whole_pod_resources import default_whole_pod

DEFAULT_GRACE_PERIOD_S = 30
DEFAULT_FILE_MODE = 0o644
DEFAULT_TOKEN_EXPIRATION_S = 3600

_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")
_FILE_VOLUMES = ("secret", "configMap", "downwardAPI", "projected")
_VOLUME_DEFAULTS: dict[str, dict[str, Any]] = {
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "fsType": "ext4", "readOnly": False, "kind": "Shared"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def default_pod(obj: dict[str, Any]) -> None:
    """Fill in a Pod's spec."""
    spec = obj.setdefault("spec", {})
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for name in _CONTAINER_LISTS[:2]:
        for container in spec.get(name) or ():
            requests_from_limits(container.get("resources"))
            if spec.get("hostNetwork"):
                for port in container.get("ports") or ():
                    port.setdefault("hostPort", port.get("containerPort", 0))
    default_whole_pod(spec)


def default_template(template: dict[str, Any] | None) -> None:
    """Fill in a pod template; a template that is missing stays so, for validation to complain about."""
    if template is not None and "spec" in template:
        default_pod_spec(template["spec"])


def default_pod_spec(spec: dict[str, Any]) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("terminationGracePeriodSeconds", DEFAULT_GRACE_PERIOD_S)
    spec.setdefault("securityContext", {})
    _mirror_service_account(spec)
    for name in _CONTAINER_LISTS:
        for container in spec.get(name) or ():
            default_container(container)
    for volume in spec.get("volumes") or ():
        default_volume(volume)


def _mirror_service_account(spec: dict[str, Any]) -> None:
    """Keep the old name of the field equal to the new one."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def default_container(container: dict[str, Any]) -> None:
    container.setdefault("imagePullPolicy", pull_policy(container.get("image", "")))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom")
        if source:
            _default_source(source)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            default_probe(container[name])
    for handler in (container.get("lifecycle") or {}).values():
        if type(handler) is dict and "httpGet" in handler:
            _default_http_get(handler["httpGet"])


def pull_policy(image: str) -> str:
    """Return Always for an image tagged latest, or not tagged at all; IfNotPresent for any other."""
    _, _, last = image.rpartition("/")
    name, _, digest = last.partition("@")
    _, _, tag = name.partition(":")
    if not tag and not digest:
        tag = "latest"
    return "Always" if tag == "latest" else "IfNotPresent"


def _default_source(source: dict[str, Any]) -> None:
    """Fill in where a variable, or a file of a downward API volume, takes its value from."""
    if "fieldRef" in source:
        source["fieldRef"].setdefault("apiVersion", "v1")
    if "resourceFieldRef" in source:
        source["resourceFieldRef"].setdefault("divisor", "0")


def default_probe(probe: dict[str, Any]) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(name):
            probe[name] = value
    if "httpGet" in probe:
        _default_http_get(probe["httpGet"])
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _default_http_get(action: dict[str, Any]) -> None:
    action["path"] = action.get("path") or "/"
    action["scheme"] = action.get("scheme") or "HTTP"


def default_volume(volume: dict[str, Any]) -> None:
    if len(volume) == 1 and "name" in volume:
        volume["emptyDir"] = {}
    for name in _FILE_VOLUMES:
        if name in volume:
            volume[name].setdefault("defaultMode", DEFAULT_FILE_MODE)
    for name, values in _VOLUME_DEFAULTS.items():
        if name in volume:
            for key, value in values.items():
                volume[name].setdefault(key, value)
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", DEFAULT_TOKEN_EXPIRATION_S)
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            _default_source(item)
    for item in (volume.get("downwardAPI") or {}).get("items") or ():
        _default_source(item)
    if "image" in volume:
        volume["image"].setdefault("pullPolicy", pull_policy(volume["image"].get("reference", "")))
    template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if template and "spec" in template:
        template["spec"].setdefault("volumeMode", "Filesystem")


def requests_from_limits(resources: dict[str, Any] | None) -> None:
    """A limit without a request is the request too."""
    limits = (resources or {}).get("limits")
    if resources is not None and limits:
        requests = resources.setdefault("requests", {})
        for name, amount in limits.items():
            requests.setdefault(name, amount)
