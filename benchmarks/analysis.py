"""What a large run's analysis takes: `aether-load report` on a folder of so many samples, on one core.

The folder is made up here: open load, `--nodes` nodes a request, a phase as long as the requests take at 5,000/s,
a reading of /metrics and of both processes each second, counts that reconcile. The bar: 10,000,000 samples in under
60 s and under 2 GB of resident memory, with every output that a run leaves behind. Needs 2 GB of disk for 10,000,000.

    python benchmarks/analysis.py [--samples 10000000] [--nodes 1] [--rounds 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from aether_load.rundata.samples import SCHEMA
from support.setting import BenchmarkFailed, cores, end_children_on_sigterm, pinned, surroundings, write_json

from aether_load.analysis.server.client_counts import bucket_of_counts
from aether_load.datasets.prompt import DatasetIdentity
from aether_load.protocol import (
    BUCKET_EDGES_MS,
    ERRORS_TOTAL,
    EXECUTED_NODES_TOTAL,
    EXECUTION_TIME_SECONDS,
    TOKEN_COST_TOTAL,
    Generation,
    NodeShape,
)
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import ClockPair, Manifest, PhaseRecord, TargetRecord
from aether_load.rundata.process_usage import SenderReading, ServerReading
from aether_load.rundata.scrapes import RawScrape

BAR_S = 60.0
BAR_MB = 2000
PER_SECOND = 5_000
_BATCH = 65_536
_DATASETS = ("hellaswag", "piqa", "winogrande", "arc_easy", "arc_challenge")
_PROMPTS = 400
_BEGAN_NS = 10**13
_UTC = "2026-03-04T05:06:07.000000Z"
_TOKENS = 71


def main() -> None:
    """Measure and print; with --json write the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.samples < 1 or arguments.nodes < 1 or arguments.rounds < 1:
        parser.error("--samples, --nodes and --rounds must be 1 or more")
    end_children_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = make_run(Path(name), arguments.samples, arguments.nodes)
        size = folder.samples.stat().st_size
        rounds = [_report(folder, cores()[1]) for _ in range(arguments.rounds)]
    seconds, megabytes = (max(found[key] for found in rounds) for key in ("seconds", "resident_max_mb"))
    print(
        f"{arguments.samples} samples of {arguments.nodes} nodes ({size / 1e9:.2f} GB): {seconds:.1f} s, "
        f"{megabytes:.0f} MB at most (the bar for 10,000,000 of one node: {BAR_S:g} s, {BAR_MB} MB)"
    )
    result = surroundings("none") | {"samples": arguments.samples, "nodes": arguments.nodes, "rounds": rounds}
    write_json(arguments.json, result)
    if seconds > BAR_S or megabytes > BAR_MB:
        raise SystemExit("above the bar")


def _report(folder: RunFolder, core: int) -> dict[str, float]:
    """Run the command to its end, on one core; return what it took."""
    with pinned(core), tempfile.TemporaryFile() as out:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "aether_load", "report", str(folder.path)], stdout=out, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read().decode()
    if process.returncode != 0 or "trusted, 0 unexplained" not in said:
        raise BenchmarkFailed(f"exit code {process.returncode}: {said[-3000:]}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu_s": cpu_s, "resident_max_mb": usage.ru_maxrss / 1000}


