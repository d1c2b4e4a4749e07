"""Folders of runs that are damaged, foreign or hostile: one sentence that names the file, or the damage in the report.

A line a case. `report` never takes long, never shows a traceback, and never makes a number of what is not there.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aether_load.rundata.folder import RunFolder, encode_manifest
from aether_load.rundata.json_lines import encode_line
from aether_load.rundata.process_usage import SenderReading, ServerReading
from folders import BEGAN_NS, MS, answered, counted, make_run
from processes import call_command

LIMIT_S = 10
SCENARIO = {"name": "made", "phases": [{"name": "closed", "users": 1, "duration": 1.0}]}
THRESHOLDS = ["p(50)<1000"]
LONG = "x" * 100_000

REFUSED, INVALID, AS_BEFORE = "refused", "invalid", "as before"
"""A sentence that names the file and no report; a report of a damaged run; the same report, byte for byte."""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run that passed, with something in each file."""
    times = [60] * 20
    return make_run(
        tmp_path / "results",
        [answered(9 * place, 62, state=0, correct=place % 2) for place in range(20)],
        readings=[counted([]), counted(times[:9]), counted(times)],
        reading_at_ms=[-1, 100, 1999],
        sender=[SenderReading(0, BEGAN_NS + 100 * place * MS, 0.02 * place, 9_000_000) for place in range(11)],
        server=[ServerReading(BEGAN_NS + 100 * place * MS, 0.05 * place, 7_000_000, 1, ("a",)) for place in range(11)],
        scenario={**SCENARIO, "thresholds": [{"condition": THRESHOLDS[0]}]},
    )


def reported(run: Any, folder: Path) -> Any:
    """The exit code of `aether-load report`, what it said, its report, and how long it took."""
    began = time.monotonic()
    done = call_command("report", str(run.path), "--no-page", cwd=folder)
    took_s = time.monotonic() - began
    report = json.loads(run.report.read_bytes()) if run.report.exists() else None
    return done.returncode, done.stderr, report, took_s


def check(run: Any, folder: Path, right: Any) -> None:
    before = run.report.exists()
    code, said, report, took_s = reported(run, folder)
    assert took_s < LIMIT_S
    assert "Traceback" not in said
    assert "defect" not in said
    if right == REFUSED:
        assert code in {2, 5}, (code, said)
        assert report is None or before
        assert said.startswith("aether-load: ")
        assert len(said.splitlines()) == 1
        assert any(name in said for name in (*(file.name for file in files(run)), str(run.path))), said
        return
    assert said == "", said
    if right == INVALID:
        assert (code, report["verdict"]["status"] in {"invalid", "inconclusive"}) == (5, True), report["verdict"]
        return
    assert code == 0, report["verdict"]


def files(run: Any) -> tuple[Any, Any, Any, Any, Any]:
    return (run.manifest, run.records, run.scrapes, run.sender, run.server)


# --- run.json


def changed(run: Any, path: Any, value: Any) -> None:
    """Write run.json with one value changed, and the checksum that belongs to it: as another program might."""
    plain = json.loads(run.manifest.read_bytes())
    del plain["checksum"]
    *parents, last = path
    node = plain
    for key in parents:
        node = node[key]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    run.manifest.write_bytes(encode_manifest(plain))


