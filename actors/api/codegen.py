"""Make a folder's `*_pb2.py(i)` anew from its `.proto` files.

The generated modules are committed, so that an installation needs no compiler. Generated code refuses to load on a
protobuf older than its compiler, never on a newer one; so it is made with the compiler of the oldest protobuf that
`setup.cfg` allows. The `codegen` extra pins it; a newer one is refused here rather than found out by a user.

Neighbours: each `proto` folder has a `generate.py` that calls this. No `*_pb2_grpc.py` is needed: services are read out
of the modules' descriptors.
"""

import sys
from importlib.metadata import version
from pathlib import Path

COMPILER = "1.67."  # grpcio-tools: its protoc makes code for protobuf 5.27.2 and later, setup.cfg asks for >=5.28
ROOT = Path(__file__).resolve().parents[2]  # modules import as actors.*, whatever the working directory


def generate(folder: Path) -> int:
    """Compile every `.proto` of a folder; return the compiler's exit code."""
    from grpc_tools import protoc

    found = version("grpcio-tools")
    if not found.startswith(COMPILER):
        print(f"grpcio-tools {COMPILER}* is needed, {found} is installed: pip install '.[codegen]'", file=sys.stderr)
        return 1
    well_known = Path(protoc.__file__).parent / "_proto"
    options = [f"-I{ROOT}", f"-I{well_known}", f"--python_out={ROOT}", f"--pyi_out={ROOT}"]
    sources = sorted(str(path.relative_to(ROOT)) for path in folder.glob("*.proto"))
    return int(protoc.main(["protoc", *options, *sources]))
