"""The policy of a namespace: for each mode a level and the version of the standards, out of its labels.

A label that cannot be read is a mistake of who set it: a Pod is then held to the strictest level for `enforce`, and
nothing is audited or warned about by the mode that is wrong; setting such a label is refused in the first place.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "pod-security.kubernetes.io/"
PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
LEVELS = (PRIVILEGED, BASELINE, RESTRICTED)
MODES = ("enforce", "audit", "warn")
NEWEST = 36  # minor version of the standards that we know; a later one is taken for this
LATEST = 10_000  # `latest` is newer than every version


@dataclass(frozen=True, slots=True)
class LevelVersion:
    level: str = PRIVILEGED
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"


@dataclass(frozen=True, slots=True)
class Policy:
    enforce: LevelVersion = LevelVersion()
    audit: LevelVersion = LevelVersion()
    warn: LevelVersion = LevelVersion()

    @property
    def is_open(self) -> bool:
        """True when nothing is looked at."""
        return self.enforce.level == self.audit.level == self.warn.level == PRIVILEGED


OPEN = Policy()


def concerns(labels: Mapping[str, str]) -> bool:
    """Say whether there is any label of ours."""
    return any(key.startswith(PREFIX) for key in labels)


def policy_of(labels: Mapping[str, str]) -> tuple[Policy, list[tuple[str, str, str]]]:
    """Return (policy, complaints) of labels. A complaint is (label, value, what is wrong)."""
    found: dict[str, LevelVersion] = {}
    complaints: list[tuple[str, str, str]] = []
    for mode in MODES:
        key = PREFIX + mode
        level, version = labels.get(key), labels.get(f"{key}-version")
        minor = LATEST if version is None else _minor(version)
        if minor is None:
            complaints.append((f"{key}-version", version or "", 'must be "latest" or "v1.x"'))
            minor = LATEST
        if level is not None and level not in LEVELS:
            complaints.append((key, level, f"must be one of {', '.join(LEVELS)}"))
            level = RESTRICTED if mode == "enforce" else PRIVILEGED
        found[mode] = LevelVersion(level or PRIVILEGED, minor)
    if PREFIX + "warn" not in labels and LEVELS.index(found["enforce"].level) > LEVELS.index(found["warn"].level):
        # Who enforces and says nothing of warnings warns by the same rules: of Deployments, which are not enforced.
        found["warn"] = found["enforce"]
    return Policy(**found), complaints


def _minor(version: str) -> int | None:
    if version == "latest":
        return LATEST
    major, dot, minor = version.removeprefix("v").partition(".")
    if not version.startswith("v") or major != "1" or not dot or not minor.isascii() or not minor.isdigit():
        return None
    if len(minor) > 1 and minor.startswith("0"):
        return None
    return int(minor) if len(minor) <= 4 else None