PHASE = ("phases", 0)
BEGAN = {"monotonic_ns": BEGAN_NS, "utc": "2026-03-04T05:06:07.000000Z"}
MANIFESTS = [
    (("zzz",), 1, AS_BEFORE),
    (("phases", 0, "zzz"), {"a": [1]}, AS_BEFORE),
    (("target", "zzz"), None, AS_BEFORE),
    (("schema_version",), "2.0", REFUSED),
    (("schema_version",), 1, REFUSED),
    (("schema_version",), "", REFUSED),
    (("id",), 7, REFUSED),
    (("id",), None, REFUSED),
    (("id",), ..., REFUSED),
    (("scenario",), [], REFUSED),
    (("scenario",), ..., REFUSED),
    (("scenario",), {}, REFUSED),
    (("scenario", "name"), 7, REFUSED),
    (("scenario", "name"), "../../x", REFUSED),
    (("scenario", "name"), LONG, REFUSED),
    (("scenario", "zzz"), 1, REFUSED),
    (("scenario", "phases"), [], REFUSED),
    (("scenario", "phases"), 1, REFUSED),
    (("scenario", "phases", 0, "users"), -1, REFUSED),
    (("scenario", "phases", 0, "users"), 1e300, REFUSED),
    (("scenario", "phases", 0, "duration"), -1, REFUSED),
    (("scenario", "phases", 0, "duration"), 1e18, REFUSED),
    (("scenario", "phases", 0, "duration"), "soon", REFUSED),
    (("scenario", "phases", 0, "name"), "\x1b[2J", REFUSED),
    (("scenario", "thresholds"), ["p(95)<"], REFUSED),
    (("scenario", "thresholds"), [{"condition": "p(95)<"}], REFUSED),
    (("scenario", "thresholds"), [{"condition": "nonsense<1"}], INVALID),
    (("scenario", "thresholds"), [{"condition": "p(999)<1"}], REFUSED),
    (("scenario", "thresholds"), [{"condition": 7}], REFUSED),
    (("scenario", "thresholds"), 7, REFUSED),
    (("scenario", "max_error_rate"), "many", REFUSED),
    (("scenario", "max_error_rate"), -1, REFUSED),
    (("scenario", "goodput_slo"), "p(95)<5", REFUSED),
    (("scenario", "fail_on_warning"), ["no such warning"], REFUSED),
    (("scenario", "target"), 7, REFUSED),
    (("scenario", "workload"), [], REFUSED),
    (("scenario", "workload"), None, REFUSED),
    (("scenario", "workload"), {"datasets": 7}, REFUSED),
    (("scenario", "labels"), {"a": {}}, REFUSED),
    (("scenario", "repeat"), 10**12, REFUSED),
    (("scenario", "seed"), "x", REFUSED),
    (("command",), "locust", REFUSED),
    (("command",), [7], REFUSED),
    (("seed",), "x", REFUSED),
    (("target",), None, REFUSED),
    (("target",), ..., REFUSED),
    (("target", "kind"), "toaster", REFUSED),
    (("target", "generation"), "v9", REFUSED),
    (("target", "url"), 7, REFUSED),
    (("datasets",), 7, REFUSED),
    (("datasets", 0), {}, REFUSED),
    (("datasets", 0, "rows_used"), "x", REFUSED),
    (("node_ids",), 7, REFUSED),
    (("node_ids",), [7], REFUSED),
    (("nodes",), [{}], REFUSED),
    (("nodes",), [{"id": "answer", "dependencies": ["answer"]}], AS_BEFORE),
    (("nodes",), [{"id": "a", "dependencies": ["b"]}, {"id": "b", "dependencies": ["a"]}], AS_BEFORE),
    (("nodes",), [{"id": "a", "dependencies": ["nobody"]}], AS_BEFORE),
    (("began",), None, REFUSED),
    (("began", "utc"), "yesterday", REFUSED),
    (("began", "utc"), "../../x", REFUSED),
    (("began", "monotonic_ns"), -1, REFUSED),
    (("began", "monotonic_ns"), 1 << 80, REFUSED),
    (("began", "monotonic_ns"), 1.5, REFUSED),
    (("ended",), 7, REFUSED),
    (("ended_as",), "well", REFUSED),
    (("ended_as",), "running", INVALID),
    (("phases",), {}, REFUSED),
    (("phases",), [7], REFUSED),
    ((*PHASE, "name"), 7, REFUSED),
    ((*PHASE, "name"), ..., REFUSED),
    ((*PHASE, "users"), "many", REFUSED),
    ((*PHASE, "load"), "ajar", REFUSED),
    ((*PHASE, "cache"), "lukewarm", REFUSED),
    ((*PHASE, "began"), ..., REFUSED),
    ((*PHASE, "began"), {**BEGAN, "monotonic_ns": -(1 << 62)}, REFUSED),
    ((*PHASE, "began"), {**BEGAN, "monotonic_ns": 1 << 62}, REFUSED),
    ((*PHASE, "ended"), {**BEGAN, "monotonic_ns": 1 << 62}, REFUSED),
    ((*PHASE, "ended"), {**BEGAN, "monotonic_ns": 0}, REFUSED),
    ((*PHASE, "window_began_ns"), -1, REFUSED),
    ((*PHASE, "window_began_ns"), -(1 << 63), REFUSED),
    ((*PHASE, "window_began_ns"), 1 << 64, REFUSED),
    ((*PHASE, "window_began_ns"), "x", REFUSED),
    ((*PHASE, "window_ended_ns"), 1 << 62, REFUSED),
    ((*PHASE, "window_ended_ns"), 0, REFUSED),
    ((*PHASE, "window_ended_ns"), 1e300, REFUSED),
    ((*PHASE, "ended_by"), 7, REFUSED),
    ((*PHASE, "think_time_mean_s"), "x", REFUSED),
    ((*PHASE, "repeat"), "x", REFUSED),
    (("searches",), [{}], REFUSED),
    (("searches",), 7, REFUSED),
    (("aborted",), {}, REFUSED),
    (("workers",), [{}], REFUSED),
    (("workers",), 7, REFUSED),
    (("versions",), [], REFUSED),
    (("machine",), {"cores": []}, REFUSED),
    (("git",), 7, REFUSED),
    (("rows_total",), {"records.bin": 19}, INVALID),
    (("rows_total",), {"records.bin": 10**15}, INVALID),
    (("rows_total",), {"records.bin": -1}, INVALID),
    (("rows_total",), {"../../x": 20}, AS_BEFORE),
    (("rows_total",), [], REFUSED),
    (("lines_total",), {"scrapes.jsonl": 1}, INVALID),
    (("lines_total",), 7, REFUSED),
    (("self_check",), 7, REFUSED),
    (("notes",), [LONG], AS_BEFORE),
    (("notes",), ["\x1b[2J\u202e"], AS_BEFORE),
    (("notes",), 7, REFUSED),
    (("gate",), {}, REFUSED),
    (("gate",), 7, REFUSED),
    (("candidate",), 7, REFUSED),
    (("program",), 7, REFUSED),
]  # fmt: skip


