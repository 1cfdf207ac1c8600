"""Every figure of docs/benchmarks.md: python tests/bench/run.py [PART ...]

Parts: bus, state, etcd, beside, scheduler, scheduling, scale, held, simulated, real (needs root). Without a part, all
that this machine can do. Run it on an otherwise idle machine.
"""

import os
import subprocess
import sys
from pathlib import Path

PARTS = {
    "bus": ["-m", "tests.bench.bench_bus"],
    "state": ["-m", "tests.bench.bench_state"],
    "etcd": ["-m", "tests.bench.bench_etcd"],
    "beside": ["-m", "tests.bench.bench_beside_etcd"],
    "scheduler": ["-m", "tests.bench.bench_scheduler"],
    "scheduling": ["-m", "tests.bench.bench_scheduling"],
    "scale": ["-m", "tests.bench.bench_simulated"],
    "held": ["-m", "tests.bench.bench_held"],
    "simulated": ["-m", "tests.bench.bench_cluster"],
    "real": ["-m", "tests.bench.bench_cluster", "--real"],
}


def main() -> int:
    wanted = sys.argv[1:] or [part for part in PARTS if part != "real" or os.geteuid() == 0]
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    failed = False
    for part in wanted:
        print(f"== {part}", flush=True)
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run([sys.executable, *PARTS[part]], cwd=root, check=False)
        failed = failed or done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
