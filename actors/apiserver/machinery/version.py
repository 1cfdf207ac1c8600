"""What /version answers.

There is no build: the sources of the API server are what runs, and their digest stands for a commit's name.
"""

import functools
import hashlib
import platform
from pathlib import Path

from actors.apiserver.machinery.schema.definitions import SCHEMA_VERSION

MAJOR, MINOR = "1", "36"

_SOURCES = Path(__file__).resolve().parents[1]
_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@functools.cache
def version_info() -> dict[str, str]:
    """Return the version that clients compare with their own; the schemas' version is the API's."""
    return {
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": SCHEMA_VERSION,
        "gitCommit": sources_digest(),
        "gitTreeState": "archive",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"{platform.python_implementation().lower()}{platform.python_version()}",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{_GO_ARCHITECTURES.get(platform.machine(), platform.machine())}",
    }


def sources_digest() -> str:
    """Return a digest of the sources, as long as a commit's name."""
    digest = hashlib.sha1(usedforsecurity=False)
    for path in sorted(_SOURCES.rglob("*.py")):
        digest.update(path.relative_to(_SOURCES).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