def id_of(case: Any) -> str:
    path, value, _ = case
    return f"{'.'.join(map(str, path))}={str(value)[:24].encode('unicode_escape').decode()}"


QUICK = 20
"""Of each table as many cases are in the default run."""


def table(cases: Any, ids: Any) -> list[Any]:
    """The cases as parameters, those beyond the first few marked as slow."""
    return [
        pytest.param(*case, id=f"{place}-{ids(case)}", marks=[] if place < QUICK else [pytest.mark.slow])
        for place, case in enumerate(cases)
    ]


@pytest.mark.parametrize(("path", "value", "right"), table(MANIFESTS, id_of))
def test_a_value_of_run_json(run: Any, tmp_path: Path, path: Any, value: Any, right: Any) -> None:
    changed(run, path, value)
    check(run, tmp_path, right)


# --- bytes of each file


def bytes_of(run: Any, name: str) -> Any:
    return run.path / name


def replaced(content: bytes) -> Callable[..., Any]:
    return lambda path: path.write_bytes(content)


def cut(share: float) -> Callable[..., Any]:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def inserted(piece: Any) -> Callable[..., Any]:
    def insert(path: Any) -> None:
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + piece + content[middle:])

    return insert


def linked(target: Any) -> Callable[..., Any]:
    def link(path: Any) -> None:
        path.unlink()
        path.symlink_to(target)

    return link


def a_folder(path: Any) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Any) -> None:
    path.unlink()
    os.mkfifo(path)


