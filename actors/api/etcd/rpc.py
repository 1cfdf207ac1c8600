"""The services of etcd's API with their methods, read out of the generated modules' descriptors.

So there is one table of names: the `.proto` files. gRPC owns threads and must not exist before a fork: this package is
imported in the process that speaks gRPC, and by nothing that the warm parent imports.

Neighbours: `actors.state.etcd` serves them; the API server's etcd driver calls them.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

# An actor forks only to execute other programs; gRPC's handlers for forks would be run, and complain, each time.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from google.protobuf.message_factory import GetMessageClass

from actors.api.etcd.proto import rpc_pb2

PACKAGE = "etcdserverpb"
API_VERSION = "3.5.21"  # the release of etcd whose API this is; clients ask for it before they use what is newer
SERVICES = ("KV", "Watch", "Lease", "Cluster", "Maintenance")


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    path: str  # as it stands in the request
    encode_request: Callable[[Any], bytes]
    decode_request: Callable[[bytes], Any]
    encode_response: Callable[[Any], bytes]
    decode_response: Callable[[bytes], Any]
    takes_stream: bool
    gives_stream: bool


def methods_of(service: str) -> Iterator[Method]:
    """Return the methods of one of SERVICES."""
    descriptor = rpc_pb2.DESCRIPTOR.services_by_name[service]
    for method in descriptor.methods:
        request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        yield Method(
            method.name,
            f"/{descriptor.full_name}/{method.name}",
            request.SerializeToString,
            request.FromString,
            response.SerializeToString,
            response.FromString,
            method.client_streaming,
            method.server_streaming,
        )
