"""Gives back the pages of gRPC's library that only its start needed.

Its code is 16 MB, which no other process of a cluster maps; a third of the 10 MB that are mapped after a start are of
its initialization, and of what lies beside that, for the kernel maps 64 KB at a time. They are the file's pages, never
written to: whatever is needed again is mapped again from the page cache, where it stays until the machine wants the
memory for something else.

What can go wrong: nothing that matters; a mapping with a page of its own (relocated, or written to) is left alone.

Neighbours: `driver` calls it once the node works.
"""

import ctypes
import mmap
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

LIBRARY = "/cygrpc."  # in the path of the file
SMAPS = Path("/proc/self/smaps")
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ")


def clean_mappings(smaps: Iterable[str], library: str) -> Iterator[tuple[int, int]]:
    """Yield (address, length) of a library's mappings that nobody can write to, with the file's pages alone."""
    begin = end = 0
    for line in smaps:
        if found := _MAPPING.match(line):
            begin, end = int(found[1], 16), int(found[2], 16)
            if library not in line or "w" in found[3]:
                begin = 0
        elif begin and line.startswith("Anonymous:"):
            if line.split()[1] == "0":
                yield begin, end - begin
            begin = 0


def give_back() -> None:
    """Unmap the library's clean pages. Reading the table takes a few ms."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    with SMAPS.open(encoding="utf-8", errors="replace") as table:
        mappings = list(clean_mappings(table, LIBRARY))
    for begin, length in mappings:
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(length), mmap.MADV_DONTNEED)
