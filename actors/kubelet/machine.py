"""What a kubelet finds out about the machine that it runs on, once at its start.

Works on any system that psutil knows; what is missing there is left out. Neighbours: `node` says it in a Node.
"""

import platform
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

import psutil

from actors.api.config import KubeletConfig
from actors.api.quantity import format_quantity
from actors.kubelet.node import Machine, reserved

ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "arm"}
APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
HUGEPAGES = Path("/sys/kernel/mm/hugepages")


def machine_of(data_dir: Path, config: KubeletConfig, overrides: Mapping[str, str], address: str = "") -> Machine:
    """Measure this machine. `overrides` of the config win."""
    capacity = {
        "cpu": str(psutil.cpu_count() or 1),
        "memory": f"{psutil.virtual_memory().total // 1024}Ki",
        "ephemeral-storage": f"{shutil.disk_usage(data_dir).total // 1024}Ki",
        "pods": str(config.max_pods),
    }
    capacity |= _hugepages() | dict(overrides)
    return Machine(
        capacity=capacity,
        reserved=reserved(capacity, config.system_reserved, config.eviction_hard),
        addresses=[address or own_address()],
        info=system_info(),
        swap_bytes=psutil.swap_memory().total,
        os=platform.system().lower(),
        arch=ARCHITECTURES.get(platform.machine(), platform.machine()),
    )


def simulated_machine(max_pods: int, overrides: Mapping[str, str], address: str) -> Machine:
    """Return a machine that is not there."""
    capacity = {"cpu": "32", "memory": "64Gi", "ephemeral-storage": "100Gi", "pods": str(max_pods)}
    info = system_info() | {"osImage": "Kubus simulated node"}
    return Machine(capacity | dict(overrides), addresses=[address], info=info)


def own_address() -> str:
    """Return the address that this machine would use to reach others; without any network, the loopback's.

    Connecting a datagram socket sends nothing: it only asks for the route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            pass
    for addresses in psutil.net_if_addrs().values():
        for item in addresses:
            if item.family == socket.AF_INET and not item.address.startswith("127."):
                return str(item.address)
    return "127.0.0.1"


def has_apparmor() -> bool:
    return _read(APPARMOR) == "Y"


def system_info() -> dict[str, str]:
    return {
        "machineID": _read(Path("/etc/machine-id")),
        "systemUUID": _read(Path("/sys/class/dmi/id/product_uuid")),
        "bootID": _read(Path("/proc/sys/kernel/random/boot_id")),
        "kernelVersion": platform.release(),
        "osImage": _os_image(),
    }


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.platform(terse=True)


def _hugepages() -> dict[str, str]:
    """Return the huge pages that the kernel has set aside, by size."""
    found = {}
    if HUGEPAGES.is_dir():
        for size in HUGEPAGES.iterdir():
            kib = size.name.removeprefix("hugepages-").removesuffix("kB")
            count = _read(size / "nr_hugepages")
            if kib.isdigit() and count.isdigit():
                name = "hugepages-" + format_quantity(int(kib) * 1024, binary=True)
                found[name] = format_quantity(int(kib) * 1024 * int(count), binary=True)
    return found


def _read(path: Path) -> str:
    """Return a small file's text; a file that is not there, or not for us, is empty."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
