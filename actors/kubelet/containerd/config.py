"""containerd's own configuration, rendered for one node.

Version 2 of the format for containerd 1.6 and 1.7, version 3 (with the CRI plugin in two) for 2.x. Everything that
containerd would otherwise share with another containerd on the machine is given a place of its own.

What can go wrong: a plugin that a containerd does not know is only logged by it, so one list of disabled plugins serves
all; a wrong key in a known plugin makes containerd refuse to start, and its log says which.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.kubelet.containerd.handlers import Handler, Handlers
from actors.kubelet.containerd.places import Places

PAUSE_IMAGE = "kubus.local/pause:1"
SHIM = "io.containerd.runc.v2"  # the shim for all runtimes that have runc's command line

# What a pod node never needs. Each costs memory or start time, and the snapshotters log errors on most filesystems.
DISABLED_PLUGINS = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.erofs",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.restart",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.nri.v1.nri",
)

MAX_LOG_LINE_BYTES = 16 * 1024  # the kubelet's log format splits longer lines into partial ones
# Another containerd on the same root holds its database's lock. One that is dying lets go at once; for one that lives
# on it is better to end with an error in the log than to wait for ever, as the default is.
METADATA_LOCK_WAIT = "10s"
PARALLEL_DOWNLOADS = 3  # layers of one image at a time; containerd's default


@dataclass(frozen=True, slots=True)
class Machine:
    """What the rendering has to know of the machine."""

    containerd_version: tuple[int, int]
    cni_bin_dirs: Sequence[str]
    may_lower_oom_score: bool  # CAP_SYS_RESOURCE: without it a negative oom_score_adj kills a container at start
    apparmor: bool = True
    handlers: Handlers = Handlers()


def render(places: Places, machine: Machine) -> str:
    """Return containerd's config.toml."""
    version = 3 if machine.containerd_version >= (2, 0) else 2
    tree: dict[str, Any] = {
        "version": version,
        "root": str(places.root),
        "state": str(places.state),
        "disabled_plugins": list(DISABLED_PLUGINS),
        "imports": [],
        "grpc": {"address": str(places.socket)},
        "metrics": {"address": ""},
        "debug": {"level": "warn"},
        "timeouts": {'"io.containerd.timeout.bolt.open"': METADATA_LOCK_WAIT},
    }
    plugins = _plugins_v3(places, machine) if version == 3 else _plugins_v2(places, machine)
    return (
        "# Written anew at each start: edits are lost.\n" + to_toml(tree) + "".join(_table(*item) for item in plugins)
    )


def _table(path: str, values: Mapping[str, Any]) -> str:
    return f"\n[{path}]\n" + "".join(f"{key} = {to_value(value)}\n" for key, value in values.items())


def _common_cri(places: Places, machine: Machine) -> dict[str, Any]:
    return {
        "restrict_oom_score_adj": not machine.may_lower_oom_score,
        "disable_apparmor": not machine.apparmor,
        "netns_mounts_under_state_dir": True,
        "max_container_log_line_size": MAX_LOG_LINE_BYTES,
        "tolerate_missing_hugetlb_controller": True,
        "enable_unprivileged_ports": True,
        "enable_unprivileged_icmp": True,
    }


def _runtimes(under: str, places: Places, machine: Machine) -> list[tuple[str, dict[str, Any]]]:
    """Return a table and its options for each runtime handler; `under` is the table that holds them."""
    tables: list[tuple[str, dict[str, Any]]] = []
    for handler in machine.handlers.all:
        path = f"{under}.runtimes.{handler.name}"
        tables += [(path, {"runtime_type": SHIM}), (f"{path}.options", _options(places, handler))]
    return tables


def _options(places: Places, handler: Handler) -> dict[str, Any]:
    """A runtime's own records go below our state folder: by default all containerds of a machine share one."""
    options = {"SystemdCgroup": False, "Root": str(places.records_of(handler.name))}
    return {**options, "BinaryName": handler.program} if handler.program else options


def _plugins_v2(places: Places, machine: Machine) -> list[tuple[str, dict[str, Any]]]:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return [
        (
            cri,
            {
                **_common_cri(places, machine),
                "sandbox_image": PAUSE_IMAGE,
                "max_concurrent_downloads": PARALLEL_DOWNLOADS,
                "stream_server_address": "127.0.0.1",
                "stream_server_port": "0",
            },
        ),
        (f"{cri}.cni", {"bin_dir": _one_dir(machine), "conf_dir": str(places.cni_conf), "max_conf_num": 1}),
        (f"{cri}.containerd", {"snapshotter": "overlayfs", "default_runtime_name": machine.handlers.default}),
        *_runtimes(f"{cri}.containerd", places, machine),
        (f"{cri}.registry", {"config_path": str(places.registry_hosts)}),
    ]


def _plugins_v3(places: Places, machine: Machine) -> list[tuple[str, dict[str, Any]]]:
    runtime = "plugins.'io.containerd.cri.v1.runtime'"
    images = "plugins.'io.containerd.cri.v1.images'"
    return [
        (images, {"snapshotter": "overlayfs", "max_concurrent_downloads": PARALLEL_DOWNLOADS}),
        (f"{images}.pinned_images", {"sandbox": PAUSE_IMAGE}),
        (f"{images}.registry", {"config_path": str(places.registry_hosts)}),
        (runtime, _common_cri(places, machine)),
        (f"{runtime}.cni", {"bin_dir": _one_dir(machine), "conf_dir": str(places.cni_conf), "max_conf_num": 1}),
        (f"{runtime}.containerd", {"default_runtime_name": machine.handlers.default}),
        *_runtimes(f"{runtime}.containerd", places, machine),
        (
            "plugins.'io.containerd.grpc.v1.cri'",
            {"disable_tcp_service": True, "stream_server_address": "127.0.0.1", "stream_server_port": "0"},
        ),
    ]


def _one_dir(machine: Machine) -> str:
    """Return the folder of the CNI plugins: containerd before 2.1 takes one only."""
    return machine.cni_bin_dirs[0]


def to_toml(tree: Mapping[str, Any]) -> str:
    """Render scalars first and then one level of tables, as much of TOML as is needed here."""
    scalars = {key: value for key, value in tree.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in tree.items() if isinstance(value, Mapping)}
    head = "".join(f"{key} = {to_value(value)}\n" for key, value in scalars.items())
    return head + "".join(_table(key, value) for key, value in tables.items())


def to_value(value: Any) -> str:
    """Render one value. A TOML basic string has JSON's escapes, except that JSON may not escape DEL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(to_value(item) for item in value) + "]"
    return json.dumps(value).replace("\x7f", "\\u007F")
