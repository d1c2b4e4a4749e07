"""Open one run, and give its parts as DataFrames."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pandas as pd

from aether_load.analysis.latency.dag_shape import DagShape, shape_of
from aether_load.analysis.report import Analysis, Report, analyse
from aether_load.errors import UsageError
from aether_load.frames.instants import RunClock
from aether_load.frames.notes import warn, warn_of
from aether_load.frames.samples import nodes_frame, samples_frame
from aether_load.frames.scrapes import scrapes_frame
from aether_load.frames.series import series_frame
from aether_load.frames.slowest import slowest_frame
from aether_load.frames.summary import datasets_frame, phases_frame
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.json_lines import read_lines
from aether_load.rundata.locate import find_run
from aether_load.rundata.manifest import Manifest
from aether_load.rundata.records.record_set import record_parts
from aether_load.rundata.samples.samples_arrow import SamplesTable, read_samples
from aether_load.rundata.scrapes import RawScrape


def open_run(name: str | Path) -> Run:
    """Open a run by its folder, its id in results/runs/, or `latest`.

    A run that is still being written, that crashed or that is damaged opens too: its frames have all that is sound,
    and a RunDataWarning says what is missing. Raises UsageError where there is no run, ResultsError where its run.json
    is damaged.
    """
    return Run(find_run(name))


class Run:
    """One run, as it was when it was opened: open one that goes on again to see its next phases.

    Each method reads the files that it needs. The columns of each frame are listed in docs/reference/frames.md.
    """

    def __init__(self, folder: RunFolder) -> None:
        """Read the manifest; `open_run` finds the folder."""
        self._files = folder
        self.folder: Path = folder.path
        self.manifest: Manifest = folder.read_manifest()
        self.id: str = self.manifest.id
        if self.manifest.ended_as == "running":
            warn(self.folder, "the run is still being written, or it crashed; its frames end where its files do")

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.manifest.ended_as}, {len(self.manifest.phases)} phases>"

    @property
    def report(self) -> Report:
        """Return the run's report: verdict, warnings, and every figure with its interval; it is made once."""
        return self._analysis.report

    def samples(self) -> pd.DataFrame:
        """Return a row a request."""
        return samples_frame(self._read(), self.manifest)

    def nodes(self) -> pd.DataFrame:
        """Return a row a request and node, of requests whose answers name their nodes."""
        return nodes_frame(self._read(), self.manifest, self._level_of)

    def phases(self) -> pd.DataFrame:
        """Return a row a phase: when it was, and the figures of all its requests in the window."""
        return phases_frame(self.report, self.manifest.phases, RunClock(self.manifest.began))

    def datasets(self) -> pd.DataFrame:
        """Return a row a phase and dataset, with the same figures."""
        return datasets_frame(self.report)

    def series(self) -> pd.DataFrame:
        """Return a row a phase and second."""
        analysis = self._analysis
        names = [phase.name for phase in analysis.report.phases]
        return series_frame(names, analysis.series, self.manifest.began)

    def scrapes(self) -> pd.DataFrame:
        """Return a row a reading of /metrics, metric and bucket."""
        totals = self.manifest.lines_total
        name = self._files.scrapes.name
        lines = read_lines(self._files.scrapes, RawScrape, None if totals is None else totals.get(name, 0))
        warn_of(self.folder, [name] if lines.torn else [], lines.damage)
        return scrapes_frame(lines.values, RunClock(self.manifest.began))

    def slowest(self, count: int = 10) -> pd.DataFrame:
        """Return the requests with the longest response latency, with the parts that each one's latency consists of."""
        read = self._read()
        samples = samples_frame(read, self.manifest)
        nodes = nodes_frame(read, self.manifest, self._level_of)
        return slowest_frame(samples, nodes, self.manifest, self._shape, count)

    def _read(self) -> SamplesTable:
        read = read_samples(record_parts(self._files, self.manifest))
        warn_of(self.folder, read.torn, read.damage)
        return read

    @cached_property
    def _analysis(self) -> Analysis:
        if self.manifest.gate is not None:
            raise UsageError(f"{self.folder} is a gate's run, which has gate.json in place of a report.")
        analysis = analyse(self._files)
        for warning in analysis.report.warnings:
            if warning.code == "damaged":
                warn(self.folder, warning.message.rstrip("."))
        return analysis

    @cached_property
    def _shape(self) -> DagShape | None:
        return shape_of(self.manifest.node_ids, self.manifest.nodes)

    @property
    def _level_of(self) -> tuple[int, ...]:
        return self._shape.level_of if self._shape else ()
