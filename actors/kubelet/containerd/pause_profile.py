"""The seccomp profile of pause containers, for pods that name none: what a program that does nothing needs, no more.

containerd's own default profile allows some 350 system calls, for three architectures, and runc compiles its filter
for each container: 12 to 20 ms, an eighth of the CPU that a pod costs. This one allows less than half of them, on the
machine's own architecture only; any other call fails, and one by another architecture's door kills its caller. So
whoever takes over a pause process (in a pod whose processes share a namespace) has less of the kernel before him than
in a container with the default profile, and the filter is compiled in a fraction of the time.

What can go wrong: runc takes its last steps under the filter (it opens and writes a FIFO, and executes the program),
by a Go runtime that makes threads, so more is needed than the program itself does; with a call too few no pod starts.

Neighbours: `driver` writes it and names it to containerd, through `requests`.
"""

import json
from pathlib import Path
from typing import Any

ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")  # there where the kernel has seccomp filters

# By what they are for; names that a machine does not know are passed over by runc.
ALLOWED = (
    # programs and threads
    "arch_prctl", "capget", "capset", "execve", "execveat", "exit", "exit_group", "fork", "futex", "futex_time64",
    "futex_waitv", "get_robust_list", "getcpu", "getrandom", "gettid", "membarrier", "prctl", "rseq",
    "restart_syscall", "sched_getaffinity", "sched_yield", "set_robust_list", "set_thread_area", "set_tid_address",
    "vfork",
    # who it is
    "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32", "getpgid",
    "getpgrp", "getpid", "getppid", "getpriority", "getresgid", "getresgid32", "getresuid", "getresuid32", "getrlimit",
    "getrusage", "getsid", "getuid", "getuid32", "prlimit64", "sysinfo", "times", "ugetrlimit", "uname",
    # memory
    "brk", "madvise", "mincore", "mmap", "mmap2", "mprotect", "mremap", "munmap",
    # files, as far as they are there
    "_llseek", "access", "chdir", "close", "close_range", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fchdir",
    "fcntl", "fcntl64", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "getcwd", "getdents", "getdents64",
    "ioctl", "lseek", "lstat", "lstat64", "newfstatat", "open", "openat", "openat2", "pipe", "pipe2", "pread64", "read",
    "readlink", "readlinkat", "readv", "stat", "stat64", "statfs", "statfs64", "statx", "umask", "write", "writev",
    # waiting, for processes too: the first one of a namespace buries the orphans
    "_newselect", "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "eventfd", "eventfd2", "gettimeofday", "nanosleep", "pause", "pidfd_open", "poll", "ppoll", "ppoll_time64",
    "pselect6", "pselect6_time64", "select", "time", "wait4", "waitid", "waitpid",
    # signals
    "alarm", "getitimer", "kill", "pidfd_send_signal", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
    "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo", "setitimer", "sigaltstack", "sigprocmask", "sigreturn", "tgkill", "timer_create",
    "timer_delete", "timer_settime", "timer_settime64", "tkill",
)  # fmt: skip
NEW_NAMESPACES = 0x7E020000  # linux/sched.h: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
ENOSYS = 38


def profile() -> dict[str, Any]:
    """Return the profile, as the OCI runtime specification writes it; without architectures, for the native one."""
    no_namespaces = {"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    rules: list[dict[str, Any]] = [
        {"names": list(ALLOWED), "action": "SCMP_ACT_ALLOW"},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [no_namespaces]},
        # Its flags are behind a pointer, where no filter looks; who hears ENOSYS falls back on clone.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
    ]
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}


def write(path: Path) -> None:
    """Write the profile where containerd finds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(profile()))
    fresh.replace(path)
