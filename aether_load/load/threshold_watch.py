"""Has a child process watch for thresholds that are to end the run: the analysis' weight stays out of this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

import gevent
import msgspec
from gevent import subprocess as gsubprocess

from aether_load.rundata.manifest import AbortRecord

if TYPE_CHECKING:
    from aether_load.load.run import Run

START_LIMIT_S = 30.0


class ThresholdWatch:
    """Calls `on_broken` with the first threshold that is found broken; used as a context around the load.

    A watch that cannot be kept is no reason to send nothing: the manifest notes it, and the thresholds are judged at
    the run's end all the same.
    """

    def __init__(self, run: Run, on_broken: Callable[[AbortRecord], None]) -> None:
        self._run = run
        self._on_broken = on_broken
        self._child: gsubprocess.Popen | None = None
        self._listener: gevent.Greenlet | None = None

    def __enter__(self) -> Self:
        """Start the child, where there is something to watch, and wait until it is ready."""
        if not any(plan.abort_on_fail for plan in self._run.scenario.thresholds):
            return self
        self._child = gsubprocess.Popen(
            [sys.executable, "-m", "aether_load.observer.live_thresholds", str(self._run.folder.path)],
            # Its other end is held here, and closes by itself even on kill -9.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        ready = b""
        with gevent.Timeout(START_LIMIT_S, False):
            ready = self._child.stdout.readline()
        if ready:
            self._listener = gevent.spawn(self._listen)
        else:
            self._give_up()
        return self

    def __exit__(self, *_error: object) -> None:
        """End the child; what it finds from now on is found at the run's end too."""
        if self._listener is not None:
            self._listener.kill()
        if self._child is not None:
            if self._child.poll() is None:
                self._child.kill()
            self._child.wait()
            for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
                stream.close()

    def _listen(self) -> None:
        assert self._child is not None
        line = self._child.stdout.readline()
        try:
            found = msgspec.json.decode(line, type=AbortRecord)
        except msgspec.MsgspecError:
            self._give_up()
            return
        self._on_broken(found)

    def _give_up(self) -> None:
        assert self._child is not None
        if self._child.poll() is None:
            self._child.kill()
        said = self._child.stderr.read().decode(errors="replace").strip().splitlines()[-1:] or ["it gave no reason"]
        self._run.manifest.notes.append(
            f"Thresholds with abort_on_fail were not watched to the end of the load ({said[0]}); they were judged at "
            "the run's end."
        )
