"""Measure what the start-up file costs each start of Python where aether-load is installed: the least of many, ms.

python benchmarks/startup.py
"""

from __future__ import annotations

import re
import subprocess
import sys

STARTS = 30
BAR_MS = 1.0


def main() -> int:
    """Print the cost, and return 1 when it is not below the bar."""
    costs = []
    for _ in range(STARTS):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", "pass"], capture_output=True, text=True, check=True
        )
        found = re.search(r"\|\s+(\d+) \|\s+_aether_load_startup", done.stderr)
        if found is None:
            print("aether-load's start-up file is not installed in this environment")
            return 1
        costs.append(int(found[1]) / 1000)
    costs.sort()
    print(f"start-up file: least {costs[0]:.2f} ms, median {costs[len(costs) // 2]:.2f} ms of {STARTS} starts")
    return 0 if costs[0] < BAR_MS else 1


if __name__ == "__main__":
    sys.exit(main())
