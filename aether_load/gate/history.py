"""A gate against stored reports: finds them, reads or measures the candidate, and holds it against them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from aether_load.analysis.report import Report, build_report
from aether_load.errors import UsageError
from aether_load.gate.driver import drive_run
from aether_load.gate.history_report import against_history, metric_of_history, write_history
from aether_load.gate.options import GateOptions
from aether_load.gate.servers import started
from aether_load.rundata.folder import RunFolder, write_whole
from aether_load.runtime_client import check_url


def gate_against_history(options: GateOptions, candidate: str | None) -> int:
    """Hold the candidate against the stored reports, and return the exit code."""
    assert options.baseline is not None
    metrics = []
    for text in options.plan.metrics:
        try:
            metrics.append(metric_of_history(text))
        except ValueError as error:
            raise UsageError(f"--metric {text}: {error}") from None
    stored = list(_stored(options.baseline))
    report = against_history(
        _candidate(options, candidate),
        stored,
        metrics,
        margin=options.plan.margin,
        allowed=options.allowed_differences,
    )
    write_history(report, sys.stdout)
    if (path := options.files.get("json")) is not None:
        write_whole(path, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return report.exit_code


def _stored(path: Path) -> Iterator[tuple[str, Report]]:
    """Yield the reports of a file, of a run's folder, or of a folder of results, the oldest first.

    In a folder of many, files that another version of the report wrote are passed over: they are to be made anew.
    """
    if path.is_file() or (path / "run.json").is_file():
        yield path.name, _read(path, "--baseline")
        return
    if not path.is_dir():
        raise UsageError(f"--baseline {path}: there is no such file or folder.")
    files = sorted(path.glob("nightly_*.json")) or sorted(path.glob("*/report.json"))
    if not files:
        raise UsageError(f"--baseline {path}: it holds no nightly_*.json, and no run's folder with a report.json.")
    found: list[tuple[str, Report]] = []
    mistakes: list[UsageError] = []
    for file in files:
        try:
            found.append((file.name if file.name != "report.json" else file.parent.name, _read(file, "--baseline")))
        except UsageError as mistake:
            mistakes.append(mistake)
    if not found:
        raise mistakes[0]
    for passed_over in mistakes:
        sys.stderr.write(f"aether-load: passed over: {passed_over}\n")
    yield from sorted(found, key=lambda each: each[1].run.began_utc)


def _candidate(options: GateOptions, candidate: str | None) -> Report:
    """Return the candidate's report: read, or measured now where it is a URL or a command."""
    if candidate is not None and not candidate.startswith(("http://", "https://")):
        return _read(Path(candidate), "--candidate")
    with ExitStack() as stack:
        if options.candidate_command is not None:
            log = Path(stack.enter_context(TemporaryDirectory(prefix="aether-load-gate-"))) / "candidate.log"
            url = stack.enter_context(started("candidate", options.candidate_command, None, options.start_limit_s, log))
        else:
            assert candidate is not None
            url = check_url(candidate, "--candidate")
        return _decoded(drive_run(url, options.words, options.results), "the candidate's report")


def _read(path: Path, option: str) -> Report:
    if (path / "run.json").is_file():
        return build_report(RunFolder.open(path))
    try:
        return _decoded(path.read_bytes(), f"{option} {path}")
    except OSError as error:
        raise UsageError(f"{option} {path}: it cannot be read: {error.strerror}.") from None


def _decoded(content: bytes, what: str) -> Report:
    try:
        return msgspec.json.decode(content, type=Report)
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"{what}: not a report of this version ({error}); make it anew with: aether-load report RUN"
        ) from None
