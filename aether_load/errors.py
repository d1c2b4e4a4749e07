"""Define the errors that a user can cause, and the exit codes that go with them."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a finished command says to the script that called it.

    Where several apply, the first of USAGE, TARGET, FAILED, THRESHOLD, INVALID, INTERRUPTED, PASSED is given.
    """

    PASSED = 0  # passed
    FAILED = 1  # nothing succeeded, or failures other than `rejected` are more than `max_error_rate`
    USAGE = 2  # an option, a scenario or a file is wrong; nothing was sent
    TARGET = 3  # the target is unreachable, unhealthy or no Aether runtime; or workers or master did not come
    THRESHOLD = 4  # a threshold is broken, the gate found a regression, or no load held in a search
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
