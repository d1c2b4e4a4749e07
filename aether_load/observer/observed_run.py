"""Observe one run: read its server and its processes, follow its records, and write its results."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from aether_load.errors import AetherLoadError, ResultsError
from aether_load.log_records import redact_log_records
from aether_load.observer import messages as say
from aether_load.observer.follower import Follower
from aether_load.observer.live.exposition import Exposition
from aether_load.observer.live.state import LiveState
from aether_load.observer.locust_counts import LocustCounts
from aether_load.observer.progress import Progress
from aether_load.observer.scraper import Scraper
from aether_load.observer.sender_watch import SenderWatch
from aether_load.observer.server_watch import ServerWatch
from aether_load.observer.threshold_watch import ThresholdWatch
from aether_load.outputs.page.making import PageWork
from aether_load.redaction import REDACTOR
from aether_load.rundata.folder import RunFolder, encode_manifest, write_whole
from aether_load.rundata.json_lines import LineFile
from aether_load.rundata.manifest import Manifest
from aether_load.rundata.scrapes import RawScrape
from aether_load.scenario.load import from_plain


class ObservedRun:
    """What is known of the run under way; `none` stands for the time before the first."""

    def __init__(self, begin: say.Begin | None, scraper: Scraper, live: LiveState) -> None:
        """Open the files of the run's folder; raises OSError."""
        self.live = live
        self._scraper = scraper
        self._exposition = Exposition(live)
        self._begin = begin
        self._is_open = False
        self._target = 0
        self._watched: str | None = None
        self._broken = False
        self._page: PageWork | None = None
        if begin is None:
            return
        redact_log_records()
        for value in begin.secrets:
            REDACTOR.learn(value)
        self._folder = RunFolder(Path(os.fsdecode(begin.folder)))
        self._manifest = self._folder.read_manifest()
        self._scenario = from_plain(self._manifest.scenario)
        self._follower = Follower(self._folder)
        self._locust = LocustCounts()
        self._thresholds = ThresholdWatch(self._manifest, self._scenario, live=begin.live)
        self._progress = Progress()
        self._scrapes = LineFile(self._folder.scrapes)
        self._sender = LineFile(self._folder.sender)
        self._server = LineFile(self._folder.server)
        self._sender_watch = SenderWatch(begin.sender_pid, begin.sender_number)
        self._server_watches = [ServerWatch(target.host, target.port) for target in begin.targets]
        self._is_open = True
        if begin.live:
            live.follow(self._manifest, self._scenario)

    @classmethod
    def none(cls, scraper: Scraper) -> ObservedRun:
        """Return what stands for no run."""
        return cls(None, scraper, LiveState())

    def take_over(self, before: ObservedRun) -> None:
        """Go on with the page of the run before, which may still be drawn."""
        self._page = before._page

    # The manifest

    def save(self, command: say.Save) -> None:
        """Write run.json; raises OSError."""
        self._manifest = msgspec.json.decode(command.content, type=Manifest)
        self._follower.learn(self._manifest)
        self._thresholds.learn(self._manifest)
        if self._begin is not None and self._begin.live:
            self.live.learn(self._manifest)
        write_whole(self._folder.manifest, encode_manifest(self._manifest))

    # The server and the processes

    def turn(self, command: say.Turn) -> None:
        """Read another target from now on, and look for its process."""
        self._target = command.target
        self._server_watches[command.target].find()

    def scrape(self, command: say.Scrape) -> None:
        """Have /metrics read; the answer follows when it is read."""
        assert self._begin is not None
        if command.role == "before":
            # What was answered before belongs to the phase before.
            self.follow()
        self._scraper.scrape(self._begin.targets[self._target], command.phase, command.role, command.id)

    def watch(self, command: say.Watch) -> None:
        """Read /metrics once a second under this name, or no longer."""
        self._watched = command.phase

    def scraped(self, raw: RawScrape) -> list[say.Answer]:
        """Keep a reading of /metrics; raises OSError."""
        if self._is_open:
            self._scrapes.append(raw)
            if self._begin is not None and self._begin.live:
                self.live.scraped(raw)
            self._scrapes.write_out()
        return []

    def read_processes(self, _command: say.ReadProcesses | None = None) -> None:
        """Note what the processes have taken so far."""
        reading = self._sender_watch.read()
        if reading is not None:
            self._sender.append(reading)
        if self._server_watches and (of_server := self._server_watches[self._target].read()) is not None:
            self._server.append(of_server)

    def note_usage(self, command: say.Usage) -> None:
        """Note what another sending process has taken."""
        self._sender.append(command.reading)

    # What the sender says of itself

    def at_stage(self, stage: say.StageNow) -> None:
        """Take note of the stage that is under way."""
        self.live.at_stage(stage)
        self._progress.stage = stage

    def gauges(self, gauges: say.Gauges) -> None:
        """Take note of how things stand with the users."""
        self.live.users = gauges
        self._progress.take(gauges)

    # Records

    def follow(self) -> list[say.Answer]:
        """Read what has been written since the last time."""
        answers = self._page_made()
        if not self._is_open:
            return answers
        begin = self._begin
        assert begin is not None
        for batch, tables in self._follower.read():
            if begin.live and self.live.live is not None:
                self.live.live.take(batch, tables)
            if begin.locust:
                self._locust.add(batch, tables)
            self._thresholds.add(batch, tables)
            self._progress.add(batch)
        return answers

    def tick(self) -> list[say.Answer]:
        """Do what is done once a second; return what the sender has to know. Raises OSError."""
        if not self._is_open:
            self.live.tick()
            return []
        answers: list[say.Answer] = []
        self.live.tick()
        if self._watched is not None:
            self.read_processes()
            if self._begin is not None and self._begin.scrapes and not self._scraper.is_busy:
                self._scraper.scrape(self._begin.targets[self._target], self._watched, "during", 0)
        answers += self._counted()
        if not self._broken and (found := self._thresholds.look(self._manifest)) is not None:
            self._broken = True
            answers.append(say.Broken(record=found))
        self.live.thresholds = self._thresholds.states()
        self._write_lines()
        return answers

    def _page_made(self) -> list[say.Answer]:
        if self._page is None or not self._page.is_over():
            return []
        self._page = None
        return [say.PageMade()]

    def _counted(self) -> list[say.Answer]:
        entries = self._locust.take()
        return [say.Counted(entries=entries)] if entries else []

    def _write_lines(self) -> None:
        self._scrapes.write_out()
        self._sender.write_out()
        self._server.write_out()

    def flush(self, command: say.Flush) -> list[say.Answer]:
        """Read all records and write all lines; raises OSError."""
        self.follow()
        self._write_lines()
        return [*self._counted(), say.Flushed(id=command.id)]

    def judge(self, command: say.Judge) -> say.Answer:
        """Judge a phase of a search; its records and readings are written."""
        from aether_load.observer.judge import judge_phase  # noqa: PLC0415 -- of a search only

        self._write_lines()
        return say.Judged(id=command.id, judgement=judge_phase(self._folder, command.phase))

    def reset(self, _command: say.Reset) -> None:
        """Begin the live figures anew."""
        self.live.reset()

    def refuse(self, command: say.Refuse) -> None:
        """Show why no run could begin."""
        self.live.refuse(command.sentence)

    def ask(self, command: say.Ask) -> say.Answer:
        """Return what the page shows."""
        make = {
            "snapshot": self.live.snapshot_json,
            "history": self.live.history_json,
            "metrics": self._exposition.text,
        }[command.what]
        return say.PageData(id=command.id, body=make())

    # The end

    def finish(self, command: say.Finish) -> say.Answer:
        """Close the folder and write the results; raises AetherLoadError and OSError."""
        from aether_load.observer.results import summary_text, write_all  # noqa: PLC0415 -- at the end only

        self._manifest = msgspec.json.decode(command.content, type=Manifest)
        try:
            self._close()
            if not command.report:
                self.live.end(None, None)
                return say.Finished(id=command.id, exit_code=0, summary="", files=())
            output = None if command.output is None else Path(os.fsdecode(command.output))
            report, files = write_all(self._folder, output)
            if command.page:
                # Made after the answer to this, so that the results are on the screen first.
                self._page = PageWork(self._folder, report, charts=command.charts)
                files.append(self._folder.page)
        except OSError as error:
            raise ResultsError(
                f"The results could not be written ({error.strerror}). {self._folder.what_is_left()}"
            ) from None
        except AetherLoadError as error:
            self.live.end(None, str(error))
            raise
        self.live.end(report, None)
        return say.Finished(
            id=command.id,
            exit_code=int(report.verdict.exit_code),
            summary=summary_text(report, files, verbose=command.verbose, width=command.width),
            files=tuple(map(str, files)),
        )

    def abandon(self, command: say.Abandon) -> None:
        """Close the folder of a run that has no results, and show why."""
        if self._is_open:
            self._close()
        self.live.end(None, command.sentence)

    def finish_as_crashed(self) -> None:
        """Write what there is, because the sender is gone: run.json goes on saying that the run was cut off."""
        if not self._is_open:
            return
        self._close(counted=False)
        from aether_load.observer.results import write_all  # noqa: PLC0415

        write_all(self._folder, None)

    def _close(self, *, counted: bool = True) -> None:
        """Write everything that waits, and run.json with the final counts of lines; raises OSError."""
        self._progress.clear()
        self.follow()
        self.live.stop_following()
        self._is_open = False
        files = self._scrapes, self._sender, self._server
        self._write_lines()
        if counted:
            self._manifest.lines_total = {
                path.name: file.lines_total
                for path, file in zip(
                    (self._folder.scrapes, self._folder.sender, self._folder.server), files, strict=True
                )
            }
        write_whole(self._folder.manifest, encode_manifest(self._manifest))
        for file in files:
            file.close()