NOISE = random.Random(5).randbytes(50_000)
DAMAGE = {
    "empty": replaced(b""),
    "noise": replaced(NOISE),
    "zeros": replaced(bytes(50_000)),
    "foreign-zip": replaced(b"PK\x03\x04" + NOISE[:2000]),
    "foreign-arrow": replaced(b"ARROW1\x00\x00" + NOISE[:2000] + b"ARROW1"),
    "deep-json": replaced(b"[" * 100_000),
    "no-utf8": inserted(b"\xff\xfe\x80"),
    "cut-to-half": cut(0.5),
    "cut-to-nearly-all": cut(0.99),
    "endless": linked("/dev/zero"),
    "dangling-link": linked("/nowhere/at/all"),
    "folder": a_folder,
    "pipe": a_pipe,
}
NAMES = ("run.json", "records.bin", "scrapes.jsonl", "sender.jsonl", "server.jsonl")
FILES = [(name, damage) for damage in DAMAGE for name in NAMES]


@pytest.mark.parametrize(("name", "damage"), table(FILES, "-".join))
def test_a_file_of_the_folder(run: Any, tmp_path: Path, name: str, damage: Any) -> None:
    """Nothing of run.json or of the records is a refusal; what else is damaged makes the report invalid."""
    DAMAGE[damage](run.path / name)
    is_refused = name == "run.json" or (name == "records.bin" and damage != "cut-to-nearly-all")
    check(run, tmp_path, REFUSED if is_refused else INVALID)


def deleted(name: str) -> Callable[..., Any]:
    return lambda run: (run.path / name).unlink()


def unreadable(run: Any) -> None:
    run.records.chmod(0)


OTHERS = [
    ("run.json-gone", deleted("run.json"), REFUSED),
    ("records-gone", deleted("records.bin"), REFUSED),
    ("scrapes-gone", deleted("scrapes.jsonl"), INVALID),
    ("sender-gone", deleted("sender.jsonl"), INVALID),
    ("server-gone", deleted("server.jsonl"), INVALID),
    ("other-arrow", lambda run: run.samples.write_bytes(NOISE), AS_BEFORE),
    ("other-report", lambda run: run.report.write_bytes(NOISE), AS_BEFORE),
    ("other-nightly", lambda run: (run.results / "nightly_2026-03-04.json").write_bytes(NOISE), AS_BEFORE),
    ("deep-nightly", lambda run: (run.results / "nightly_2026-03-04.json").write_bytes(b"[" * 100_000), AS_BEFORE),
    ("strange-files", lambda run: (run.path / os.fsdecode(b"a\xff\n")).write_bytes(NOISE), AS_BEFORE),
    ("left-over", lambda run: (run.path / ".run.json.1.tmp").write_bytes(NOISE), AS_BEFORE),
]


@pytest.mark.parametrize(("change", "right"), [pytest.param(*case[1:], id=case[0]) for case in OTHERS])
def test_a_folder_with_more_or_less_in_it(run: Any, tmp_path: Path, change: Any, right: Any) -> None:
    change(run)
    if right == AS_BEFORE and run.report.exists():
        assert call_command("report", str(run.path), "--no-page", cwd=tmp_path).returncode == 0
        return
    check(run, tmp_path, right)


def test_no_number_changes_under_fuzz(run: Any, tmp_path: Path) -> None:
    """Truncations anywhere and flips in any file: the report is the same, or says that the run is damaged."""
    assert reported(run, tmp_path)[0] == 0
    before = run.report.read_bytes()
    chance = random.Random(23)
    for number in range(FUZZ_QUICK):
        fuzz(run, tmp_path, chance, before, truncate=number % 3 == 0)


