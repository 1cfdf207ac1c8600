"""The seccomp profile of pause containers, for pods that name none.

The container of a sandbox runs one program that does nothing, but runc compiles its filter for each. The runtime's own
default profile allows some 400 system calls by name, for three architectures: 12 to 20 ms, an eighth of the CPU that a
pod costs. This one forbids what that one does not allow: a filter a tenth of the size, which still keeps whoever takes
over a pause process (in a pod whose processes share a namespace) from the kernel's more dangerous doors.

Neighbours: `driver` writes it and names it to containerd, through `requests`.
"""

import json
from pathlib import Path
from typing import Any

ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")  # there where the kernel has seccomp filters

# What the default profile keeps from a container without capabilities, in groups by what they reach.
FORBIDDEN = (
    "acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module", "finit_module",
    "fsconfig", "fsmount", "fsopen", "fspick", "get_mempolicy", "init_module", "ioperm", "iopl", "io_uring_enter",
    "io_uring_register", "io_uring_setup", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mbind",
    "mount", "mount_setattr", "move_mount", "move_pages", "name_to_handle_at", "open_by_handle_at", "open_tree",
    "perf_event_open", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace", "query_module", "quotactl",
    "quotactl_fd", "reboot", "request_key", "set_mempolicy", "setns", "settimeofday", "stime", "swapoff", "swapon",
    "sysfs", "syslog", "umount", "umount2", "unshare", "uselib", "userfaultfd", "ustat", "vhangup", "vm86", "vm86old",
)  # fmt: skip
NEW_NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)  # linux/sched.h
EPERM, ENOSYS = 1, 38


def profile() -> dict[str, Any]:
    """Return the profile, as the OCI runtime specification writes it. Calls of other architectures kill the caller."""
    rules: list[dict[str, Any]] = [
        {"names": list(FORBIDDEN), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM},
        # Its flags are behind a pointer, where no filter looks; who hears ENOSYS falls back on clone.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
    ]
    for flag in NEW_NAMESPACES:
        has_flag = {"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}
        rules.append({"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM, "args": [has_flag]})
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}


def write(path: Path) -> None:
    """Write the profile where containerd finds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(profile()))
    fresh.replace(path)
