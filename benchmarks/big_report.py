"""Measure how long a report of many requests takes, and how big its page is.

The benchmark makes up a run of one phase with the record writer of a real run, and `aether-load report` writes all of
its results in a process of its own. The bar: 1,000,000 requests give a page under 3 MB in under 20 s.

    python benchmarks/big_report.py [--requests 1000000] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from big_run import make_big_run

BAR_BYTES = 3_000_000
BAR_S = 20


def main() -> int:
    """Measure and print; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.requests < 1000:
        parser.error("--requests must be 1,000 or more")
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        began = time.monotonic()
        folder = make_big_run(Path(name), arguments.requests)
        made_s = time.monotonic() - began
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "aether_load", "report", str(folder.path)], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        figures = {
            "requests_total": arguments.requests,
            "report_s": round(time.monotonic() - began, 2),
            "largest_child_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000, 1),
            "records_bytes": folder.records.stat().st_size,
            "page_bytes": folder.page.stat().st_size,
            "report_json_bytes": folder.report.stat().st_size,
        }
    print(f"made in {made_s:.1f} s\n" + "\n".join(f"{key:18} {value:>14,}" for key, value in figures.items()))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return int(figures["page_bytes"] >= BAR_BYTES or figures["report_s"] >= BAR_S)


if __name__ == "__main__":
    sys.exit(main())
