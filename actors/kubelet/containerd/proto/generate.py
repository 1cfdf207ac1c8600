"""Regenerate this folder's `*_pb2.py(i)` from its `.proto` files: `python -m actors.kubelet.containerd.proto.generate`.

Neighbours: `actors.api.codegen` compiles; `rpc.py` reads the services out of these modules' descriptors.
"""

import sys
from pathlib import Path

from actors.api.codegen import generate

if __name__ == "__main__":
    sys.exit(generate(Path(__file__).resolve().parent))
