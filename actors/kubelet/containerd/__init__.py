"""The containerd driver: pods as real containers, over the CRI.

`driver.py` is the front door (`ContainerdDriver`), `child.py` tells the supervisor how to run containerd itself. Pure
modules: `places`, `config`, `requests`, `replies`, `faults`, `cgroups` (what to write), `podnetwork`, `archive`.
"""
