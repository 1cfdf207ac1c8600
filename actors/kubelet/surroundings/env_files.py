"""Files of variables that a container left in an emptyDir for the others of its pod: `env[].valueFrom.fileKeyRef`.

The syntax is a small part of a shell's, so that a shell reads the same from such a file (KEP-3721): `NAME='value'`,
with anything but a quote between the quotes, line breaks too; blank lines; lines that begin with #. Everything else is
refused with the number of its line, and never with its text, which may be a secret.

Pure. Neighbours: `environment` asks; `volumes` reads the file, which a container wrote and may have made as it likes.
"""

from collections.abc import Callable

from actors.kubelet.surroundings.downward import ConfigError

MAX_BYTES = 64 << 10  # of a file, as the KEP has it; a larger one is refused
MAX_FILES = 64  # of one container: reading them holds up the other pods of the node; more are refused
BLANKS = " \t"

Read = Callable[[str, str], bytes | None]  # (volume, path) -> content, None when there is no such file


class EnvFiles:
    """The files that one container's variables come from, each read once."""

    def __init__(self, read: Read):
        self._read = read
        self._known: dict[tuple[str, str], dict[str, str] | None] = {}

    def variables(self, volume: str, path: str) -> dict[str, str] | None:
        """Return the variables of a file, None when there is no such file."""
        where = (volume, path)
        if where not in self._known:
            if len(self._known) >= MAX_FILES:
                raise ConfigError(f"variables of one container come from more than {MAX_FILES} env files")
            content = self._read(volume, path)
            self._known[where] = None if content is None else parse(content, path)
        return self._known[where]


def parse(content: bytes, path: str) -> dict[str, str]:
    """Return the variables of a file; the last of a name counts. ConfigError says which line is not understood."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f'env file "{path}" is not UTF-8') from error
    variables: dict[str, str] = {}
    at = 0
    while at < len(text):
        if _is_empty(_line(text, at)):
            at += len(_line(text, at)) + 1
            continue
        opening = text.find("'", at)
        closing = text.find("'", opening + 1)
        if opening < 0 or closing < 0:
            raise _fault(text, at, path)
        name, value = _name(text[at:opening]), text[opening + 1 : closing]
        rest = _line(text, closing + 1)
        if not name or "\0" in value or rest.strip(BLANKS + "\r"):
            raise _fault(text, at, path)
        variables[name] = value
        at = closing + 1 + len(rest) + 1
    return variables


def _line(text: str, at: int) -> str:
    """Return what is left of a line, without its end."""
    end = text.find("\n", at)
    return text[at:] if end < 0 else text[at:end]


def _is_empty(line: str) -> bool:
    line = line.strip(BLANKS + "\r")
    return not line or line.startswith("#")


def _name(before: str) -> str:
    """Return the name of what stands before an opening quote; empty when that is not `NAME=`."""
    name, _, rest = before.partition("=")
    name = name.strip(BLANKS)
    is_right = not rest.strip(BLANKS) and before.count("=") == 1 and all(" " <= letter <= "~" for letter in name)
    return name if is_right else ""


def _fault(text: str, at: int, path: str) -> ConfigError:
    number = text.count("\n", 0, at) + 1
    return ConfigError(f"env file \"{path}\": line {number} is not of the form NAME='value'")
