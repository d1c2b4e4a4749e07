"""`aether_load` itself: the names that are public, and what importing it costs."""

import subprocess
import sys

import pytest

import aether_load

PUBLIC = {
    "AetherLoadError",
    "AetherUser",
    "Execution",
    "ExitCode",
    "ResultsError",
    "Run",
    "RunDataWarning",
    "TargetError",
    "UsageError",
    "__version__",
    "open_results",
    "open_run",
}


def test_the_public_names_are_exactly_these() -> None:
    """Each is there, and dir() shows no other."""
    assert set(aether_load.__all__) == set(dir(aether_load)) == PUBLIC
    # In a process of its own: what AetherUser imports changes the whole process.
    program = f"import aether_load; print([n for n in {sorted(PUBLIC)} if getattr(aether_load, n) is None])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
    with pytest.raises(AttributeError, match="has no attribute 'open_runs'"):
        aether_load.open_runs  # noqa: B018


def test_importing_it_imports_nothing_heavy() -> None:
    """A process that sends may import it: no pandas, NumPy, pyarrow, SciPy, Locust or gevent."""
    heavy = {"pandas", "numpy", "pyarrow", "scipy", "locust", "gevent"}
    program = f"import sys, aether_load; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
