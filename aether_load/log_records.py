"""Keep secret values out of what Python's logging writes, whichever handler writes it.

Log records of Locust, of libraries and of a user's own locustfile may quote headers, answers and URLs.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

from aether_load.redaction import REDACTOR

_OURS = ("aether_load", "locust")


def redact_log_records() -> None:
    """Replace the secret values that `REDACTOR` knows in all log records of this process from now on."""
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    kinds: dict[type[logging.LogRecord], type[logging.LogRecord]] = {}

    @functools.wraps(make)
    def make_redacted(*args: Any, **more: Any) -> logging.LogRecord:
        record = make(*args, **more)
        kind = type(record)
        if kind not in kinds:
            kinds[kind] = type(kind.__name__, (_RedactedRecord, kind), {})
        record.__class__ = kinds[kind]
        return record

    make_redacted.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make_redacted)


class _RedactedRecord(logging.LogRecord):
    """A record whose message, traceback and stack lack the secrets that are known when it is written."""

    def getMessage(self) -> str:  # noqa: N802 -- the name is logging's
        """Return the message without secret values."""
        message = super().getMessage()
        # Below a warning, Locust and this package log their own words, in which a short value may stand by chance.
        is_own = str(self.name).split(".")[0] in _OURS and self.levelno < logging.WARNING
        return REDACTOR.redact(message) if is_own else REDACTOR.redact_foreign(message)

    def __getattribute__(self, name: str) -> Any:
        """Return a formatted traceback or stack without secret values, all else as it is."""
        value = super().__getattribute__(name)
        return REDACTOR.redact_foreign(value) if name in {"exc_text", "stack_info"} and value else value
