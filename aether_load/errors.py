"""Define the errors that a user can cause, and the exit codes that go with them."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What a finished command says to the script that called it.

    Where several apply, the first of USAGE, TARGET, FAILED, THRESHOLD, INVALID, INTERRUPTED, PASSED is given.
    """

    PASSED = 0  # passed
    FAILED = 1  # nothing succeeded, or failures other than `rejected` are more than `max_error_rate`
    USAGE = 2  # an option, a scenario or a file is wrong; nothing was sent
    TARGET = 3  # the target is unreachable, unhealthy or no Aether runtime; or workers or master did not come
    THRESHOLD = 4  # a threshold is broken, the gate or the trend found a regression, or no load held in a search
    # not decided (threshold, gate, search), or invalid: counts that do not reconcile, no server data, a forbidden
    # warning, a lost worker, a run cut off by force
    INVALID = 5
    INTERRUPTED = 130  # interrupted; the results are of a part


class AetherLoadError(Exception):
    """Something that a user can cause and mend: one sentence, and the exit code that goes with it.

    AetherLoadError
     ├── UsageError    exit 2: an option, a scenario or a file is wrong
     └── TargetError   exit 3: the target cannot be reached, is not healthy, or is no Aether runtime
    """

    exit_code: ExitCode = ExitCode.FAILED


class UsageError(AetherLoadError):
    """An option, a scenario or an input file is wrong; the sentence says where, what, and what to do."""

    exit_code = ExitCode.USAGE


class TargetError(AetherLoadError):
    """The target is unreachable, unhealthy, or does not speak the runtime's contract."""

    exit_code = ExitCode.TARGET


class ResultsError(AetherLoadError):
    """Results could not be written, though the run's own folder is safe."""

    exit_code = ExitCode.INVALID


@contextmanager
def explained(
    before: str, caught: type[Exception] = OSError, kind: type[Exception] = UsageError, *, end: str = "."
) -> Iterator[None]:
    """Raise a `caught` error inside as a `kind`: its reason, between `before` and `end`."""
    try:
        yield
    except caught as error:
        # Some errors of sockets and time-outs have no text of the system's.
        raise kind(f"{before}{getattr(error, 'strerror', None) or error}{end}") from None


TRACEBACK_VARIABLE = "AETHER_LOAD_TRACEBACK"
"""Set it, and what is no fault of a user's, a machine's or a server's is printed with its traceback too."""
_OWN = Path(__file__).parent


def explain(error: BaseException, code: ExitCode = ExitCode.INVALID) -> tuple[str, ExitCode]:
    """Return any error as a sentence with its exit code; what the system refuses has `code`, a defect is INVALID."""
    if isinstance(error, AetherLoadError):
        return str(error), error.exit_code
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    if isinstance(error, OSError):
        where = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
        return f"the system refused it ({error.strerror or type(error).__name__}{where}).", code
    if isinstance(error, MemoryError):
        return "there is not enough memory.", code
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _OWN in Path(frame.filename).parents]
    place = f", at {Path(own[-1].filename).relative_to(_OWN)}:{own[-1].lineno}" if own else ""
    said = " ".join(str(error).split())[:200]
    what = f"{type(error).__name__}{said and f': {said}'}{place}"
    sentence = f"a defect of aether-load ended it ({what}); please report it ({TRACEBACK_VARIABLE}=1 shows more)."
    return sentence, ExitCode.INVALID
