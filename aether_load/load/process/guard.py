"""Run what Locust calls, so that nothing that goes wrong in it vanishes or goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable

import gevent

from aether_load.errors import ExitCode, explain
from aether_load.load.process.signals import raising_in
from aether_load.load.progress import ProgressLine


def run_or_end(prepare: Callable[[], None]) -> None:
    """Run the preparations; whatever goes wrong ends the process with a sentence and its exit code.

    Ctrl-C comes while the preparations wait. Python's own handler raises in whatever code runs just then, and an
    exception in a callback of another library, such as one that runs at a fork, is printed and lost.
    """
    try:
        with raising_in(gevent.getcurrent()):
            prepare()
    except Exception as error:  # noqa: BLE001 -- Locust would log it and send its load all the same
        sentence, code = explain(error, ExitCode.USAGE)
        ProgressLine().say(sentence)
        sys.exit(int(code))
    except KeyboardInterrupt:
        ProgressLine().say("interrupted before the load began.")
        sys.exit(int(ExitCode.INTERRUPTED))


def guarded(step: Callable[..., None], on_failure: Callable[[str, ExitCode], None]) -> Callable[..., None]:
    """Return a handler or the work of a greenlet that tells what goes wrong in it, as a sentence with an exit code."""

    def run(*arguments: object, **named: object) -> None:
        try:
            step(*arguments, **named)
        except Exception as error:  # noqa: BLE001 -- gevent and Locust would print it and go on
            on_failure(*explain(error))

    return run
