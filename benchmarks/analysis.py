"""Measure what the analysis of a large run takes: `aether-load report` on so many requests, on one core.

The benchmark makes the run's folder: open load, `--nodes` nodes a request, a phase as long as the requests take at
5,000/s, a reading of /metrics and of both processes each second, counts that reconcile. The bar: 20 s of CPU time for
10,000,000 requests, and in proportion for more, with every output that a run leaves; 1.5 GB of memory for as many, and
3 GB for 50,000,000. Memory is what the process has for itself: pages of files, in which the columns of more than
16,000,000 requests lie, are the system's to write out. Needs 1 GB of disk for 10,000,000 requests and 10 GB for
50,000,000.

    python benchmarks/analysis.py [--requests 10000000] [--nodes 1] [--rounds 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from support.setting import BenchmarkFailed, cores, end_children_on_sigterm, environment, pinned, write_json

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
    NodeState,
)
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.json_lines import LineFile
from aether_load.rundata.manifest import ClockPair, Manifest, PhaseRecord, TargetRecord
from aether_load.rundata.process_usage import SenderReading, ServerReading
from aether_load.rundata.records.record_buffer import BLOCK_ROWS
from aether_load.rundata.records.record_file import RecordFile
from aether_load.rundata.records.record_format import ABSENT, ANSWER, DATASET, PHASE, PROMPT, TEXT, Block
from aether_load.rundata.records.record_reader import NODE_TYPE, REQUEST_TYPE
from aether_load.rundata.scrapes import RawScrape

BAR_CPU_S = 20.0
BAR_REQUESTS = 10_000_000
BAR_MB, BAR_BEYOND_MB = 1500, 3000
PER_SECOND = 5_000
_BATCH = 256 * BLOCK_ROWS
_DATASETS = ("hellaswag", "piqa", "winogrande", "arc_easy", "arc_challenge")
_PROMPTS = 400
_BEGAN_NS = 10**13
_UTC = "2026-03-04T05:06:07.000000Z"
_TOKENS = 71


def main() -> None:
    """Measure and print; with --json write the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000_000)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.requests < 1 or arguments.nodes < 1 or arguments.rounds < 1:
        parser.error("--requests, --nodes and --rounds must be 1 or more")
    end_children_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = make_run(Path(name), arguments.requests, arguments.nodes)
        size = folder.records.stat().st_size
        rounds = [_report(folder, cores()[1]) for _ in range(arguments.rounds)]
    cpu_s, own_mb, resident_mb = (
        max(found[key] for found in rounds) for key in ("cpu_s", "own_max_mb", "resident_max_mb")
    )
    bar_s = BAR_CPU_S * max(1.0, arguments.requests / BAR_REQUESTS)
    bar_mb = BAR_MB if arguments.requests <= BAR_REQUESTS else BAR_BEYOND_MB
    print(
        f"{arguments.requests} requests of {arguments.nodes} nodes ({size / 1e9:.2f} GB): {cpu_s:.1f} s of CPU time, "
        f"{own_mb:.0f} MB at most, {resident_mb:.0f} MB with pages of files (the bar: {bar_s:g} s, {bar_mb} MB)"
    )
    result = environment("none") | {"requests": arguments.requests, "nodes": arguments.nodes, "rounds": rounds}
    write_json(arguments.json, result)
    if cpu_s > bar_s or own_mb > bar_mb:
        raise SystemExit("above the bar")


def _report(folder: RunFolder, core: int) -> dict[str, float]:
    """Run the command on one core to its end; return what it took."""
    with pinned(core), tempfile.TemporaryFile() as out:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "aether_load", "report", str(folder.path)], stdout=out, stderr=subprocess.STDOUT
        )
        own_mb = 0.0
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            own_mb = max(own_mb, _own_mb(process.pid))
            time.sleep(0.05)
        _, status, usage = ended
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read().decode()
    if process.returncode != 0 or "trusted, 0 unexplained" not in said:
        raise BenchmarkFailed(f"exit code {process.returncode}: {said[-3000:]}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return {
        "seconds": seconds, "cpu_s": cpu_s, "own_max_mb": own_mb, "resident_max_mb": usage.ru_maxrss / 1000,
    }  # fmt: skip


