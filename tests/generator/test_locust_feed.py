"""What Locust is told agrees with what was sent; the cases stand in a program of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).parents[1] / "locustfiles" / "feed_cases.py"


def test_locust_counts_batches_as_it_counts_single_requests() -> None:
    """Batches, failures at once, and listeners of the user's own."""
    done = subprocess.run([sys.executable, str(CASES)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
