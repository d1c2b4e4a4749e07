"""Read a run's server and processes, and keep each reading as a line in the run's folder."""

from __future__ import annotations

from aether_load.observer import messages as say
from aether_load.observer.scraper import Scraper
from aether_load.observer.sender_watch import SenderWatch
from aether_load.observer.server_watch import ServerWatch
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.json_lines import LineFile
from aether_load.rundata.process_usage import SenderReading
from aether_load.rundata.scrapes import RawScrape


class Readings:
    """Reads one of a run's targets at a time, its processes and the sender's; once a second while a phase is `watched`.

    Lines wait in memory until `write_out`.
    """

    def __init__(self, begin: say.Begin, folder: RunFolder, scraper: Scraper) -> None:
        """Create the files; raises OSError."""
        self.watched: str | None = None
        self._begin = begin
        self._scraper = scraper
        self._target = 0
        self._sender_watch = SenderWatch(begin.sender_pid, begin.sender_number)
        self._server_watches = [ServerWatch(target.host, target.port) for target in begin.targets]
        self._files = {path.name: LineFile(path) for path in (folder.scrapes, folder.sender, folder.server)}
        self._scrapes, self._sender, self._server = self._files.values()

    def turn(self, target: int) -> None:
        """Read another target from now on, and look for its process."""
        self._target = target
        self._server_watches[target].find()

    def tick(self) -> None:
        """Read what is watched."""
        if self.watched is not None:
            self.read_processes()
            if self._begin.scrapes and not self._scraper.is_busy:
                self.scrape(self.watched, "during")

    def scrape(self, phase: str, role: str, answer_to: int = 0) -> None:
        """Have /metrics read; the scraper hands on what comes."""
        self._scraper.scrape(self._begin.targets[self._target], phase, role, answer_to)

    def read_processes(self) -> None:
        """Note what the processes have taken so far."""
        if (of_sender := self._sender_watch.read()) is not None:
            self._sender.append(of_sender)
        if self._server_watches and (of_server := self._server_watches[self._target].read()) is not None:
            self._server.append(of_server)

    def add_usage(self, reading: SenderReading) -> None:
        """Keep what another sending process has taken."""
        self._sender.append(reading)

    def add_scrape(self, raw: RawScrape) -> None:
        """Keep a reading of /metrics."""
        self._scrapes.append(raw)

    @property
    def lines_total(self) -> dict[str, int]:
        """Return how many lines each file has."""
        return {name: file.lines_total for name, file in self._files.items()}

    def write_out(self) -> None:
        """Write what waits; raises OSError, with nothing lost."""
        for file in self._files.values():
            file.write_out()

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
