"""What Python's logging writes holds no secret that the process knows, whoever logs it and whichever handler writes."""

import io
import logging
from collections.abc import Iterator

import pytest

from aether_load.log_records import redact_log_records
from aether_load.redaction import REDACTOR
from aether_load.scenario.command_line.headers import filled_in

SECRET = "tok3n-of-16-letters"
SHORT = "p4-x!9z"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """A logger's handler, set up before any secret is known, and the factory of records as it was."""
    factory = logging.getLogRecordFactory()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger("locustfile").addHandler(handler)
    yield stream
    logging.getLogger("locustfile").removeHandler(handler)
    logging.setLogRecordFactory(factory)


def test_a_message_lacks_secrets_whatever_it_is_made_of(written: io.StringIO) -> None:
    logger = logging.getLogger("locustfile")
    filled_in({"X-Token": SECRET})
    logger.warning("sent %s with %r", SECRET, {"X-Token": SECRET.encode()})
    logger.error(f"answer: {SECRET}")  # noqa: G004 -- how users log
    assert written.getvalue() == "sent *** with {'X-Token': b'***'}\nanswer: ***\n"


def test_a_traceback_and_a_stack_lack_secrets(written: io.StringIO) -> None:
    logger = logging.getLogger("locustfile")
    filled_in({"X-Token": SECRET})
    try:
        raise ValueError(f"401: {SECRET}")
    except ValueError:
        logger.exception("failed", stack_info=True)
    said = written.getvalue()
    assert said.startswith("failed\nTraceback")
    assert "ValueError: 401: ***\n" in said
    assert "Stack (most recent call last):" in said
    assert SECRET not in said


def test_a_short_secret_withholds_the_message_of_others(written: io.StringIO) -> None:
    """In Locust's own lines it may stand by chance."""
    filled_in({"X-Short": SHORT})
    logging.getLogger("locustfile").warning("answer: %s", SHORT)
    assert written.getvalue() == "***\n"
    make = logging.getLogRecordFactory()
    own, of_a_task = (make("locust.runners", level, "", 1, f"{SHORT} users", (), None) for level in (20, 40))
    assert (own.getMessage(), of_a_task.getMessage()) == (f"{SHORT} users", "***")


def test_a_secret_that_is_learnt_later_is_hidden_in_what_is_written_later(written: io.StringIO) -> None:
    redact_log_records()
    record = logging.getLogRecordFactory()("x", logging.INFO, "", 1, "says %s", (SECRET,), None)
    REDACTOR.learn(SECRET)
    assert record.getMessage() == "says ***"


def test_the_records_of_a_factory_of_the_users_own_are_kept(written: io.StringIO) -> None:
    """Its class and its fields are there, and it is wrapped once only."""

    class Numbered(logging.LogRecord):
        number = 7

    logging.setLogRecordFactory(Numbered)
    redact_log_records()
    once = logging.getLogRecordFactory()
    redact_log_records()
    record = logging.makeLogRecord({"msg": SECRET})
    REDACTOR.learn(SECRET)
    assert logging.getLogRecordFactory() == once
    assert isinstance(record, Numbered)
    assert record.number == 7
    assert record.getMessage() == "***"
