"""Small Services and EndpointSlices for tests of the proxy."""

from typing import Any

Object = dict[str, Any]
NODE = "n1"


def service(name: str = "web", ip: str = "10.96.0.10", ports: tuple = (("", 80, 0, "TCP"),), **spec: Any) -> Object:
    """`ports`: (name, port, node port or 0, protocol). `ingress`: addresses of a load balancer."""
    ingress = [{"ip": address} for address in spec.pop("ingress", ())]
    listed = [
        {"name": port_name, "port": number, "protocol": protocol} | ({"nodePort": node_port} if node_port else {})
        for port_name, number, node_port, protocol in ports
    ]
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ports": listed} | spec,
        "status": {"loadBalancer": {"ingress": ingress}},
    }


def endpoint(ip: str, node: str = NODE, ready: bool = True, **conditions: bool) -> Object:
    return {"addresses": [ip], "nodeName": node, "conditions": {"ready": ready, **conditions}}


def endpoint_slice(*endpoints: Object, port: int = 8080, port_name: str = "", protocol: str = "TCP") -> Object:
    return {
        "metadata": {
            "name": "web-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": port_name, "port": port, "protocol": protocol}],
    }
