"""/livez, /readyz and /healthz: the checks, by themselves or one by one.

    ?verbose         tells of each check
    ?exclude=NAME    leaves one out, and may be given more than once
    /readyz/NAME     asks for one

The checks have Kubernetes' names for what they look at: `etcd` is the watch of the state, whoever keeps it,
`etcd-readiness` an answer from whoever takes our writes, `informer-sync` the watch cache.

An answer means that the process lives; ready it is with its watch cache loaded, its state in reach, and no end in
sight. Strangers may ask, so that a failed check does not say why: the log does.

Neighbours: `nonresource` asks; the actor has the checks.
"""

from urllib.parse import parse_qsl

from actors.api import errors
from actors.apiserver.call import Answer

PATHS = frozenset({"/healthz", "/livez", "/readyz"})
TEXT = "text/plain; charset=utf-8"
LIVENESS = ("ping", "informer-sync")  # a state out of reach, or an end in sight, is no reason to be killed


def is_health(path: str) -> bool:
    return path in PATHS or path.startswith(("/healthz/", "/livez/", "/readyz/"))


def of_path(path: str, checks: dict[str, str]) -> dict[str, str]:
    """Return those of the checks that a path of health makes."""
    if path != "/livez":
        return checks
    return {check: wrong for check, wrong in checks.items() if check in LIVENESS}


def answer(path: str, query: str, checks: dict[str, str]) -> Answer:
    """Answer a path of health; `checks` are what is wrong by name. Raises ApiError for a check that there is not."""
    kind, _, name = path[1:].partition("/")
    checks = of_path(f"/{kind}", checks)
    if name:
        if name not in checks:
            raise errors.path_not_found()
        checks = {name: checks[name]}
    fields = parse_qsl(query, keep_blank_values=True)
    excluded = {value for key, value in fields if key == "exclude" and value}
    lines, failed = [], False
    for check, wrong in checks.items():
        if check in excluded:
            lines.append(f"[+]{check} excluded: ok")
        elif wrong:
            failed = True
            lines.append(f"[-]{check} failed: reason withheld")
        else:
            lines.append(f"[+]{check} ok")
    if unknown := excluded - checks.keys():
        names = ", ".join(f'"{one}"' for one in sorted(unknown))
        lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
    if not failed and not any(key == "verbose" for key, _ in fields):
        return Answer(200, b"ok", TEXT)
    lines.append(f"{kind} check {'failed' if failed else 'passed'}")
    return Answer(500 if failed else 200, "\n".join(lines).encode() + b"\n", TEXT)
