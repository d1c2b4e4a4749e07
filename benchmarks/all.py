"""Run every benchmark, write one table with the machine, and compare it with the last table of the same machine.

Each benchmark is a process of its own, one after the other; one that fails or takes too long is named and costs the
others nothing. The figures are appended to --history as JSON lines, and a figure is compared with the last one of the
same kind of run on the same machine. Peers that are installed (hey, oha, k6, vegeta) are measured in the same run. The
figures decide nothing: the exit code is 0 unless a benchmark failed. 127.0.0.1 only. --quick takes ten minutes, all of
it without --quick about an hour.

    python benchmarks/all.py [--quick] [--only NAME,NAME] [--history FILE] [--page FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from support.setting import HERE, end_children_on_sigterm, environment, python_environment
from support.table import Figure, markdown_page, print_table

HISTORY = HERE.parent / "results" / "benchmarks.jsonl"
LIMIT_S = 1800.0

Found = dict[str, Any]


class Benchmark(NamedTuple):
    """A program of this folder, its options for a quick run, and the figures in what it writes."""

    name: str
    quick: Sequence[str]
    figures: Callable[[Found], Iterator[Figure]]


def _tail(found: Found) -> Iterator[Figure]:
    for load in found["loads"]:
        kind = "open" if load["is_open"] else "closed"
        for client, turns in load["turns"].items():
            for key, unit in (("p50_ms", "ms"), ("p99_ms", "ms"), ("cpu_us", "us")):
                values = [turn[key] for turn in turns if turn.get(key) is not None]
                if values:
                    yield Figure(f"{kind} {load['rate_rps']}/s", client, key.rsplit("_", 1)[0], median(values), unit)


def _sending_path(found: Found) -> Iterator[Figure]:
    for sender, medians in found["medians"].items():
        yield Figure("as fast as it can", sender, "CPU a request", medians["cpu_us_per_request"], "us")
        yield Figure("as fast as it can", sender, "rate", medians["requests_per_s"], "/s", more_is_better=True)


def _open_load(found: Found) -> Iterator[Figure]:
    for rate in sorted({row["rate_rps"] for row in found["rows"]}):
        rows = [row for row in found["rows"] if row["rate_rps"] == rate]
        delay = median(row["start_delay_p99_us"] for row in rows)
        yield Figure(f"open {rate:g}/s", "ours", "start delay p99", delay, "us")
        yield Figure(f"open {rate:g}/s", "ours", "lost", max(row["lost_total"] for row in rows), "")


def _loop_holds(found: Found) -> Iterator[Figure]:
    yield Figure(f"open {found['rate_rps']}/s", "ours", "holds", len(found["holds"]), "")


def _memory(found: Found) -> Iterator[Figure]:
    yield Figure(f"{found['requests']} requests", "ours", "growth", found["grown_mb"], "MB")
    yield Figure(f"{found['requests']} requests", "ours", "memory", found["sizes"][-1]["resident_mb"], "MB")


def _many_users(found: Found) -> Iterator[Figure]:
    yield Figure(f"{found['users']} users", "ours", "CPU a request", found["cpu_us_per_request"], "us")
    yield Figure(f"{found['users']} users", "ours", "memory", found["resident_mb"], "MB")


def _distributed(found: Found) -> Iterator[Figure]:
    for count in ("1", "2"):
        rows = [turn[count] for turn in found["senders"]]
        rate = median(row["rate_rps"] for row in rows)
        yield Figure(f"{count} processes", "ours", "rate", rate, "/s", more_is_better=True)
        if known := [row["cpu_us"] for row in rows if row["cpu_us"] is not None]:
            yield Figure(f"{count} processes", "ours", "CPU a request", median(known), "us")


def _analysis(found: Found) -> Iterator[Figure]:
    for key, unit in (("cpu_s", "s"), ("own_max_mb", "MB")):
        value = median(turn[key] for turn in found["rounds"])
        yield Figure(f"report of {found['requests']}", "ours", "CPU time" if unit == "s" else "memory", value, unit)


def _big_report(found: Found) -> Iterator[Figure]:
    yield Figure(f"report of {found['requests_total']}", "ours", "time with page", found["report_s"], "s")
    yield Figure(f"report of {found['requests_total']}", "ours", "page", found["page_bytes"] / 1e6, "MB")


def _reading_answers(found: Found) -> Iterator[Figure]:
    for part, nanoseconds in found["warm_ns"].items():
        yield Figure("one answer, warm", "ours", part, nanoseconds / 1000, "us")


def _simulator(found: Found) -> Iterator[Figure]:
    for row in found["figures"]:
        name = f"{row['generation']}{' cached' if row['cached'] else ''}"
        rate = row["requests_per_core_second"]
        yield Figure("simulator", name, "rate a core", rate, "/s", more_is_better=True)


def _accuracy(found: Found) -> Iterator[Figure]:
    for load in found["loads"]:
        yield Figure(f"{load['users']} users", "ours", "added p99", load["added_ms"]["p99"], "ms")
    yield Figure("all loads", "ours", "wrong", len(found["wrong"]), "")


def _startup(found: Found) -> Iterator[Figure]:
    for key, what in (("first_request_s", "to the first request"), ("results_s", "from the last answer to results")):
        yield Figure("main job", "ours", what, median(turn[key] for turn in found["rounds"]), "s")


def _web_page(found: Found) -> Iterator[Figure]:
    for name, what in (("page_against_headless", "page"), ("tabs_against_none", "ten tabs")):
        ratio = median(having["cpu_us"] / without["cpu_us"] for without, having in found[name])
        yield Figure(what, "ours", "CPU a request, of that without", 100 * ratio, "%")


BENCHMARKS = (
    Benchmark("startup", ("--rounds", "3"), _startup),
    Benchmark("tail", ("--quick",), _tail),
    Benchmark("sending_path", ("--rounds", "1", "--seconds", "2"), _sending_path),
    Benchmark("open_load", ("--rounds", "1", "--seconds", "4"), _open_load),
    Benchmark("loop_holds", ("--seconds", "8"), _loop_holds),
    Benchmark("accuracy", ("--seconds", "4"), _accuracy),
    Benchmark("distributed", ("--rounds", "1", "--seconds", "3"), _distributed),
    Benchmark("web_page", ("--rounds", "2", "--seconds", "4"), _web_page),
    Benchmark("many_users", ("--users", "1000", "--seconds", "4"), _many_users),
    Benchmark("memory", ("--requests", "200000"), _memory),
    Benchmark("reading_answers", ("--rounds", "50", "--cold", "4"), _reading_answers),
    Benchmark("simulator", ("--seconds", "1"), _simulator),
    Benchmark("analysis", ("--requests", "1000000"), _analysis),
    Benchmark("big_report", ("--requests", "100000"), _big_report),
)


class Table(NamedTuple):
    """The figures of one run of this program, where and when they were taken, and which benchmarks gave none."""

    about: dict[str, Any]
    figures: list[tuple[str, Figure]]
    failed: dict[str, str]


def run(benchmark: Benchmark, *, quick: bool, folder: Path) -> list[Figure]:
    """Run a benchmark to its end and return its figures; raises ValueError, whose text says why there are none."""
    file = folder / f"{benchmark.name}.json"
    options = benchmark.quick if quick else ()
    command = [sys.executable, str(HERE / f"{benchmark.name}.py"), *options, "--json", str(file)]
    try:
        ended = subprocess.run(
            command, env=python_environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"not done after {LIMIT_S:g} s") from None
    if not file.is_file():
        last = (ended.stderr or ended.stdout).strip().splitlines()[-1:]
        raise ValueError(f"exit code {ended.returncode}: {''.join(last)}")
    try:
        return list(benchmark.figures(json.loads(file.read_bytes())))
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"its figures are not as expected: {error!r}") from None


def measure(benchmarks: Sequence[Benchmark], *, quick: bool) -> Table:
    """Run benchmarks one after the other."""
    about = environment("each benchmark's own") | {
        "quick": quick,
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    figures: list[tuple[str, Figure]] = []
    failed = {}
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        for benchmark in benchmarks:
            began = time.monotonic()
            try:
                figures += [(benchmark.name, figure) for figure in run(benchmark, quick=quick, folder=Path(name))]
            except ValueError as error:
                failed[benchmark.name] = str(error)
            said = f"failed: {failed[benchmark.name]}" if benchmark.name in failed else "done"
            print(f"{benchmark.name}: {said} after {time.monotonic() - began:.0f} s", flush=True)
    return Table(about, figures, failed)


def last_table(history: Path, about: dict[str, Any]) -> dict[str, Any] | None:
    """Return the last table of the same kind of run on the same machine, or None where there is none."""
    if not history.is_file():
        return None
    tables = map(json.loads, history.read_text(encoding="utf-8").splitlines())
    same = [table for table in tables if all(table["about"][key] == about[key] for key in ("machine", "quick"))]
    return same[-1] if same else None


def main() -> int:
    """Measure, print and keep the table."""
    arguments = _arguments()
    end_children_on_sigterm()
    wanted = [benchmark for benchmark in BENCHMARKS if arguments.only is None or benchmark.name in arguments.only]
    table = measure(wanted, quick=arguments.quick)
    before = last_table(arguments.history, table.about)
    earlier = {} if before is None else {tuple(row["key"]): row["value"] for row in before["figures"]}
    print_table(table.figures, earlier, None if before is None else before["about"]["utc"])
    arguments.history.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"key": figure.key(name), "value": figure.value} for name, figure in table.figures]
    with arguments.history.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"about": table.about, "figures": rows, "failed": table.failed}) + "\n")
    if arguments.page is not None:
        arguments.page.write_text(markdown_page(table.about, table.figures, table.failed), encoding="utf-8")
    return 1 if table.failed else 0


def _arguments() -> argparse.Namespace:
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="ten minutes in place of an hour")
    parser.add_argument("--only", metavar="NAME,NAME", type=lambda text: text.split(","), help=", ".join(names))
    parser.add_argument("--history", type=Path, default=HISTORY, metavar="FILE", help=f"default: {HISTORY.name}")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table as Markdown too")
    arguments = parser.parse_args()
    if unknown := set(arguments.only or ()) - set(names):
        parser.error(f"--only: no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