def make_run(results: Path, samples: int, nodes: int) -> RunFolder:
    """Write a run's folder."""
    folder = RunFolder(results / "runs" / "20260304T050607Z-made-0001")
    folder.path.mkdir(parents=True)
    seconds = max(1, -(-samples // PER_SECOND))
    counted = _write_samples(folder.samples, samples, nodes)
    shapes = tuple(NodeShape(f"node_{place}", (f"node_{place - 1}",) if place else ()) for place in range(nodes))
    end_ns = _BEGAN_NS + (seconds + 2) * 10**9
    _write_lines(
        folder.scrapes,
        [
            _scrape("before", _BEGAN_NS - 10**6, counted * 0),
            *(
                _scrape("during", _BEGAN_NS + second * 10**9, counted * max(0, second - 2) // (seconds + 2))
                for second in range(1, seconds)
            ),
            _scrape("after", end_ns - 10**6, counted),
        ],
    )
    instants = [_BEGAN_NS + second * 10**9 for second in range(seconds + 1)]
    _write_lines(folder.sender, [SenderReading(0, at, at / 2e9, 150_000_000) for at in instants])
    _write_lines(folder.server, [ServerReading(at, at / 3e9, 90_000_000, 1, ("aether",)) for at in instants])
    began, ended = ClockPair(_BEGAN_NS, _UTC), ClockPair(end_ns, _UTC)
    phase = {"name": "closed", "users": 64, "requests": samples}
    folder.write_manifest(
        Manifest(
            id=folder.path.name,
            scenario={"name": "made", "max_error_rate": 1.0, "phases": [phase]},
            command=["locust"],
            seed=1,
            target=TargetRecord(url="http://127.0.0.1:3000", kind="runtime", generation=Generation.V2, server=None),
            datasets=tuple(
                DatasetIdentity(
                    name=name, source="file", location="x", config=None, split=None, revision="sha256:0",
                    rows_available=80, rows_used=80,
                )
                for name in _DATASETS
            ),
            node_ids=tuple(shape.id for shape in shapes),
            nodes=shapes,
            began=began,
            ended=ended,
            ended_as="completed",
            phases=[
                PhaseRecord(
                    name="closed", users=64, load="open", rate_rps=float(PER_SECOND), began=began,
                    window_began_ns=_BEGAN_NS, window_ended_ns=_BEGAN_NS + seconds * 10**9, ended=ended,
                    ended_by="requests",
                )
            ],
        )
    )  # fmt: skip
    return folder


def _write_samples(path: Path, samples: int, nodes: int) -> np.ndarray:
    """Write the samples; return what the server counted: buckets, node time in ms, and nodes."""
    rng = np.random.default_rng(1)
    counted = np.zeros(len(BUCKET_EDGES_MS) + 1, np.int64)
    time_ms = 0
    vocabulary = {
        "phase": ["closed"],
        "prompt_id": [f"{name}/{row}" for name in _DATASETS for row in range(_PROMPTS // len(_DATASETS))],
        "dataset": list(_DATASETS),
        "outcome": ["ok"],
        "answer_state": ["answered"],
        "answer": ["A", "B"],
        "error": [],
        "state": ["succeeded"],
    }
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA) as stream:
        for start in range(0, samples, _BATCH):
            count = min(_BATCH, samples - start)
            index = np.arange(start, start + count)
            times = np.minimum(rng.lognormal(4, 0.6, (count, nodes)), 9000).astype(np.int64)
            total = times.sum(axis=1)
            due = _BEGAN_NS + index * (10**9 // PER_SECOND)
            sent = due + rng.integers(0, 200_000, count)
            ended = sent + total * 1_000_000 + rng.integers(1_000_000, 4_000_000, count)
            counted += bucket_of_counts(times.ravel())
            time_ms += int(times.sum())
            prompt = index % _PROMPTS
            offsets = pa.array(np.arange(count + 1, dtype=np.int32) * nodes)
            values = {
                "phase": _words(np.zeros(count), "phase", vocabulary["phase"]),
                "worker": pa.array(np.zeros(count, np.int16)),
                "request_index": pa.array(index),
                "prompt_id": _words(prompt, "prompt_id", vocabulary["prompt_id"]),
                "dataset": _words(prompt // (_PROMPTS // len(_DATASETS)), "dataset", vocabulary["dataset"]),
                "intended_start_ns": pa.array(due),
                "sent_ns": pa.array(sent),
                "ended_ns": pa.array(ended),
                "service_latency_us": pa.array((ended - sent) // 1000),
                "response_latency_us": pa.array((ended - due) // 1000),
                "outcome": _words(np.zeros(count), "outcome", vocabulary["outcome"]),
                "http_status": pa.array(np.full(count, 200, np.int16)),
                "server_total_ms": pa.array(total),
                "node_times_ms": pa.ListArray.from_arrays(offsets, pa.array(times.ravel())),
                "node_states": pa.ListArray.from_arrays(
                    offsets, _words(np.zeros(count * nodes), "outcome", vocabulary["state"])
                ),
                "node_cached": pa.ListArray.from_arrays(offsets, pa.array(np.zeros(count * nodes, np.bool_))),
                "token_cost": pa.array(np.full(count, _TOKENS * nodes)),
                "answer_state": _words(np.zeros(count), "answer_state", vocabulary["answer_state"]),
                "answer": _words(index % 2, "answer", vocabulary["answer"]),
                "correct": pa.array(index % 2 == 0),
                "execution_id": pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(16), count, [None, pa.py_buffer(rng.bytes(16 * count))]
                ),
                "error": pa.DictionaryArray.from_arrays(
                    pa.nulls(count, pa.int16()), pa.array(vocabulary["error"], pa.string())
                ),
                "level_times_ms": pa.ListArray.from_arrays(offsets, pa.array(times.ravel())),
            }
            stream.write_batch(pa.RecordBatch.from_arrays([values[name] for name in SCHEMA.names], schema=SCHEMA))
    return np.array([*counted, time_ms, samples * nodes])


def _words(places: np.ndarray, column: str, words: list[str]) -> pa.DictionaryArray:
    kind = SCHEMA.field(column).type.index_type.to_pandas_dtype()
    return pa.DictionaryArray.from_arrays(pa.array(places.astype(kind)), pa.array(words, pa.string()))


def _scrape(role: str, at_ns: int, counted: np.ndarray) -> RawScrape:
    """Return a reading of a runtime that has counted so many nodes."""
    *buckets, time_ms, nodes = (int(count) for count in counted)
    # Parts of a whole are cut off one by one; the histogram must agree with itself.
    nodes = sum(buckets)
    lines = []
    for name, value in ((EXECUTED_NODES_TOTAL, nodes), (TOKEN_COST_TOTAL, nodes * _TOKENS), (ERRORS_TOTAL, 0)):
        lines += [f"# TYPE {name} counter", f"{name} {value}"]
    lines.append(f"# TYPE {EXECUTION_TIME_SECONDS} histogram")
    running = 0
    for edge, count in zip([*(edge / 1000 for edge in BUCKET_EDGES_MS), "+Inf"], buckets, strict=True):
        running += count
        lines.append(f'{EXECUTION_TIME_SECONDS}_bucket{{le="{edge}"}} {running}')
    lines += [f"{EXECUTION_TIME_SECONDS}_sum {time_ms / 1000}", f"{EXECUTION_TIME_SECONDS}_count {running}"]
    text = "\n".join(lines) + "\n"
    return RawScrape(phase="closed", role=role, began_ns=at_ns, ended_ns=at_ns + 10**6, began_utc=_UTC, text=text)


def _write_lines(path: Path, values: list[Any]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(value) + b"\n" for value in values))


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as failure:
        raise SystemExit(str(failure)) from None
