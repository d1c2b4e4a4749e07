"""Define the errors that a user can cause, and the exit codes that go with them."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a finished command says to the script that called it.

    Where several apply, the first of USAGE, TARGET, FAILED, THRESHOLD, INVALID, INTERRUPTED, PASSED is given.
    """

    PASSED = 0
    FAILED = 1
    USAGE = 2
    TARGET = 3
    THRESHOLD = 4
    INVALID = 5
    INTERRUPTED = 130


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
