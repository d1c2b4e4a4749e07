"""Have a run's results written by its observer, and show them on the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from aether_load.errors import AetherLoadError, ExitCode, ResultsError
from aether_load.load.observer_client import ObserverLost
from aether_load.load.run import Run
from aether_load.observer import messages as say
from aether_load.outputs.output_path import is_standard_output
from aether_load.streams import refusal_of_output


class RunResults:
    """The results of one run, once they are `written`."""

    def __init__(self, run: Run, options: Any) -> None:
        self._run = run
        self._options = options
        self._to_stdout = is_standard_output(options.output)
        self._is_shown = False
        self.written: say.Finished | None = None

    def write(self) -> int:
        """Have the results written; return the exit code of the process. Raises AetherLoadError."""
        run, options = self._run, self._options
        is_gate = run.manifest.gate is not None
        finish = self._finish(report=not is_gate)
        if finish.page and finish.report:
            run.observer.page_made.clear()
        self.written = written = run.observer.call(finish, None)
        if self._to_stdout and not is_gate:
            sys.stdout.write(run.folder.report.read_text(encoding="utf-8"))
            sys.stdout.flush()
        if self._to_stdout and refusal_of_output() is not None:
            raise ResultsError(f"The report did not go to standard output whole. {run.folder.what_is_left()}")
        if not (options.locust_summary or options.print_stats):
            self.show_summary()
        return int(ExitCode.PASSED) if is_gate else int(written.exit_code)

    def _finish(self, *, report: bool) -> say.Finish:
        options = self._options
        to_file = options.output is not None and not self._to_stdout
        return say.Finish(
            content=msgspec.json.encode(self._run.manifest),
            report=report,
            output=os.fsencode(Path(options.output).absolute()) if to_file else None,
            page=options.charts or not options.no_page,
            charts=options.charts,
            verbose=options.verbose,
            width=shutil.get_terminal_size().columns if sys.stdout.isatty() else None,
        )

    def show_summary(self) -> None:
        """Put the results on the screen, once; standard output stays free for a report or --json."""
        if self.written is None or self._is_shown:
            return
        self._is_shown = True
        out = sys.stderr if self._options.json or self._to_stdout else sys.stdout
        out.write(self.written.summary)
        out.flush()

    def write_alone(self, lost: ObserverLost) -> str:
        """Write run.json without the observer; return in a sentence how the report can be had."""
        try:
            self._run.write_manifest_alone()
            left = f"The run was ended. {self._run.folder.what_is_left()}"
        except AetherLoadError as error:
            left = str(error)
        return " ".join([str(lost), *self._run.rescued, left])
