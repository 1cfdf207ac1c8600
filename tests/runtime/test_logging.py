"""What a process loads to write its log."""

import subprocess
import sys

SCRIPT = """
import sys
import runtime.logging
loaded = [name for name in sys.modules if name.partition(".")[0] in ("rich", "pygments")]
assert not loaded, loaded
runtime.logging.configure(console=True)
runtime.logging.logger_of("a").error("it says so", exc_info=ValueError("why"))
"""


def test_it_leaves_out_what_only_colours_tracebacks():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "it says so" in done.stderr
    assert "ValueError: why" in done.stderr
