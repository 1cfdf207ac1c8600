"""Running the kernel's tools: nft, ip, conntrack. Each with a deadline, an error that quotes what the tool said, and no
shell in between.

Neighbours: `nft`, `route` and `conntrack`.
"""

import asyncio
import shutil

DEADLINE_S = 30.0  # a transaction of 100,000 elements takes a few seconds
QUOTED = 2000  # characters of a tool's complaint that go into an error


class CommandFailed(Exception):
    """A tool is missing, said no, or took too long."""


async def run(*command: str, text: str = "") -> str:
    """Run a command with `text` on its standard input and return its standard output."""
    if shutil.which(command[0]) is None:
        raise CommandFailed(f"{command[0]} is not installed")
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, complaint = await process.communicate(text.encode())
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise CommandFailed(f"{' '.join(command)}: no end after {DEADLINE_S:.0f} s") from error
    if process.returncode:
        said = complaint.decode(errors="replace").strip()[:QUOTED] or f"status {process.returncode}"
        raise CommandFailed(f"{' '.join(command)}: {said}")
    return output.decode(errors="replace")
