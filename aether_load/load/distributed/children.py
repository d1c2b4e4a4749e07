"""Start and end the worker processes of --processes as Locust expects it."""

from __future__ import annotations

import atexit
import os


def forgive_those_gone() -> None:
    """Have Locust find nothing wrong with a worker whose end gevent has seen, and forgotten, long ago.

    It asks for each child's exit code at the very end, and for three seconds takes the answer that there is no such
    child for an error to be printed. To be called after it has registered to do so.
    """

    @atexit.register
    def _() -> None:
        wait = os.waitpid

        def waitpid(pid: int, options: int) -> tuple[int, int]:
            try:
                return wait(pid, options)
            except ChildProcessError:
                return pid, 0

        os.waitpid = waitpid