FUZZ_QUICK, FUZZ_FLIPS, FUZZ_CUTS = 12, 500, 200


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_no_number_changes_under_much_fuzz(run: Any, tmp_path: Path, part: Any) -> None:
    """500 flips and 200 truncations in all."""
    assert reported(run, tmp_path)[0] == 0
    before = run.report.read_bytes()
    chance = random.Random(100 + part)
    for _ in range(FUZZ_FLIPS // 10):
        fuzz(run, tmp_path, chance, before, truncate=False)
    for _ in range(FUZZ_CUTS // 10):
        fuzz(run, tmp_path, chance, before, truncate=True)


def fuzz(run: Any, folder: Path, chance: random.Random, before: Any, *, truncate: Any) -> None:
    path = chance.choice(files(run))
    whole = path.read_bytes()
    at = chance.randrange(len(whole))
    if truncate:
        path.write_bytes(whole[:at])
    else:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
    done = call_command("report", str(run.path), "--no-page", cwd=folder)
    path.write_bytes(whole)
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr
    if run.report.read_bytes() != before:
        assert json.loads(run.report.read_bytes())["verdict"]["status"] == "invalid", (path.name, at)
        run.report.write_bytes(before)
    else:
        assert done.returncode in {0, 2, 5}, done.stderr


def test_a_name_of_no_folder(tmp_path: Path) -> None:
    for name in ("", ".", "/", "/dev/null", "nowhere", "x" * 5000, os.fsdecode(b"\xff\xfe"), "latest"):
        done = call_command("report", name, cwd=tmp_path)
        assert done.returncode == 2, (name, done.stderr)
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_the_folder_of_the_path_may_have_any_bytes(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xe9sultats\xff\xf0\x9f\x92\xa5"))
    run = make_run(folder, [answered(9 * place, 62) for place in range(20)])
    done = call_command("report", str(run.path), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert run.page.exists()


MEGABYTE = 1 << 20


def many_lines(run: Any, size: Any, line: Any) -> None:
    run.server.write_bytes(line * (size // len(line)))


def sparse(path: Any, size: Any) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def much_json(run: Any, size: Any, key: str, item: Any) -> None:
    """Fill a key of run.json with items until it has that size, with the checksum that belongs to it."""
    plain = json.loads(run.manifest.read_bytes())
    plain[key] = [item] * (size // (len(json.dumps(item)) + 12))
    del plain["checksum"]
    run.manifest.write_bytes(encode_manifest(plain))


def valid_line() -> bytes:
    return encode_line(ServerReading(BEGAN_NS, 0.05, 7_000_000, 1, ("a",)))


def many_lines_of_a_crash(run: RunFolder, size: int) -> None:
    changed(run, ("lines_total",), None)
    many_lines(run, size, valid_line())


HUGE = [
    ("empty-lines", lambda run: many_lines(run, 300 * MEGABYTE, b"\n")),
    ("short-lines", lambda run: many_lines(run, 300 * MEGABYTE, b"{}\n")),
    ("valid-lines", lambda run: many_lines(run, 150 * MEGABYTE, valid_line())),
    ("valid-lines-of-a-crash", lambda run: many_lines_of_a_crash(run, 150 * MEGABYTE)),
    ("one-line", lambda run: sparse(run.scrapes, 3000 * MEGABYTE)),
    ("records", lambda run: sparse(run.records, 30_000 * MEGABYTE)),
    ("manifest", lambda run: sparse(run.manifest, 3000 * MEGABYTE)),
    ("much-unknown", lambda run: much_json(run, 20 * MEGABYTE, "zzz", {"a": [1]})),
    ("many-phases", lambda run: much_json(run, 20 * MEGABYTE, "phases", {})),
    ("many-arguments", lambda run: much_json(run, 20 * MEGABYTE, "command", "x")),
    ("many-scenario-words", lambda run: much_json(run, 20 * MEGABYTE, "scenario", [[]])),
]


@pytest.mark.slow
@pytest.mark.parametrize("enlarge", [pytest.param(case[1], id=case[0]) for case in HUGE])
def test_a_huge_file_fills_no_memory(run: Any, tmp_path: Path, enlarge: Any) -> None:
    """A process of its own, whose largest memory and CPU time the system tells."""
    enlarge(run)
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "aether_load", "report", str(run.path), "--no-page"], stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    assert process.returncode in {0, 2, 5}, text
    assert "Traceback" not in text
    assert usage.ru_maxrss < 2_000_000, f"{usage.ru_maxrss} kB"
    assert usage.ru_utime + usage.ru_stime < LIMIT_S
