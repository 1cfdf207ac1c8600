"""What /version answers."""

import platform

from actors.apiserver.machinery.schema.definitions import SCHEMA_VERSION

MAJOR, MINOR = "1", "36"

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def version_info() -> dict[str, str]:
    """Return the version that clients compare with their own; the schemas' version is the API's."""
    return {
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": SCHEMA_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"{platform.python_implementation().lower()}{platform.python_version()}",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{_GO_ARCHITECTURES.get(platform.machine(), platform.machine())}",
    }
