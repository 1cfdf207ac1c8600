"""Running a program of the machine (nft, ip, ctr, ...) to its end: with a deadline, without a shell, with its own words
in the error.

Input goes through a file without a name, not through a pipe: a program that ends without having read it all, or before
it is written, is then no special case. A program whose caller is cancelled is killed.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile

DEADLINE_S = 30.0  # unless the caller knows better
QUOTED = 2000  # characters of a program's complaint that go into an error
SYSTEM_DIRS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")


class CommandFailed(Exception):
    """A program is missing, said no, or took too long."""


def find_program(program: str) -> str | None:
    """Return the path of a program, looking into the system's folders too: /usr/sbin is not in everybody's PATH."""
    return shutil.which(program) or shutil.which(program, path=os.pathsep.join(SYSTEM_DIRS))


async def run(program: str, *words: str, text: str = "", deadline_s: float = DEADLINE_S) -> str:
    """Run a program with `text` as its standard input; return what it printed. Raises CommandFailed."""
    path = find_program(program)
    if path is None:
        raise CommandFailed(f"{program} is not installed")
    with tempfile.TemporaryFile() as given:
        given.write(text.encode())
        given.seek(0)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(path, *words, stdin=given, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(deadline_s):
            printed, complained = await process.communicate()
    except (TimeoutError, asyncio.CancelledError) as error:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
            process.kill()
        await process.wait()
        if isinstance(error, asyncio.CancelledError):
            raise
        raise CommandFailed(f"{program} {' '.join(words)}: no end after {deadline_s:.0f} s") from error
    if process.returncode:
        said = complained.decode(errors="replace").strip()[:QUOTED] or f"exit status {process.returncode}"
        raise CommandFailed(f"{program} {' '.join(words)}: {said}")
    return printed.decode(errors="replace")
