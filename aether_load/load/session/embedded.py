"""Start the simulated runtime as a process for a run without a target."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import IO

import gevent

from aether_load.environment import child_environment
from aether_load.errors import TargetError
from aether_load.protocol import Generation

_START_LIMIT_S = 15.0
_END_LIMIT_S = 3.0
_LISTENING = re.compile(r"listening on (http://\S+)")


class EmbeddedRuntime:
    """A simulator on a free port of 127.0.0.1; it ends with this process, however this process ends.

    It watches its standard input, whose other end is held here and closes by itself even on kill -9.
    """

    def __init__(self, generation: Generation) -> None:
        command = [sys.executable, "-m", "aether_load.simulator", "--port", "0", "--generation", generation.value]
        self._process = subprocess.Popen(
            [*command, "--exit-with-parent"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A Ctrl-C at the terminal is for the load; the runtime is needed until the last answer is in.
            start_new_session=True,
            env=child_environment(),
        )
        try:
            self.url = self._wait_until_ready()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """End the process and wait for it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _wait_until_ready(self) -> str:
        out, err = self._process.stdout, self._process.stderr
        assert out is not None
        assert err is not None
        line = ""
        with gevent.Timeout(_START_LIMIT_S, False):
            line = out.readline().decode(errors="replace")
        found = _LISTENING.search(line)
        if found is None:
            self.end()
            raise TargetError(f"The simulated runtime did not start: {_last_line(err) or line.strip() or 'no word'}.")
        return found.group(1)


def _last_line(stream: IO[bytes]) -> str:
    lines = stream.read().decode(errors="replace").strip().splitlines()
    return lines[-1].rstrip(".") if lines else ""
