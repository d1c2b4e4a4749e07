"""Observe one run: keep its readings, follow its records, and tell what the sender has to know."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from aether_load.log_records import redact_log_records
from aether_load.observer import messages as say
from aether_load.observer.follower import Follower
from aether_load.observer.live.state import LiveState
from aether_load.observer.locust_counts import LocustCounts
from aether_load.observer.progress import Progress
from aether_load.observer.readings import Readings
from aether_load.observer.scraper import Scraper
from aether_load.observer.threshold_watch import ThresholdWatch
from aether_load.redaction import REDACTOR
from aether_load.rundata.folder import RunFolder, encode_manifest, write_whole
from aether_load.rundata.manifest import Manifest
from aether_load.rundata.scrapes import RawScrape
from aether_load.scenario.load import from_plain


class ObservedRun:
    """A run from its beginning until its files are closed; with `live` figures are kept for the page."""

    def __init__(self, begin: say.Begin, scraper: Scraper, live: LiveState) -> None:
        """Create the files in the run's folder; raises OSError."""
        redact_log_records()
        for value in begin.secrets:
            REDACTOR.learn(value)
        self.folder = RunFolder(Path(os.fsdecode(begin.folder)))
        self._manifest = self.folder.read_manifest()
        scenario = from_plain(self._manifest.scenario)
        self._live = live
        self._locust = LocustCounts() if begin.locust else None
        self._thresholds = ThresholdWatch(self._manifest, scenario, live=begin.live)
        self._broken = False
        self._follower = Follower(self.folder)
        self.progress = Progress()
        self.readings = Readings(begin, self.folder, scraper)
        self.is_open = True
        if begin.live:
            live.follow(self._manifest, scenario)

    def learn(self, content: bytes) -> None:
        """Take in what run.json says by now."""
        self._manifest = msgspec.json.decode(content, type=Manifest)
        self._follower.learn(self._manifest)
        self._thresholds.learn(self._manifest)
        self._live.learn(self._manifest)

    def write_manifest(self) -> None:
        """Write run.json; raises OSError."""
        write_whole(self.folder.manifest, encode_manifest(self._manifest))

    def scraped(self, raw: RawScrape) -> None:
        """Keep a reading of /metrics; raises OSError."""
        if self.is_open:
            self.readings.add_scrape(raw)
            self._live.scraped(raw)
            self.readings.write_out()

    def follow(self) -> None:
        """Read the records that have been written since the last time."""
        if not self.is_open:
            return
        for batch, tables in self._follower.read():
            self._live.take(batch, tables)
            if self._locust is not None:
                self._locust.add(batch, tables)
            self._thresholds.add(batch, tables)
            self.progress.add(batch)

    def tick(self) -> list[say.Answer]:
        """Do what is done once a second; return what the sender has to know. Raises OSError."""
        if not self.is_open:
            return []
        self.readings.tick()
        answers = self._counted()
        if not self._broken and (found := self._thresholds.look(self._manifest)) is not None:
            self._broken = True
            answers.append(say.Broken(record=found))
        self._live.thresholds = self._thresholds.states()
        self.readings.write_out()
        return answers

    def flush(self) -> list[say.Answer]:
        """Read all records and write all lines; return what Locust has to know. Raises OSError."""
        self.follow()
        self.readings.write_out()
        return self._counted()

    def _counted(self) -> list[say.Answer]:
        entries = self._locust.take() if self._locust is not None else ()
        return [say.Counted(entries=entries)] if entries else []

    def close(self, *, is_cut_off: bool = False) -> None:
        """Write everything that waits, and run.json with the final counts of lines; raises OSError.

        In a run that `is_cut_off`, run.json goes on saying so.
        """
        self.progress.clear()
        self.follow()
        self._live.stop_following()
        self.is_open = False
        self.readings.write_out()
        if not is_cut_off:
            self._manifest.lines_total = self.readings.lines_total
        self.write_manifest()
        self.readings.close()
