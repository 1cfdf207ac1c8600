"""Mounts of the kubelet's own: tmpfs for what must not reach a disk, bind mounts for sub-paths.

Linux only, through the C library, without a process each. Everything here is idempotent, because a kubelet that was
killed finds its mounts again. A bind mount's source is opened step by step without following links, so that a container
can't swap a directory for a link and reach the host (as CVE-2017-1002101 and CVE-2021-25741 did).
"""

import ctypes
import errno
import functools
import os
import stat
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC = 1, 2, 4, 8, 32, 4096, 16384
CLONE_FS = 0x200
MOUNT_SETATTR, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, 0x8000, 1  # the number is the same on every architecture
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8
AT_FDCWD = -100

_libc: ctypes.CDLL | None = None


def _c() -> ctypes.CDLL:
    """Load the C library on first use, so that machines without mount(2) can import this module."""
    global _libc
    if _libc is None:
        _libc = ctypes.CDLL(None, use_errno=True)
    return _libc


def _check(status: int, what: str) -> None:
    if status:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount_points(below: Path) -> list[Path]:
    """Return every mount at or below a path, deepest last."""
    prefix = str(below.resolve())
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            point = line.split(" ", 5)[4].encode("latin-1", "surrogateescape").decode("unicode_escape")
            if point == prefix or point.startswith(prefix + "/"):
                found.append(Path(point))
    return found


def is_mount(path: Path) -> bool:
    return os.path.ismount(path)


def has_flags(path: Path) -> bool:
    """Tell whether the mount that holds a path keeps programs, set-uid bits or devices in it from counting."""
    try:
        return bool(os.statvfs(path).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC))  # ST_... have the same values
    except OSError:
        return False  # it is not there, and its container will not start


def is_readonly(path: Path) -> bool:
    """Tell whether the mount that holds a path is read-only."""
    try:
        return bool(os.statvfs(path).f_flag & MS_RDONLY)
    except OSError:
        return False


def mount_tmpfs(path: Path, size_bytes: int = 0) -> None:
    """Mount a tmpfs, unless something is mounted there already."""
    if is_mount(path):
        return
    options = f"size={size_bytes}" if size_bytes else ""
    status = _c().mount(b"tmpfs", os.fsencode(path), b"tmpfs", MS_NOSUID | MS_NODEV, options.encode())
    _check(status, f"mount tmpfs on {path}")


def mount_huge_pages(path: Path, page_bytes: int, size_bytes: int = 0) -> None:
    """Mount a folder whose files are huge pages, unless something is mounted there already."""
    if is_mount(path):
        return
    options = f"pagesize={page_bytes}" + (f",size={size_bytes}" if size_bytes else "")
    status = _c().mount(b"nodev", os.fsencode(path), b"hugetlbfs", MS_NOSUID | MS_NODEV, options.encode())
    _check(status, f"mount huge pages on {path}")


class _MountAttributes(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


def _set_attributes(directory: int, path: bytes, attributes: int) -> int:
    wanted = _MountAttributes(attributes, 0, 0, 0)
    size = ctypes.sizeof(wanted)
    done: int = _c().syscall(MOUNT_SETATTR, directory, path, AT_RECURSIVE, ctypes.byref(wanted), size)
    return done


@functools.cache
def can_make_all_readonly() -> bool:
    """Tell whether the kernel knows mount_setattr(2): Linux 5.12 and later."""
    if not sys.platform.startswith("linux"):
        return False
    _set_attributes(-1, b"", 0)  # no such directory, if it gets that far
    return ctypes.get_errno() != errno.ENOSYS


def make_all_readonly(path: Path) -> None:
    """Make a mount read-only, with all that is mounted below it."""
    _check(_set_attributes(AT_FDCWD, os.fsencode(path), MOUNT_ATTR_RDONLY), f"make {path} read-only")


def bind_readonly(source: Path, target: Path) -> None:
    """Mount a file or folder on another one, so that nobody can write to it by that path."""
    where = os.fsencode(target)
    _check(_c().mount(os.fsencode(source), where, None, MS_BIND, None), f"bind {source} on {target}")
    status = _c().mount(None, where, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, None)
    if status:
        code = ctypes.get_errno()
        unmount(target)
        raise OSError(code, f"remount {target}: {os.strerror(code)}")


def mount_layers(layers: Sequence[str], target: Path) -> None:
    """Mount folders on top of each other, the uppermost first, so that they can be read and nothing else.

    Nothing in them is executed, and no device or set-uid bit of theirs counts. Mounted already: nothing happens.
    """
    if not layers or is_mount(target):
        return
    held = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    if len(layers) > 1:
        _overlay(layers, target, held)
        return
    where = os.fsencode(target)
    _check(_c().mount(os.fsencode(layers[0]), where, None, MS_BIND, None), f"bind {layers[0]} on {target}")
    status = _c().mount(None, where, None, MS_REMOUNT | MS_BIND | held, None)
    if status:
        code = ctypes.get_errno()
        unmount(target)  # it must not be there with more rights
        raise OSError(code, f"remount {target}: {os.strerror(code)}")


def _overlay(layers: Sequence[str], target: Path, flags: int) -> None:
    """Mount an overlay in a thread with a working directory of its own, so that layers are named by short paths.

    The kernel takes one page of options: some forty layers with their whole paths, hundreds without.
    """
    base = os.path.commonpath(layers)
    options = "lowerdir=" + ":".join(os.path.relpath(layer, base) for layer in layers)
    failures: list[OSError] = []

    def mount() -> None:
        try:
            _check(_c().unshare(CLONE_FS), "a working directory of its own")
            os.chdir(base)
            status = _c().mount(b"overlay", os.fsencode(target), b"overlay", flags, options.encode())
            _check(status, f"overlay {len(layers)} layers on {target}")
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=mount, name="overlay")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def unmount(path: Path) -> None:
    """Unmount; a busy mount is detached and goes with its last user. Nothing mounted there is fine."""
    if _c().umount2(os.fsencode(path), UMOUNT_NOFOLLOW) == 0:
        return
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOENT):
        return
    _check(_c().umount2(os.fsencode(path), UMOUNT_NOFOLLOW | MNT_DETACH), f"unmount {path}")


