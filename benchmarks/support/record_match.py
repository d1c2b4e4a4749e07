"""Join a run's samples with the record of the simulated runtime that answered them."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aether_load.rundata.folder import RunFolder
from aether_load.rundata.records.record_set import RecordSet, record_parts
from aether_load.rundata.samples.samples_arrow import read_samples


@dataclass(frozen=True)
class Matched:
    """Samples and entries of the same requests, row by row, and counts of everything that could be wrong."""

    sent: NDArray[np.int64]
    ended: NDArray[np.int64]
    arrival: NDArray[np.int64]
    end: NDArray[np.int64]
    counts: dict[str, int]

    @property
    def took_ms(self) -> NDArray[np.float64]:
        """Return our service latencies."""
        return (self.ended - self.sent) / 1e6

    @property
    def took_there_ms(self) -> NDArray[np.float64]:
        """Return the server's own times."""
        return (self.end - self.arrival) / 1e6

    @property
    def wrong(self) -> list[str]:
        """Return the names of the counts that a harness without errors does not have."""
        right = {"samples": self.counts["recorded"], "recorded": self.counts["samples"]}
        return [name for name, count in self.counts.items() if count != right.get(name, 0)]


def match(run: RunFolder, record: Path) -> Matched:
    """Join samples and entries by execution id, and count what does not fit."""
    parts = record_parts(run, run.read_manifest())
    table, faults = read_samples(parts).table, faults_of(RecordSet(parts))
    entries = [json.loads(line) for line in record.open(encoding="utf-8")]
    # The harness learns the generation from the refusal of an empty body, which runs nothing.
    probes = [entry for entry in entries if entry["execution_id"] is None and entry["status"] == 422]
    entries = [entry for entry in entries if entry["execution_id"] is not None]
    known = {uuid.UUID(entry["execution_id"]).bytes: entry for entry in entries}
    ids = table["execution_id"].to_pylist()
    times_seen = Counter(ids)
    rows = [row for row, identifier in enumerate(ids) if identifier in known]
    matched = [known[ids[row]] for row in rows]
    stated = table.select(
        ["outcome", "http_status", "server_total_ms", "token_cost", "node_times_ms", "node_cached"]
    ).take(rows)
    differing = sum(
        tuple(sample.values()) != _as_sample(entry) for sample, entry in zip(stated.to_pylist(), matched, strict=True)
    )
    sent = table["sent_ns"].to_numpy()[rows]
    ended = table["ended_ns"].to_numpy()[rows]
    arrival = np.array([entry["arrival_ns"] for entry in matched], np.int64)
    end = np.array([entry["end_ns"] for entry in matched], np.int64)
    counts = {
        "samples": table.num_rows,
        "recorded": len(entries),
        "faults_of_files": len(faults),
        "samples_without_entry": table.num_rows - len(rows),
        "entries_without_sample": sum(identifier not in times_seen for identifier in known),
        "samples_doubled": sum(count - 1 for count in times_seen.values()),
        "entries_doubled": len(entries) - len(known),
        "probes_too_many": abs(len(probes) - 1),
        "differing": differing,
        "arrived_before_sent": int((arrival < sent).sum()),
        "ended_before_end": int((ended < end).sum()),
        "not_longer_than_there": int((ended - sent <= end - arrival).sum()),
    }
    return Matched(sent, ended, arrival, end, counts)


def _as_sample(entry: dict[str, Any]) -> tuple[Any, ...]:
    """Return what the sample of an entry without failures must say."""
    nodes = entry["nodes"]
    well = entry["sent"] == "whole" and all(node["state"] == "succeeded" for node in nodes)
    return (
        "ok" if well else None,
        entry["status"],
        entry["total_ms"],
        sum(node["tokens"] for node in nodes),
        [node["ms"] for node in nodes],
        [node["cached"] for node in nodes],
    )


def faults_of(records: RecordSet) -> list[str]:
    """Return what is torn or damaged of a run's record files."""
    for _ in records:
        pass
    return [*records.torn, *records.damage]
