"""Run lm-eval with the model aether_stub."""

from __future__ import annotations

from aether_load.errors import UsageError


def run(words: list[str]) -> int:
    """Hand the words over to lm-eval and return the run's exit code."""
    try:
        from aether_load.evaluation.aether_stub import run_lm_eval  # noqa: PLC0415 -- lm-eval's start takes seconds
    except ModuleNotFoundError as error:
        if error.name != "lm_eval":
            raise
        raise UsageError("lm-eval is not installed: pip install 'aether-load[lm-eval]'.") from None
    return run_lm_eval(words)
