"""Which pages may be given back, by an imagined table of mappings and by this process's own."""

import subprocess
import sys

import pytest

from actors.kubelet.containerd.unneeded import clean_mappings

TABLE = """\
7f00-7f10 r--p 00000000 fe:00 21 /v/cygrpc.cpython-311.so
Rss:                  64 kB
Anonymous:             0 kB
7f10-7f40 r-xp 00010000 fe:00 21 /v/cygrpc.cpython-311.so
Anonymous:             0 kB
7f40-7f50 r--p 00040000 fe:00 21 /v/cygrpc.cpython-311.so
Anonymous:             4 kB
7f50-7f60 rw-p 00050000 fe:00 21 /v/cygrpc.cpython-311.so
Anonymous:             0 kB
8000-9000 r-xp 00000000 fe:00 22 /lib/libother.so
Anonymous:             0 kB
"""


def test_only_clean_pages_of_the_library_itself():
    found = list(clean_mappings(TABLE.splitlines(), "/cygrpc."))
    assert found == [(0x7F00, 0x10), (0x7F10, 0x30)]


PROGRAM = """
import re
import grpc
from actors.kubelet.containerd.unneeded import give_back

def mapped():
    table, total, ours = open("/proc/self/smaps"), 0, False
    for line in table:
        if re.match("[0-9a-f]+-", line):
            ours = "/cygrpc." in line
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total

before = mapped()
give_back()
after = mapped()
channel = grpc.insecure_channel("unix:///nowhere")
channel.close()
print(before, after)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the table is Linux's")
def test_grpc_goes_on_when_its_pages_were_given_back():
    said = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    before, after = map(int, said.stdout.split())
    assert after < before / 2
