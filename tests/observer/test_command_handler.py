"""What the observer does at each command of its sender, in this process, without a server to read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aether_load.errors import ResultsError
from aether_load.observer import command_handler
from aether_load.observer import messages as say
from aether_load.observer.command_handler import CommandHandler
from aether_load.protocol import Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.json_lines import read_lines
from aether_load.rundata.process_usage import SenderReading
from aether_load.rundata.scrapes import RawScrape
from aether_load.tls import TlsSettings
from folders import BEGAN_NS, MS, answered, counted, failed, make_run

REQUESTS = [answered(10 * place, 62, 60) for place in range(9)] + [failed(95, 5, Outcome.TIMEOUT)]
TARGETS = tuple(
    say.MetricsTarget(f"http://192.0.2.{number}/metrics", {}, TlsSettings(), f"192.0.2.{number}", 3000)
    for number in (1, 2)
)


class Scraper:
    """Keeps what is to be read."""

    def __init__(self) -> None:
        self.is_busy = False
        self.asked: list[tuple[str, str, str, int]] = []

    def scrape(self, target: say.MetricsTarget, phase: str, role: str, answer_to: int) -> None:
        self.asked.append((target.url, phase, role, answer_to))


class Page:
    """A page that is finished when `is_made` is set."""

    is_made = False

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def is_over(self) -> bool:
        return self.is_made


class Observed:
    """A run that goes on, and the handler that was told of it."""

    def __init__(self, results: Path, **more: Any) -> None:
        self.scraper = Scraper()
        self.handler = CommandHandler(self.scraper)  # type: ignore[arg-type]
        self.results = results
        self.more = more
        self.begin("first")

    def begin(self, run_id: str) -> None:
        self.folder = make_run(self.results, REQUESTS, ended_as="running", window_ms=(0, 1000), run_id=run_id)
        self.do(
            say.Begin(
                folder=os.fsencode(self.folder.path), sender_pid=os.getpid(), sender_number=0, targets=TARGETS,
                scrapes=True, **{"locust": True, "live": True, **self.more},
            )
        )  # fmt: skip

    def do(self, command: say.Command) -> list[say.Answer]:
        return self.handler.carry_out(command)

    def shown(self, what: Any = "snapshot") -> Any:
        (answer,) = self.do(say.Ask(id=9, what=what))
        assert isinstance(answer, say.PageData)
        return json.loads(answer.body) if what != "metrics" else answer.body.decode()

    def final(self) -> bytes:
        manifest = self.folder.read_manifest()
        manifest.ended, manifest.ended_as = manifest.phases[0].began, "completed"
        manifest.phases[0].ended = manifest.ended
        return msgspec.json.encode(manifest)


@pytest.fixture
def observed(tmp_path: Path) -> Observed:
    return Observed(tmp_path)


def lines(folder: RunFolder, name: str, kind: type) -> list[Any]:
    return read_lines(folder.path / name, kind).values


def test_before_the_first_run_the_page_is_told_that_there_is_none() -> None:
    """And why none could begin, when that is known."""
    handler = CommandHandler(Scraper())  # type: ignore[arg-type]
    handler.carry_out(say.Refuse(sentence="No such dataset."))
    assert handler.tick() == handler.follow() == []
    (answer,) = handler.carry_out(say.Ask(id=3, what="snapshot"))
    assert isinstance(answer, say.PageData)
    shown = json.loads(answer.body)
    assert (answer.id, shown["state"], shown["run"], shown["notice"]) == (3, "ready", None, "No such dataset.")
    (metrics,) = handler.carry_out(say.Ask(what="metrics"))
    assert isinstance(metrics, say.PageData)
    assert b"aether_load_running 0.0" in metrics.body


def test_records_are_counted_for_locust_and_for_the_page(observed: Observed) -> None:
    """A flush reads all that is written; what was told once is not told again."""
    counts, flushed = observed.do(say.Flush(id=4))
    assert isinstance(counts, say.Counted)
    assert [(entry.name, entry.count, entry.least_ms) for entry in counts.entries] == [("piqa", 9, 62.0)]
    assert flushed == say.Flushed(id=4)
    assert observed.do(say.Flush(id=5)) == [say.Flushed(id=5)]
    shown = observed.shown()
    assert (shown["run"]["id"], shown["figures"]["outcomes"]) == ("first", [["piqa", "ok", 9], ["piqa", "timeout", 1]])


@pytest.mark.parametrize("key", ["locust", "live"])
def test_figures_that_nobody_looks_at_are_not_computed(tmp_path: Path, key: str) -> None:
    """Locust's counts and the page's figures are kept where the sender asked for them."""
    observed = Observed(tmp_path, **{key: False})
    answers = observed.do(say.Flush())
    assert len(answers) == (1 if key == "locust" else 2)
    assert (observed.shown()["figures"] is None) == (key == "live")


def test_one_target_is_read_at_a_time_and_each_second_while_a_phase_is_watched(observed: Observed) -> None:
    """A reading at rest is answered by its id; one that would wait for another is left out."""
    observed.do(say.Scrape(id=7, phase="closed", role="before"))
    observed.handler.tick()
    observed.do(say.Turn(target=1))
    observed.do(say.Watch(phase="closed"))
    observed.handler.tick()
    observed.scraper.is_busy = True
    observed.handler.tick()
    observed.scraper.is_busy = False
    observed.do(say.Watch(phase=None))
    observed.handler.tick()
    first, second = (target.url for target in TARGETS)
    assert observed.scraper.asked == [(first, "closed", "before", 7), (second, "closed", "during", 0)]
    # The sender's process is read at each tick, the server's says once that it is elsewhere.
    assert len(lines(observed.folder, "sender.jsonl", SenderReading)) == 2


def test_every_reading_becomes_a_line_whose_number_is_in_the_final_manifest(observed: Observed) -> None:
    """Scrapes, what this process took, and what other senders did."""
    raw = RawScrape(phase="closed", role="during", began_ns=BEGAN_NS, ended_ns=BEGAN_NS + MS, began_utc="", text="x")
    usage = SenderReading(3, BEGAN_NS, 1.5, 100)
    assert observed.handler.scraped(raw) == []
    observed.do(say.Usage(reading=usage))
    observed.do(say.ReadProcesses())
    assert observed.do(say.Finish(id=8, content=observed.final(), report=False, output=None, page=False)) == [
        say.Finished(id=8, exit_code=0, summary="", files=())
    ]
    assert lines(observed.folder, "scrapes.jsonl", RawScrape)[2:] == [raw]
    assert lines(observed.folder, "sender.jsonl", SenderReading)[0] == usage
    manifest = observed.folder.read_manifest()
    assert (manifest.ended_as, manifest.lines_total) == (
        "completed", {"scrapes.jsonl": 1, "sender.jsonl": 2, "server.jsonl": 0},
    )  # fmt: skip
    # What is read after the end goes nowhere.
    assert observed.handler.scraped(raw) == observed.handler.tick() == observed.handler.follow() == []


def test_run_json_is_written_as_the_sender_says(observed: Observed) -> None:
    """Between the beginning and the end, too."""
    manifest = observed.folder.read_manifest()
    manifest.notes.append("so far")
    observed.do(say.Save(content=msgspec.json.encode(manifest)))
    assert observed.folder.read_manifest().notes == ["so far"]


def test_a_stage_and_its_users_are_shown(observed: Observed) -> None:
    """The gauges of the users are those that the sender told last."""
    observed.do(say.StageNow(name="closed", users=4, number=1, of=2, began_ns=BEGAN_NS))
    observed.do(say.Gauges(done=9, failed=1, active=4, thinking=1, waiting=2, cpu_s=0.5))
    observed.handler.tick()
    shown = observed.shown()
    assert (shown["phase"]["name"], shown["phase"]["users"], shown["figures"]["in_flight"]) == ("closed", 4, 3)
    metrics = observed.shown("metrics")
    assert "aether_load_requests_waiting 2.0" in metrics
    assert "aether_load_users_thinking 1.0" in metrics


def test_the_page_of_a_run_is_told_of_once_even_if_the_next_run_has_begun(
    observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made bit by bit, after the results were answered."""
    monkeypatch.setattr(command_handler, "PageWork", Page)
    (finished,) = observed.do(say.Finish(content=observed.final(), report=True, output=None, page=True))
    assert isinstance(finished, say.Finished)
    assert str(observed.folder.page) in finished.files
    assert observed.shown()["state"] == "ended"
    assert observed.handler.follow() == []
    observed.begin("second")
    monkeypatch.setattr(Page, "is_made", True)
    observed.do(say.Scrape(phase="closed", role="before"))
    observed.do(say.Flush())
    assert observed.handler.follow() == [say.PageMade()]
    assert observed.handler.follow() == []


