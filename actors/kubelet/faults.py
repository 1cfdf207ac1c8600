"""What a container runtime raises on purpose; after any other exception the driver is broken and the kubelet crashes.

Neighbours: `runtime` is the interface that they belong to, `containerd.faults` makes them of gRPC's answers.
"""


class RuntimeFault(Exception):
    """The base of what a driver raises on purpose. The message is fit for an event and a pod's status."""


class RuntimeUnreachable(RuntimeFault):
    """The runtime does not answer: it is down, starting, or hung beyond the call's deadline."""


class NotInRuntime(RuntimeFault):
    """The runtime knows no such sandbox, container or image."""


class RuntimeRefused(RuntimeFault):
    """The runtime answered that it can't: a bad mount, no such executable, a failing CNI plugin."""


class ImagePullFailed(RuntimeFault):
    """The image could not be fetched: no such image, no permission, no registry."""


class ExecTimeout(RuntimeFault):
    """A command in a container did not finish in time; it was killed."""