def _own_mb(pid: int) -> float:
    """Return the memory that a process has for itself: anonymous pages, which no file holds."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("RssAnon:")), 0.0)


def make_run(results: Path, requests: int, nodes: int) -> RunFolder:
    """Write a run's folder."""
    folder = RunFolder(results / "runs" / "20260304T050607Z-made-0001")
    folder.path.mkdir(parents=True)
    seconds = max(1, -(-requests // PER_SECOND))
    counted = _write_records(folder.records, requests, nodes)
    shapes = tuple(NodeShape(f"node_{place}", (f"node_{place - 1}",) if place else ()) for place in range(nodes))
    end_ns = _BEGAN_NS + (seconds + 2) * 10**9
    lines: dict[str, int] = {}
    lines[folder.scrapes.name] = _write_lines(
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
    lines[folder.sender.name] = _write_lines(
        folder.sender, [SenderReading(0, at, at / 2e9, 150_000_000) for at in instants]
    )
    lines[folder.server.name] = _write_lines(
        folder.server, [ServerReading(at, at / 3e9, 90_000_000, 1, ("aether",)) for at in instants]
    )
    began, ended = ClockPair(_BEGAN_NS, _UTC), ClockPair(end_ns, _UTC)
    phase = {"name": "closed", "users": 64, "requests": requests}
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
            rows_total={folder.records.name: requests},
            lines_total=lines,
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


def _write_records(path: Path, requests: int, nodes: int) -> NDArray[np.int64]:
    """Write the records; return what the server counted: buckets, node time in ms, and nodes."""
    rng = np.random.default_rng(1)
    counted = np.zeros(len(BUCKET_EDGES_MS) + 1, np.int64)
    time_ms = blocks = 0
    file = RecordFile(path)
    texts = _texts()
    for start in range(0, requests, _BATCH):
        count = min(_BATCH, requests - start)
        times = np.minimum(rng.lognormal(4, 0.6, (count, nodes)), 9000).astype(np.int64)
        counted += bucket_of_counts(times.ravel())
        time_ms += int(times.sum())
        rows, levels = _rows(rng, np.arange(start, start + count), times), times.astype("<i4")
        parts = np.zeros(times.shape, NODE_TYPE)
        parts["time_ms"], parts["state"] = times, NodeState.SUCCEEDED
        for row in range(0, count, BLOCK_ROWS):
            piece = slice(row, row + BLOCK_ROWS)
            sections = (rows[piece].tobytes(), parts[piece].tobytes(), levels[piece].tobytes())
            file.write(Block(texts, *sections, b"", b"", blocks, start + row).pieces())
            texts = b""
            blocks += 1
    file.write(Block(b"", b"", b"", b"", b"", b"", blocks, requests).pieces())
    file.close()
    return np.array([*counted, time_ms, requests * nodes])


def _texts() -> bytes:
    """Return the texts that the requests cite: prompts, each with its dataset, one phase and two answers."""
    texts = [(DATASET, place, name, ABSENT) for place, name in enumerate(_DATASETS)]
    for place in range(_PROMPTS):
        dataset, row = divmod(place, _PROMPTS // len(_DATASETS))
        texts.append((PROMPT, place, f"{_DATASETS[dataset]}/{row}", dataset))
    texts += [(PHASE, 0, "closed", ABSENT), (ANSWER, 0, "A", ABSENT), (ANSWER, 1, "B", ABSENT)]
    return b"".join(TEXT.pack(table, place, link, len(text)) + text.encode() for table, place, text, link in texts)


def _rows(rng: np.random.Generator, index: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.void]:
    """Return requests whose nodes took these times, all answered."""
    count, nodes = times.shape
    total = times.sum(axis=1)
    rows = np.zeros(count, REQUEST_TYPE)
    rows["request_index"] = index
    rows["due_ns"] = _BEGAN_NS + index * (10**9 // PER_SECOND)
    rows["sent_ns"] = rows["due_ns"] + rng.integers(0, 200_000, count)
    rows["ended_ns"] = rows["sent_ns"] + total * 1_000_000 + rng.integers(1_000_000, 4_000_000, count)
    rows["tokens"], rows["server_total_ms"] = _TOKENS * nodes, total
    rows["prompt"] = index % _PROMPTS
    rows["nodes"] = rows["levels"] = nodes
    rows["length"], rows["http_status"] = 1500, 200
    rows["answer"], rows["correct"] = index % 2, index % 2 == 0
    rows["error"] = rows["name"] = ABSENT
    rows["execution_id"] = np.frombuffer(rng.bytes(16 * count), "V16")
    return rows


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


def _write_lines(path: Path, values: Sequence[msgspec.Struct]) -> int:
    """Write a file of JSON lines; return how many there are."""
    file = LineFile(path)
    for value in values:
        file.append(value)
    file.write_out()
    file.close()
    return file.lines_total


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as failure:
        raise SystemExit(str(failure)) from None