def test_a_run_that_is_abandoned_is_closed_and_shows_why(observed: Observed) -> None:
    """Its files have what came; abandoning it again changes the sentence alone."""
    observed.do(say.Abandon(sentence="No user could be started."))
    observed.do(say.Abandon(sentence="No user could be started, twice."))
    shown = observed.shown()
    assert (shown["state"], shown["notice"]) == ("ended", "No user could be started, twice.")
    assert observed.folder.read_manifest().lines_total is not None


def test_a_run_whose_sender_is_gone_has_results_and_stays_cut_off(observed: Observed) -> None:
    """What was written until then is reported; run.json does not say that the run ended."""
    observed.handler.finish_as_crashed()
    manifest = observed.folder.read_manifest()
    assert (manifest.ended_as, manifest.lines_total) == ("running", None)
    assert json.loads(observed.folder.report.read_bytes())["phases"][0]["all"]["requests_total"] == 10


def test_results_that_cannot_be_written_are_one_sentence(observed: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what there is of the run."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aether_load.observer.results.write_results", refuse)
    with pytest.raises(ResultsError) as failure:
        observed.do(say.Finish(content=observed.final(), report=True, output=None, page=False))
    assert str(failure.value) == (
        "The results could not be written (No space left on device). What was measured is there: aether-load report "
        f"{observed.folder.path}"
    )


def test_a_reading_of_the_server_shows_in_the_figures(observed: Observed) -> None:
    """What the server counted between two readings, and whether the answers agree with it."""
    for role, times, at_ms in (("before", [], -2), ("during", [60] * 9, 200)):
        began_ns = BEGAN_NS + at_ms * MS
        observed.handler.scraped(
            RawScrape(phase="closed", role=role, began_ns=began_ns, ended_ns=began_ns + MS, began_utc="",
                      text=counted(times))
        )  # fmt: skip
    observed.do(say.Flush())
    observed.do(say.Abandon(sentence="enough"))
    shown = observed.shown()
    assert (sum(shown["figures"]["server_buckets"]), shown["reconciliation"]["state"]) == (9, "agrees")


def test_a_run_whose_files_cannot_be_created_touches_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that come for it all the same are refused, and the folder of the run before stays as it is."""
    observed = Observed(tmp_path)
    before = observed.folder

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    written = before.manifest.read_bytes()
    monkeypatch.setattr(command_handler, "ObservedRun", refuse)
    with pytest.raises(OSError, match="No space left"):
        observed.begin("second")
    with pytest.raises(ResultsError, match="could not be created"):
        observed.do(say.Save(content=b"{}"))
    assert before.manifest.read_bytes() == written
