"""Compute the means of the parts of response latency, dataset by dataset."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.dag_shape import DagShape
from aether_load.analysis.latency.decomposition import Decomposition, PartName, decompose, parts_of
from aether_load.rundata.records.table import PhaseSamples


def part_means(decomposition: Decomposition) -> dict[PartName, float] | None:
    """Return each part's mean contribution in ms, which add up to the mean response latency; None without a request."""
    return {name: part.mean_contribution_ms for name, part in parts_of(decomposition)} or None


def part_means_of(
    samples: PhaseSamples, which: NDArray[np.bool_], shape: DagShape | None, *, sequential: bool
) -> dict[PartName, float] | None:
    """Return the part means of some of a phase's requests."""
    decomposition, _ = decompose(_only(samples, which), shape, sequential=sequential)
    return part_means(decomposition)


def _only(samples: PhaseSamples, which: NDArray[np.bool_]) -> PhaseSamples:
    """Return a phase's samples without the requests that are not meant."""
    columns = {name: getattr(samples, name) for name in samples.__struct_fields__}
    mine = {name: column[which] for name, column in columns.items() if isinstance(column, np.ndarray)}
    return msgspec.structs.replace(samples, **mine)
