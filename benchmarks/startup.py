"""Start-up of the command line: `--help` under 0.5 s, `plan` under 3 s."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "pipeline.cli"]
SPEC = Path(__file__).parent.parent / "examples" / "pattern.yaml"
CASES = {
    "cartograd --help": ([*COMMAND, "--help"], 0.5),
    "cartograd plan examples/pattern.yaml": ([*COMMAND, "plan", str(SPEC)], 3.0),
    "baseline: python -c 'import torch'": ([sys.executable, "-c", "import torch"], None),
}
RUNS = 5


def main() -> None:
    """Median wall time of each command over five runs after a warm-up."""
    for name, (command, limit) in CASES.items():
        times = []
        for _ in range(RUNS + 1):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
        median = statistics.median(times[1:])
        wanted = "" if limit is None else f" (wanted: under {limit} s)"
        print(f"{name}: {median:.2f} s{wanted}")
