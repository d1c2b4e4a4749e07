"""Execution ids that stand twice: the run is invalid, and the rows are named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.analysis.report import build_report
from aether_load.analysis.server.repeated_answers import RepeatedAnswers, repeated_answers
from aether_load.gate.report import build_gate_report
from aether_load.rundata.samples.table_reader import _keys
from folders import answered, make_run
from gate_folders import make_gate
from property_tests import examples

if TYPE_CHECKING:
    from numpy.typing import NDArray


def id_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_an_answer_that_was_read_twice_makes_the_run_invalid(tmp_path: Path) -> None:
    """The rows are named by their request indexes; rows without an id say nothing."""
    ids = [7, 8, 0, 7, 0, 9, 8, 7, 7]
    requests = [answered(62 * place, 61, execution_id=id_of(number)) for place, number in enumerate(ids)]
    report = build_report(make_run(tmp_path, requests))
    sentence = (
        "Answers were read twice: 4 rows have the execution id of an earlier one: request 3 that of request 0, "
        "request 6 that of request 1, request 7 that of request 0, and 1 more"
    )
    assert (report.verdict.status, report.verdict.exit_code) == ("invalid", 5)
    assert report.verdict.reasons == (f"phase closed: {sentence}",)
    (warning,) = [warning for warning in report.warnings if warning.code == "answers_repeated"]
    assert (warning.phase, warning.message) == ("closed", f"{sentence}.")


def test_a_gate_with_answers_that_were_read_twice_is_invalid(tmp_path: Path) -> None:
    """Across its windows too: every window is a phase."""

    def window(first_id: int) -> list[dict[str, Any]]:
        return [answered(50 * place, 50, execution_id=id_of(first_id + place)) for place in range(20)]

    def base(pair: int) -> list[dict[str, Any]]:
        return window(100 * pair)

    def candidate(pair: int) -> list[dict[str, Any]]:
        return window(10_000 + 100 * pair)

    sound = build_gate_report(make_gate(tmp_path / "sound", base, candidate))
    assert sound.verdict.status == "passed"
    report = build_gate_report(make_gate(tmp_path / "twice", base, lambda pair: candidate(1 if pair == 7 else pair)))
    assert (report.verdict.status, report.verdict.exit_code) == ("invalid", 5)
    assert report.verdict.sentence.startswith("candidate#7: Answers were read twice: 20 rows have the execution id of")
    assert "request 260 that of request 20 of phase candidate#1" in report.verdict.sentence


class Samples(msgspec.Struct):
    """What is looked at of a phase's samples, which worker 1 sent."""

    execution_key: np.ndarray
    ended_ns: np.ndarray

    def __len__(self) -> int:
        return len(self.ended_ns)

    @property
    def worker(self) -> NDArray[Any]:
        return np.ones(len(self), np.int16)

    @property
    def request_index(self) -> NDArray[Any]:
        return np.arange(len(self))


def phase(*rows: tuple[int, int]) -> Any:
    keys, ended = zip(*rows, strict=True) if rows else ((), ())
    return Samples(np.array(keys, np.uint64), np.array(ended, np.int64))


def test_rows_are_named_with_worker_and_phase() -> None:
    """Indexes are one worker's own, and another phase is said; the first answer that came is the right one."""
    found = repeated_answers(["early", "late"], [phase((5, 10), (6, 20)), phase((6, 30), (7, 50), (7, 40))])
    first, second, third = (f"request {place} of worker 1" for place in range(3))
    assert found == (RepeatedAnswers("late", 2, ((f"{second} of phase early", first), (third, second))),)
    assert found[0].sentence == (
        f"2 rows have the execution id of an earlier one: {first} that of {second} of phase early, {second} that of "
        f"{third}"
    )
    assert repeated_answers([], []) == repeated_answers(["a"], [phase()]) == ()


ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5)), max_size=20)


@settings(max_examples=examples(100), deadline=None)
@given(ROWS, ROWS)
def test_every_repeated_answer_is_counted(early: list[tuple[int, int]], late: list[tuple[int, int]]) -> None:
    """As many as there are rows beyond the first of each id."""
    found = repeated_answers(["early", "late"], [phase(*early), phase(*late)])
    ids = [key for key, _ in (*early, *late) if key]
    assert sum(one.total for one in found) == len(ids) - len(set(ids))


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=20, unique=True))
@settings(max_examples=examples(100), deadline=None)
def test_ids_that_differ_have_keys_that_differ(ids: list[bytes]) -> None:
    """In whichever of their bytes; no id has no key."""
    keys = _keys(np.array([*ids, bytes(16)], "V16"))
    assert len(set(keys[:-1].tolist())) == len(ids)
    assert keys[-1] == 0
