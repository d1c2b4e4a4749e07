"""What the correlation must find, case by case, against the simulated runtime's own record of what it did.

`python tests/correlation_cases.py --write` runs every case and writes the table into docs/correlation.md.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import urllib3

from aether_load.analysis.latency.decomposition import TAIL_SAMPLES
from delaying_proxy import delaying_proxy
from processes import REPOSITORY, Finished, LocustProcess, running_simulator, wait_for
from recorded import samples_of

DOCS = REPOSITORY / "docs" / "correlation.md"
HERE = Path(__file__).parent
ROWS = 1100
LONG = 40
SHAPE = {"fetch": (), "aside": (), "read": ("fetch",), "summarize": ("read",)}


@dataclass(frozen=True)
class Finding:
    """One figure: what the record (or the case itself) says it must be, what the report says, how far they may part."""

    what: str
    expected: float | str
    found: float | str | None
    within: float = 0.0

    @property
    def agrees(self) -> bool:
        if isinstance(self.expected, str) or isinstance(self.found, str) or self.found is None:
            return self.expected == self.found
        return abs(self.expected - self.found) <= self.within + 1e-9


@dataclass
class Setting:
    """A case's folder, and the process that it started there."""

    folder: Path
    processes: list[LocustProcess] = field(default_factory=list)

    def start(self, *options: str, **environment: str) -> LocustProcess:
        self.processes.append(LocustProcess(self.folder, ("--headless", *options), environment))
        return self.processes[-1]

    def end(self) -> None:
        for process in self.processes:
            if process.process.poll() is None:
                process.process.kill()
                process.process.communicate()

    def scenario(self, *, dag: bool = False, rows: int = ROWS, more: str = "") -> str:
        """Write rows, some of them long, a DAG in which that matters, and a scenario; return its path."""
        with (self.folder / "rows.jsonl").open("w") as file:
            for number in range(rows):
                text = f"row {number} " + "x" * (4000 if number % (rows // LONG) == 5 and dag else 8)
                file.write(json.dumps({"id": f"r{number}", "text": text}) + "\n")
        prompts = {
            "fetch": "Fetch {{row.id}}", "aside": "Look aside at {{row.id}} " + "y" * 800,
            "read": "Read {{row.id}}", "summarize": "Summarize: {{row.text}}",
        }  # fmt: skip
        nodes = [
            {"id": name, "node_type": "llm_fn", "prompt_template": prompts[name], "dependencies": list(needs)}
            for name, needs in SHAPE.items()
        ]
        (self.folder / "dag.json").write_text(json.dumps({"dag": {"nodes": nodes}, "context": {}}))
        shape = 'dag = "file"\ndag_file = "dag.json"\nanswer_node = "summarize"' if dag else ""
        path = self.folder / "case.toml"
        path.write_text(
            f'{more}\n[workload]\ndatasets = ["rows"]\n{shape}\n[workload.files.rows]\npath = "rows.jsonl"\n'
            'text = "text"\n[[phases]]\nname = "closed"\npasses = 1\n'
        )
        return str(path)


@dataclass(frozen=True)
class Run:
    """A run that has ended: its report, its samples and the simulator's record, joined by execution id."""

    code: int
    report: dict[str, Any]
    samples: list[dict[str, Any]]
    entries: dict[str, dict[str, Any]]

    @property
    def phase(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.report["phases"][0]
        return answer

    @property
    def codes(self) -> list[str]:
        return [warning["code"] for warning in self.report["warnings"]]

    def entry(self, sample: dict[str, Any]) -> dict[str, Any] | None:
        return None if sample["execution_id"] is None else self.entries[str(uuid.UUID(bytes=sample["execution_id"]))]

    def line(self, name: str) -> dict[str, Any]:
        return next(line for line in self.phase["reconciliation"]["lines"] if line["name"] == name)


def ended(finished: Finished, record: Path) -> Run:
    entries = [json.loads(line) for line in record.open()]
    return Run(
        finished.code,
        json.loads(finished.nightly.read_bytes()),
        samples_of(finished),
        {entry["execution_id"]: entry for entry in entries if entry["execution_id"]},
    )


def ways_to(name: str) -> list[tuple[str, ...]]:
    """Return every way to a node of `SHAPE`, as names."""
    return [(*way, name) for needed in SHAPE[name] for way in ways_to(needed)] or [(name,)]


def true_parts(sample: dict[str, Any], entry: dict[str, Any] | None) -> dict[str, float]:
    """Return a request's parts in ms by the record: its nodes' times there, not those of the answer."""
    client = (sample["ended_ns"] - sample["sent_ns"]) / 1e6
    if sample["outcome"] != "ok" or entry is None:
        return {"unanswered": client}
    ms = {node["id"]: node["ms"] for node in entry["nodes"]}
    total = entry["total_ms"]
    if len(ms) == 1:
        (path,) = ms.values()
        levels = path
    else:
        depth = {name: max(len(way) for way in ways_to(name)) for name in SHAPE}
        levels = sum(max(ms[name] for name in SHAPE if depth[name] == level) for level in set(depth.values()))
        path = max(sum(ms[name] for name in way) for name in SHAPE for way in ways_to(name))
    return {"overhead": client - total, "scheduler": total - levels, "barrier": levels - path, "node_path": path}


def of_record(run: Run) -> list[Finding]:
    """Return what holds of every run whose record is whole: parts, by mean and in the tail, as the record has them."""
    parts = [true_parts(sample, run.entry(sample)) for sample in run.samples]
    response = [(sample["ended_ns"] - sample["intended_start_ns"]) / 1e6 for sample in run.samples]
    p99 = sorted(response)[math.ceil(0.99 * len(response)) - 1]
    tail = [place for place, took in enumerate(response) if took >= p99]
    found = run.phase["decomposition"]
    findings = []
    for name in ("overhead", "scheduler", "barrier", "node_path", "unanswered"):
        mean = sum(part.get(name, 0.0) for part in parts) / len(parts)
        share = sum(parts[place].get(name, 0.0) for place in tail) / sum(response[place] for place in tail)
        of_mean, of_tail = found[name]["mean_contribution_ms"], found[name]["tail_share"]
        if name in {"overhead", "unanswered"}:
            # The record does not know what of it the sender's own holds were: it may be any part of them.
            held = found["sender_hold"]
            of_mean = min(max(mean, of_mean), round(of_mean + held["mean_contribution_ms"], 6))
            of_tail = None if of_tail is None else min(max(share, of_tail), round(of_tail + held["tail_share"], 6))
        # A part that neither side has makes no row of the table.
        if mean or of_mean:
            findings.append(Finding(f"{name}, mean ms", round(mean, 3), of_mean, 0.001))
        if len(tail) < TAIL_SAMPLES:
            assert of_tail is None
        elif share or of_tail:
            findings.append(Finding(f"{name}, share of the tail", round(share, 4), of_tail, 0.0001))
    total = sum(
        part["mean_contribution_ms"] for part in found.values() if isinstance(part, dict) and "mean_share" in part
    )
    findings.append(Finding("all parts, mean ms", round(sum(response) / len(response), 3), round(total, 3), 0.001))
    return findings


def trust(run: Run, expected: str) -> Finding:
    return Finding("trust", expected, run.phase["reconciliation"]["trust"])


def unexplained(run: Run, expected: int) -> Finding:
    """The nodes by which the server's count differs from ours."""
    return Finding("nodes unexplained", expected, run.line("succeeded_nodes_total")["difference"])


def reconciliation_agrees(run: Run) -> Finding:
    off = [line["name"] for line in run.phase["reconciliation"]["lines"] if not line["agrees"]]
    return Finding("reconciliation lines that differ", "none", ", ".join(off) or "none")


def true_overhead(run: Run) -> Finding:
    """By the record's instants, what client and wire add is at most what we say."""
    low = [
        sample
        for sample in run.samples
        if (entry := run.entry(sample)) is not None
        and (sample["ended_ns"] - sample["sent_ns"] - (entry["end_ns"] - entry["arrival_ns"])) / 1e6
        > (sample["ended_ns"] - sample["sent_ns"]) / 1e6 - sample["server_total_ms"] + 1e-6
    ]
    return Finding("requests whose overhead is below client and wire by the record's clock", 0, len(low))


def healthy(setting: Setting) -> list[Finding]:
    """Nothing is wrong: the server accounts for the latency, and every line of the reconciliation agrees."""
    record = setting.folder / "record.jsonl"
    with running_simulator("--record", str(record), "--latency", "constant:20ms") as runtime:
        run = ended(setting.start("--host", runtime.url, "--scenario", setting.scenario(), "-u", "16").finish(), record)
    return [trust(run, "trusted"), unexplained(run, 0), reconciliation_agrees(run), *of_record(run), true_overhead(run)]


def slow_node(setting: Setting) -> list[Finding]:
    """One node of a DAG is slow in some requests: the tail is its time, and the sentence names level and node."""
    record = setting.folder / "record.jsonl"
    latency = ("--latency", "constant:2ms", "--token-latency", "0.15ms")
    with running_simulator("--record", str(record), *latency) as runtime:
        path = setting.scenario(dag=True)
        run = ended(setting.start("--host", runtime.url, "--scenario", path, "-u", "24").finish(), record)
    sentence = re.sub(r"[0-9.]+", "#", run.phase["tail_sentence"] or "")
    share = {node["id"]: node["tail_path_share"] for node in run.phase["nodes"]}
    return [
        trust(run, "trusted"),
        unexplained(run, 0),
        reconciliation_agrees(run),
        *of_record(run),
        Finding("node with most of the tail's path", "summarize", max(share, key=lambda name: share[name])),
        Finding(
            "the sentence begins", "p# is # ms: # % of the tail is node time on the server (level #, node `summarize`)",
            sentence.split("), ")[0].rstrip(")") + ")",
        ),
    ]  # fmt: skip


def slow_network(setting: Setting) -> list[Finding]:
    """A proxy holds each answer back, one in fifty for long: overhead, and the tail is not the server's."""
    record = setting.folder / "record.jsonl"
    with (
        running_simulator("--record", str(record), "--latency", "constant:10ms") as runtime,
        delaying_proxy(runtime.url, lambda number: 0.3 if number % 50 == 49 else 0.01) as proxy,
    ):
        run = ended(setting.start("--host", proxy.url, "--scenario", setting.scenario(), "-u", "24").finish(), record)
    short = [
        sample
        for sample in run.samples
        if (sample["ended_ns"] - sample["sent_ns"]) / 1e6 - sample["server_total_ms"]
        < proxy.held_ns[str(uuid.UUID(bytes=sample["execution_id"]))] / 1e6
    ]
    overhead = run.phase["decomposition"]["overhead"]["tail_share"]
    return [
        trust(run, "trusted"),
        unexplained(run, 0),
        reconciliation_agrees(run),
        *of_record(run),
        Finding("requests whose overhead is below what the proxy held them back", 0, len(short)),
        Finding("the tail is overhead for nine tenths", "yes", "yes" if overhead > 0.9 else "no"),
    ]


def saturated_client(setting: Setting) -> list[Finding]:
    """A listener takes 5 ms of the sending process for each request: overhead, and a warning that says whose."""
    record = setting.folder / "record.jsonl"
    with running_simulator("--record", str(record), "--latency", "constant:10ms") as runtime:
        path = setting.scenario(rows=200)
        heavy = ("-f", str(HERE / "locustfiles" / "heavy_listener.py"))
        run = ended(setting.start(*heavy, "--host", runtime.url, "--scenario", path, "-u", "8").finish(), record)
    told = {"client_saturated", "users_not_busy"} & set(run.codes)
    share = {name: run.phase["decomposition"][name]["mean_share"] for name in ("overhead", "sender_hold", "node_path")}
    most = share["overhead"] + share["sender_hold"] > share["node_path"]
    return [
        trust(run, "trusted"),
        unexplained(run, 0),
        reconciliation_agrees(run),
        *of_record(run),
        Finding("more overhead and hold than node time", "yes", "yes" if most else "no"),
        Finding("the client is warned of (client_saturated, users_not_busy)", "yes", "yes" if told else "no"),
    ]


FOREIGN = 25


def foreign_traffic(setting: Setting) -> list[Finding]:
    """Somebody else sends 25 requests meanwhile: exactly those nodes are unexplained, and the run is invalid."""
    record = setting.folder / "record.jsonl"
    body = {"dag": {"nodes": [{"id": "theirs", "node_type": "llm_fn", "prompt_template": "?"}]}, "context": {}}
    with running_simulator("--record", str(record), "--latency", "constant:20ms") as runtime:
        process = setting.start("--host", runtime.url, "--scenario", setting.scenario(rows=250), "-u", "4")
        wait_for(lambda: record.exists() and len(record.read_bytes().splitlines()) > 20, "requests in the record")
        for number in range(FOREIGN):
            body["dag"]["nodes"][0]["prompt_template"] = f"theirs {number}"
            assert urllib3.request("POST", f"{runtime.url}/execute", json=body).status == 200
        run = ended(process.finish(), record)
    line = run.line("succeeded_nodes_total")
    tokens = sum(
        node["tokens"] for entry in run.entries.values() for node in entry["nodes"] if node["id"] == "theirs"
    )  # fmt: skip
    return [
        trust(run, "contaminated"),
        unexplained(run, FOREIGN),
        Finding("tokens unexplained", tokens, run.line("tokens_total")["difference"]),
        Finding("likeliest cause", "other clients of the runtime", line["causes"][0]),
        Finding("exit code", 5, run.code),
        *of_record(run),
    ]


def restart(setting: Setting) -> list[Finding]:
    """The runtime is restarted between two readings: the server's side is void, the client's stands."""
    record = setting.folder / "record.jsonl"
    path = setting.scenario(more="max_error_rate = 1.0")
    with running_simulator("--record", str(record), "--latency", "constant:10ms") as runtime:
        process = setting.start("--host", runtime.url, "--scenario", path, "-u", "4", "-t", "600s")
        wait_for(lambda: process.readings() >= 2, "a reading before the restart")
        runtime.order({"kind": "restart", "down": "600ms"})
        seen = process.readings()
        wait_for(lambda: process.readings() >= seen + 2, "readings after the restart")
        process.send(signal.SIGINT)
        run = ended(process.finish(), record)
    lost = sum(sample["execution_id"] is None for sample in run.samples)
    return [
        trust(run, "restarted"),
        Finding("the server's histogram", "null", "null" if run.phase["server"] is None else "there"),
        Finding("exit code", 5, run.code),
        Finding("requests without an answer", lost, run.phase["decomposition"]["unanswered"]["time_ms"]["count"]),
        *of_record(run),
    ]


def dropped_answers(setting: Setting) -> list[Finding]:
    """One answer in twenty is cut off: those nodes were counted, and lost answers account for exactly them."""
    record = setting.folder / "record.jsonl"
    faults = ("--fault", "close:at=body,share=0.05")
    path = setting.scenario(more="max_error_rate = 0.5")
    with running_simulator("--record", str(record), "--latency", "constant:10ms", *faults) as runtime:
        run = ended(setting.start("--host", runtime.url, "--scenario", path, "-u", "24").finish(), record)
    struck = sum(entry["sent"] == "closed_body" for entry in run.entries.values())
    line = run.line("succeeded_nodes_total")
    return [
        trust(run, "trusted"),
        unexplained(run, struck),
        Finding("of which lost answers may account for", struck, line["explained_at_most"]),
        Finding("likeliest cause", "requests whose answer was not read", line["causes"][0]),
        Finding("warning", "unread_answers", next((code for code in run.codes if code == "unread_answers"), None)),
        *of_record(run),
    ]


def has_readings(process: LocustProcess, at_least: int) -> bool:
    return process.readings() >= at_least


def clock_steps(setting: Setting) -> list[Finding]:
    """The wall clock is set back an hour and on two hours while the load runs: no latency and no window shows it."""
    library = setting.folder / "step_clock.so"
    compiler = shutil.which("cc")
    assert compiler is not None
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "step_clock.c", "-ldl"], check=True)
    record = setting.folder / "record.jsonl"
    with running_simulator("--record", str(record), "--latency", "constant:20ms") as runtime:
        step = setting.folder / "step"
        step.write_bytes(bytes(8))
        process = setting.start(
            "--host", runtime.url, "--scenario", setting.scenario(), "-u", "16", "-t", "600s",
            LD_PRELOAD=str(library), STEP_CLOCK_FILE=str(step),
        )  # fmt: skip
        for readings, seconds in ((2, -3600), (3, 3600)):
            wait_for(partial(has_readings, process, readings), "a reading before the clock is set")
            # In place: a file that is empty for a moment would be no memory to read from.
            with step.open("r+b") as file:
                file.write(struct.pack("q", seconds))
        wait_for(lambda: process.readings() >= 4, "a reading after the clock was set")
        process.send(signal.SIGINT)
        finished = process.finish()
        run = ended(finished, record)
    out_of_order = [
        sample
        for sample in run.samples
        if (entry := run.entry(sample)) is None
        or not sample["sent_ns"] <= entry["arrival_ns"] <= entry["end_ns"] <= sample["ended_ns"]
    ]
    manifest = json.loads((finished.run_folder / "run.json").read_bytes())
    hours = {scrape["began_utc"][11:13] for scrape in map(json.loads, (finished.run_folder / "scrapes.jsonl").open())}
    window_s = (manifest["phases"][0]["window_ended_ns"] - manifest["phases"][0]["window_began_ns"]) / 1e9
    return [
        Finding("hours of the wall clock that readings were taken in", 3, len(hours)),
        trust(run, "trusted"),
        unexplained(run, 0),
        reconciliation_agrees(run),
        Finding("requests out of order with the record's clock", 0, len(out_of_order)),
        Finding("window, s", round(window_s, 3), round(run.phase["window_s"], 3)),
        Finding("seconds of the time series", math.ceil(window_s), len(run.phase["series"]["second"]), 1),
        *of_record(run),
    ]


Cases = dict[str, Callable[[Setting], list[Finding]]]
OF_TIME: Cases = {
    "healthy": healthy,
    "slow node": slow_node,
    "slow network": slow_network,
    "saturated client": saturated_client,
}
OF_COUNTS: Cases = {
    "foreign traffic": foreign_traffic,
    "restart in the middle": restart,
    "dropped answers": dropped_answers,
    "clock steps": clock_steps,
}
CASES = OF_TIME | OF_COUNTS


def findings_of(case: str, folder: Path) -> list[Finding]:
    """Run a case in a folder; whatever it started is ended."""
    setting = Setting(folder)
    try:
        return CASES[case](setting)
    finally:
        setting.end()


def table(found: Mapping[str, Sequence[Finding]]) -> str:
    """Return the cases as a table in Markdown."""
    lines = ["| case | figure | by the record | found | within |", "|---|---|---|---|---|"]
    for case, findings in found.items():
        for finding in findings:
            within = f"{finding.within:g}" if finding.within else "equal"
            lines.append(f"| {case} | {finding.what} | {finding.expected} | {finding.found} | {within} |")
    return "\n".join(lines) + "\n"


BEGIN, END = "<!-- cases: written by tests/correlation_cases.py --write -->\n", "<!-- cases end -->\n"


def main() -> int:
    """Run every case, print the table, and with --write put it into the docs."""
    found = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            found[case] = findings_of(case, Path(folder))
    text = table(found)
    sys.stdout.write(text)
    if "--write" in sys.argv:
        docs = DOCS.read_text(encoding="utf-8")
        before, after = docs[: docs.index(BEGIN) + len(BEGIN)], docs[docs.index(END) :]
        DOCS.write_text(f"{before}{text}{after}", encoding="utf-8")
    return 0 if all(finding.agrees for findings in found.values() for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