def unmount_below(path: Path) -> None:
    for point in reversed(mount_points(path)):
        unmount(point)


def bind_subpath(volume: Path, subpath: str, target: Path) -> None:
    """Bind-mount what `subpath` means inside a volume onto `target`.

    A missing path becomes a directory with the mode of the one it is in. Links inside the volume are followed as long
    as they stay inside; OSError otherwise.
    """
    unmount(target)
    handle = _open_below(volume, subpath)
    try:
        _make_target(target, is_directory=stat.S_ISDIR(os.fstat(handle).st_mode))
        source = f"/proc/self/fd/{handle}".encode()
        _check(_c().mount(source, os.fsencode(target), None, MS_BIND | MS_REC, None), f"bind {subpath} on {target}")
    finally:
        os.close(handle)


def read_below(volume: Path, path: str, limit_bytes: int) -> bytes:
    """Return what a file in a volume holds, links followed as far as they stay inside.

    FileNotFoundError when it is not there; OSError when it leads out, is no regular file, or holds more.
    """
    handle = _open_below(volume, path, makes=False)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, f"'{path}' is not a regular file")
        with open(f"/proc/self/fd/{handle}", "rb") as file:
            content = file.read(limit_bytes + 1)
    finally:
        os.close(handle)
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, f"'{path}' is larger than {limit_bytes} bytes")
    return content


def _open_below(volume: Path, subpath: str, makes: bool = True) -> int:
    """Return an O_PATH handle of a path inside a volume; `makes` the directories that are missing."""
    if "\0" in subpath:
        raise OSError(errno.EINVAL, "a path can't have a NUL in it")
    root = volume.resolve()
    wanted = Path(os.path.realpath(root / subpath))  # takes a loop of links as it is; opening it fails
    if wanted != root and root not in wanted.parents:
        raise OSError(errno.EACCES, f"'{subpath}' leads out of its volume")
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(root, flags | os.O_DIRECTORY)
    for part in wanted.relative_to(root).parts:
        try:
            inner = _enter(handle, part, flags, makes)
        finally:
            os.close(handle)
        handle = inner
    return handle


def _enter(parent: int, part: str, flags: int, makes: bool) -> int:
    try:
        inner = os.open(part, flags, dir_fd=parent)
    except FileNotFoundError:
        if not makes:
            raise
        os.mkdir(part, dir_fd=parent)
        inner = os.open(part, flags, dir_fd=parent)
        os.chmod(f"/proc/self/fd/{inner}", stat.S_IMODE(os.stat(f"/proc/self/fd/{parent}").st_mode))
    if stat.S_ISLNK(os.fstat(inner).st_mode):
        os.close(inner)
        raise OSError(errno.ELOOP, f"{part!r} became a link while it was opened")
    return inner


def _make_target(target: Path, is_directory: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_directory:
        target.mkdir(exist_ok=True)
    else:
        target.touch(exist_ok=True)
