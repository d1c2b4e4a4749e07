"""A phase's samples made in memory, without the detour over a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aether_load.rundata.samples.table import PhaseSamples


def made_samples(
    sent_ns: Sequence[int] | NDArray[Any],
    ended_ns: Sequence[int] | NDArray[Any],
    window_ns: tuple[int | None, int | None],
    **columns: Any,
) -> PhaseSamples:
    """Return samples of closed load; what `columns` does not say is 0, which is `ok` for an outcome."""
    count = len(sent_ns)
    nodes = np.shape(columns.get("node_times_ms", [[0]]))[-1] if count else 1
    kinds = {
        "request_index": np.int64, "worker": np.int16, "due_ns": np.int64, "dataset": np.int16, "outcome": np.int8,
        "server_total_ms": np.int32, "token_cost": np.int64, "answer_state": np.int8, "correct": np.int8,
        "late_ns": np.int64, "sent_nodes": np.int32, "execution_key": np.uint64, "name": np.int16,
    }  # fmt: skip
    of_nodes = {"node_times_ms": np.int32, "node_states": np.int8, "node_cached": np.int8}
    plain = {"request_index": range(count), "due_ns": sent_ns, "sent_nodes": [nodes] * count} | columns
    made: dict[str, Any] = {name: np.array(plain.get(name, [0] * count), kind) for name, kind in kinds.items()}
    made |= {
        name: np.array(plain.get(name, np.zeros((count, nodes))), kind).reshape(count, nodes)
        for name, kind in of_nodes.items()
    }
    return PhaseSamples(
        **made, sent_ns=np.array(sent_ns, np.int64), ended_ns=np.array(ended_ns, np.int64), cycles_total=0,
        window_began_ns=window_ns[0], window_ended_ns=window_ns[1],
    )  # fmt: skip
