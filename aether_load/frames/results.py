"""Read all runs of a results folder as one DataFrame."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from aether_load.analysis.report import build_report
from aether_load.errors import AetherLoadError, UsageError
from aether_load.frames.notes import warn
from aether_load.frames.summary import read_summary, run_frame, typed
from aether_load.outputs.summary import header_mistake
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.locate import runs_in


def open_results(folder: str | Path = "results") -> pd.DataFrame:
    """Return all runs of a results folder, oldest first: the rows of its summary.csv, and of runs that are not in it.

    A row is a run, phase and dataset (`all` for all of them). Runs without rows in summary.csv crashed, are still being
    written, or were copied there; their reports are made anew. What cannot be read is left out, with a RunDataWarning.
    Gates are left out. Raises UsageError where there is no run.
    """
    path = Path(folder)
    summary = path / "summary.csv"
    frames = []
    if summary.is_file() and summary.stat().st_size:
        if (mistake := header_mistake(summary)) is None:
            frames.append(read_summary(summary))
        else:
            warn(path, mistake.rstrip("."))
    known = set(frames[0]["run_id"]) if frames else set()
    others = [run for run in runs_in(path) if run.path.name not in known]
    frames += [frame for run in others if (frame := _frame_of(run)) is not None]
    if not frames and not others:
        raise UsageError(f"{path} holds no runs: it has no summary.csv, and no folder of a run in runs/.")
    everything = pd.concat([frame.astype("object") for frame in frames]) if frames else pd.DataFrame()
    return typed(everything).sort_values(["time", "run_id"], kind="stable", ignore_index=True)


def _frame_of(folder: RunFolder) -> pd.DataFrame | None:
    """Return a run's rows; None for a gate, and for a run of which nothing can be read."""
    try:
        manifest = folder.read_manifest()
        if manifest.gate is not None:
            return None
        if manifest.ended_as == "running":
            warn(folder.path, "the run is still being written, or it crashed; it was read as far as it goes")
        return run_frame(build_report(folder))
    except AetherLoadError as error:
        warn(folder.path, f"the run is left out: {str(error).rstrip('.')}")
        return None
