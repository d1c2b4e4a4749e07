"""Carry out the sender's commands, for one run after the other."""

from __future__ import annotations

import os
from pathlib import Path

from aether_load.errors import AetherLoadError, ResultsError
from aether_load.observer import messages as say
from aether_load.observer.live.exposition import Exposition
from aether_load.observer.live.page import LivePage
from aether_load.observer.live.state import LiveState
from aether_load.observer.observed_run import ObservedRun
from aether_load.observer.scraper import Scraper
from aether_load.outputs.page.making import PageWork
from aether_load.rundata.scrapes import RawScrape


class CommandHandler:
    """Keeps the run under way or the last one, what is shown of it, and the page that is being made."""

    def __init__(self, scraper: Scraper) -> None:
        self._scraper = scraper
        self._live = LiveState()
        self._live_page = LivePage(self._live)
        self._exposition = Exposition(self._live)
        self._run: ObservedRun | None = None
        self._page: PageWork | None = None

    def carry_out(self, command: say.Command) -> list[say.Answer]:
        """Return the answers to a command; raises AetherLoadError and OSError."""
        match command:
            case say.Begin():
                # Should it fail, nothing is written into the folder of the run before.
                self._run = None
                self._run = ObservedRun(command, self._scraper, self._live)
            case say.Ask():
                return [say.PageData(id=command.id, body=self._shown(command))]
            case say.Reset():
                self._live.reset()
            case say.Refuse():
                self._live.refuse(command.sentence)
            case _:
                if self._run is None:
                    raise ResultsError("The files of the run could not be created in its folder, so nothing is kept.")
                return self._of_run(self._run, command)
        return []

    def _shown(self, command: say.Ask) -> bytes:
        if command.what == "metrics":
            return self._exposition.text()
        return self._live_page.history() if command.what == "history" else self._live_page.snapshot()

    def _of_run(self, run: ObservedRun, command: say.Command) -> list[say.Answer]:
        match command:
            case say.Save():
                run.learn(command.content)
                run.write_manifest()
            case say.StageNow():
                self._live.at_stage(command)
                run.progress.stage = command
            case say.Gauges():
                self._live.users = command
                run.progress.take(command)
            case say.Turn():
                run.readings.turn(command.target)
            case say.Watch():
                run.readings.watched = command.phase
            case say.Scrape():
                if command.role == "before":
                    # What was answered before belongs to the phase before.
                    run.follow()
                run.readings.scrape(command.phase, command.role, command.id)
            case say.ReadProcesses():
                run.readings.read_processes()
            case say.Usage():
                run.readings.add_usage(command.reading)
            case say.Judge():
                return [_judged(run, command)]
            case say.Flush():
                return [*run.flush(), say.Flushed(id=command.id)]
            case say.Finish():
                return [self._finish(run, command)]
            case say.Abandon():
                if run.is_open:
                    run.close()
                self._live.end(None, command.sentence)
        return []

    def scraped(self, raw: RawScrape) -> list[say.Answer]:
        """Take in a reading of /metrics; raises OSError."""
        if self._run is not None:
            self._run.scraped(raw)
        return []

    def follow(self) -> list[say.Answer]:
        """Read what has been recorded since the last time, and go on with the page."""
        if self._run is not None:
            self._run.follow()
        if self._page is None or not self._page.is_over():
            return []
        self._page = None
        return [say.PageMade()]

    def tick(self) -> list[say.Answer]:
        """Do what is done once a second; return what the sender has to know. Raises OSError."""
        self._live.tick()
        return [] if self._run is None else self._run.tick()

    def _finish(self, run: ObservedRun, command: say.Finish) -> say.Finished:
        """Close the run's files and write its results; raises AetherLoadError."""
        from aether_load.observer.results import summary_text, write_all  # noqa: PLC0415 -- at the end only

        try:
            run.learn(command.content)
            run.close()
            if not command.report:
                self._live.end(None, None)
                return say.Finished(id=command.id, exit_code=0, summary="", files=())
            report, files = write_all(run.folder, None if command.output is None else Path(os.fsdecode(command.output)))
        except OSError as error:
            raise ResultsError(
                f"The results could not be written ({error.strerror}). {run.folder.what_is_left()}"
            ) from None
        except AetherLoadError as error:
            self._live.end(None, str(error))
            raise
        if command.page:
            # Made after the answer to this, so that the results are on the screen first.
            self._page = PageWork(run.folder, report, charts=command.charts)
            files.append(run.folder.page)
        self._live.end(report, None)
        return say.Finished(
            id=command.id,
            exit_code=int(report.verdict.exit_code),
            summary=summary_text(report, files, verbose=command.verbose, width=command.width),
            files=tuple(map(str, files)),
        )

    def finish_as_crashed(self) -> None:
        """Write what there is, because the sender is gone."""
        if self._run is not None and self._run.is_open:
            from aether_load.observer.results import write_all  # noqa: PLC0415 -- at the end only

            self._run.close(is_cut_off=True)
            write_all(self._run.folder, None)


def _judged(run: ObservedRun, command: say.Judge) -> say.Judged:
    """Judge a phase of a search from its records, which are written, and its readings, which are written first."""
    from aether_load.observer.judge import judge_phase  # noqa: PLC0415 -- of a search only

    run.readings.write_out()
    return say.Judged(id=command.id, judgement=judge_phase(run.folder, command.phase))
