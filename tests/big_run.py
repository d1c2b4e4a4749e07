"""A run of as many requests as wanted, fabricated: what the second half and the page do with it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from aether_load.protocol import NodeState, Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.json_lines import read_lines
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import NODE, RequestRecord
from aether_load.rundata.records.record_writer import RecordWriter
from aether_load.rundata.scrapes import RawScrape
from folders import BEGAN_NS, MS, answered, counted, make_run, write_lines

DATASETS = ("hellaswag", "piqa", "winogrande", "arc_easy", "arc_challenge")


def make_big_run(results: Path, requests: int, rate_rps: int = 1000) -> RunFolder:
    """Write a run of one closed phase in which `rate_rps` requests a second were answered, lognormal in latency."""
    length_ms = requests / rate_rps * 1000
    folder = make_run(results, [answered(0, 1)], window_ms=(0, length_ms), phase_ms=length_ms + 20_000, users=80)
    times = _write_records(folder, requests, rate_rps)
    before, after = read_lines(folder.scrapes, RawScrape).values
    write_lines(folder.scrapes, [before, msgspec.structs.replace(after, text=counted(times))])
    manifest = folder.read_manifest()
    (identity,) = manifest.datasets
    manifest.datasets = tuple(msgspec.structs.replace(identity, name=name) for name in DATASETS)
    manifest.rows_total = {folder.records.name: requests}
    folder.write_manifest(manifest)
    return folder


def _write_records(folder: RunFolder, requests: int, rate_rps: int) -> list[int]:
    chance = np.random.default_rng(1)
    times: list[int] = np.minimum(chance.lognormal(4, 0.5, requests), 9000).astype(np.int64).tolist()
    buffer = RecordBuffer(
        [f"{name}/{row}" for name in DATASETS for row in range(10)], [name for name in DATASETS for _ in range(10)]
    )
    phase = buffer.phases.place("closed")
    writer = RecordWriter(buffer, folder.records)
    step = 1_000_000_000 // rate_rps
    right = chance.random(requests) < 0.7
    for place, time in enumerate(times):
        sent = BEGAN_NS + place * step
        record = RequestRecord(
            place, sent, sent, sent + (time + 2) * MS, 7, time, place % 50, 1, phase=phase, http_status=200,
            outcome=Outcome.OK, answer_state=0, correct=int(right[place]),
        )  # fmt: skip
        buffer.add(record, NODE.pack(time, NodeState.SUCCEEDED, 0))
        while writer.write_block():
            pass
    writer.finish()
    writer.close()
    return times
