"""Write a set of files so that a reader sees all of the old ones or all of the new ones.

The layout is the one that programs in pods already know: files live in a dated directory, `..data` is a symbolic link
to it, and each visible name is a link through `..data`. An update makes another dated directory and renames one link. A
crash in between leaves at most an unused directory, which the next write removes.
"""

import os
import secrets
import shutil
import time
from pathlib import Path

from actors.kubelet.volumes.content import File, Payload

DATA = "..data"
DATA_NEW = "..data_tmp"
GROUP_READS = 0o440


def write(root: Path, payload: Payload, group: int | None = None) -> bool:
    """Make `root` hold exactly the payload; tell whether anything changed. `group` is the pod's fsGroup."""
    _check_paths(payload)
    modes = {name: _mode(file, group) for name, file in payload.items()}
    current = root / DATA
    if _holds(current, payload, modes):
        return False
    made = root / f"..{time.strftime('%Y_%m_%d_%H_%M_%S', time.gmtime())}.{secrets.token_hex(5)}"
    made.mkdir(mode=0o755)
    for name, file in payload.items():
        _write_file(made / name, file, modes[name], group)
    for directory in (made, *(path for path in made.rglob("*") if path.is_dir())):
        directory.chmod(0o755)  # whatever the process's umask is
        if group is not None:
            os.chown(directory, -1, group)
    link = root / DATA_NEW
    link.unlink(missing_ok=True)
    link.symlink_to(made.name)
    link.rename(current)
    _show(root, payload)
    _remove_others(root, made.name)
    return True


def _check_paths(payload: Payload) -> None:
    for name in payload:
        parts = Path(name).parts
        if not parts or Path(name).is_absolute() or ".." in parts or parts[0].startswith(".."):
            raise ValueError(f"{name!r} is no path inside a volume")


def _mode(file: File, group: int | None) -> int:
    return file.mode | GROUP_READS if group is not None else file.mode


def _holds(current: Path, payload: Payload, modes: dict[str, int]) -> bool:
    if not current.is_dir():
        return False
    there = {str(path.relative_to(current.resolve())) for path in current.resolve().rglob("*") if path.is_file()}
    if there != {str(Path(name)) for name in payload}:
        return False
    return all(_is_as(current / name, file, modes[name]) for name, file in payload.items())


def _is_as(path: Path, file: File, mode: int) -> bool:
    there = path.stat()
    if there.st_mode & 0o7777 != mode or (file.owner is not None and there.st_uid != file.owner):
        return False
    return path.read_bytes() == file.data


def _write_file(path: Path, content: File, mode: int, group: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content.data)
        if group is not None or content.owner is not None:
            os.fchown(handle, -1 if content.owner is None else content.owner, -1 if group is None else group)
        os.fchmod(handle, mode)


def _show(root: Path, payload: Payload) -> None:
    """Make the visible links: one for each first part of a path."""
    wanted = {Path(name).parts[0] for name in payload}
    for name in wanted:
        link = root / name
        if not link.is_symlink():
            link.symlink_to(Path(DATA) / name)
    for entry in root.iterdir():
        if entry.is_symlink() and entry.name not in wanted and not entry.name.startswith(".."):
            entry.unlink()


def _remove_others(root: Path, kept: str) -> None:
    for entry in root.iterdir():
        if entry.name.startswith("..") and entry.is_dir() and not entry.is_symlink() and entry.name != kept:
            shutil.rmtree(entry)
