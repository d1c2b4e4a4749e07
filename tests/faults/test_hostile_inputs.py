"""Answers, metrics and scenario files with random damage: an outcome or a sentence for each, and nothing else."""

from __future__ import annotations

import json
import random
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aether_load.analysis.server.scrape import ScrapeError, parse_scrape
from aether_load.errors import UsageError
from aether_load.protocol import NodeShape, Outcome
from aether_load.response import InvalidResponse, SentDag, read_answer
from aether_load.scenario.load import load_scenario, shipped_scenarios
from folders import counted
from misbehaving_runtime import answer_to

LIMIT_S = 2
DAG = SentDag.of([NodeShape("a"), NodeShape("b", ("a",)), NodeShape("c", ("b",))])
NODES = [{"id": name, "node_type": "llm_fn", "prompt_template": "?"} for name in "abc"]
SCRAPS: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 10**400, 1e308, float("nan"), "", "x" * 70_000, "\udcff", "\x00", [], {}, [[]],
    {"a": 1}, "NaN", [None] * 5000,
)  # fmt: skip


def damaged_bytes(chance: random.Random, content: bytes) -> bytes:
    """Some bytes replaced, inserted, taken away or repeated."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        piece = chance.randbytes(chance.choice((1, 1, 2, 30)))
        kind = chance.randrange(5)
        if kind == 0:
            changed[at : at + len(piece)] = piece
        elif kind == 1:
            changed[at:at] = piece
        elif kind == 2:
            del changed[at : at + chance.choice((1, 5, 200))]
        elif kind == 3:
            changed[at:at] = changed[at : at + 100] * chance.choice((1, 20))
        else:
            changed[at:at] = chance.choice((b"[" * 5000, b"{" * 5000, b"\xff", b"9" * 500, b"\\u0000", b'"', b"-"))
    return bytes(changed)


def damaged_value(chance: random.Random, value: Any) -> Any:
    """A value somewhere in it replaced by a scrap, taken away or repeated."""
    holders = [value]
    for holder in holders:
        children = holder.values() if isinstance(holder, dict) else holder
        holders += [child for child in children if isinstance(child, dict | list) and child]
    holder = chance.choice(holders)
    key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    kind = chance.randrange(3)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, holder[key])
    else:
        holder[key] = chance.choice(SCRAPS)
    return value


def attempt(work: Any, refused: Any) -> Any:
    """What comes of it, and the sentence in which it is refused; within the limit, and nothing else is raised."""
    began = time.monotonic()
    value = sentence = None
    try:
        value = work()
    except refused as error:
        sentence = str(error)
    assert time.monotonic() - began < LIMIT_S
    assert sentence is None or (sentence and "\n" not in sentence)
    return value, sentence


def is_read(body: Any) -> Any:
    """Tell whether an answer is read as one; what is refused is refused with a sentence."""
    began = time.monotonic()
    outcome, reason, told = read_answer(200, body, DAG)
    assert time.monotonic() - began < LIMIT_S
    if outcome is Outcome.INVALID_RESPONSE:
        assert reason
        assert "\n" not in reason
        assert len(reason) < 1000
    return outcome is not Outcome.INVALID_RESPONSE, told


@pytest.mark.parametrize("number", range(6))
def test_a_damaged_answer_is_an_outcome(number: int) -> None:
    """300 in all: what is still read is what JSON says, and its times are in range."""
    chance = random.Random(number)
    for place in range(50):
        good = answer_to({"dag": {"nodes": NODES}})
        if place % 2:
            body = damaged_bytes(chance, json.dumps(good).encode())
        else:
            body = json.dumps(damaged_value(chance, good)).encode()
        read, told = is_read(body)
        if read and told is not None:
            plain = json.loads(body.decode(errors="replace"))
            assert told.total_execution_time_ms == plain["total_execution_time_ms"]
            assert [node.execution_time_ms for node in told.results] == [
                node["execution_time_ms"] for node in plain.get("results", [])
            ]


@pytest.mark.parametrize("number", range(4))
def test_damaged_metrics_are_a_reading_or_a_sentence(number: int) -> None:
    """200 in all; what is read has no number that does not stand in the text."""
    chance = random.Random(number)
    good = counted([3, 70, 70, 4000, 20_000], cached=2).encode()
    for _ in range(50):
        text = damaged_bytes(chance, good).decode(errors="replace")
        read, refusal = attempt(lambda text=text: parse_scrape(text), ScrapeError)
        if refusal is None:
            assert all(0 <= count <= 2**53 for count in (*read.counters.values(), *read.buckets))


@pytest.mark.parametrize("number", range(4))
def test_a_damaged_scenario_file_is_a_scenario_or_a_sentence(tmp_path: Path, number: int) -> None:
    """200 in all, of all that ship."""
    chance = random.Random(number)
    shipped = [path.read_bytes() for path in shipped_scenarios().values()]
    path = tmp_path / "damaged.toml"
    for _ in range(50):
        path.write_bytes(damaged_bytes(chance, chance.choice(shipped)))
        attempt(lambda: load_scenario(path), UsageError)


def assignments(plain: Any, prefix: Any = ()) -> Iterator[Any]:
    for key, value in plain.items() if isinstance(plain, dict) else enumerate(plain):
        yield (*prefix, key)
        if isinstance(value, dict | list):
            yield from assignments(value, (*prefix, key))


KEYS = {
    ".".join(map(str, key)): path
    for path in shipped_scenarios().values()
    for key in assignments(tomllib.loads(path.read_text()))
}


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(KEYS))
def test_any_value_of_any_key_is_taken_or_refused(key: str) -> None:
    """Each key that a scenario that ships has, with each scrap."""
    for value in SCRAPS:
        attempt(lambda value=value: load_scenario(KEYS[key], {key: value}), UsageError)


def test_msgspec_refuses_what_json_does_not() -> None:
    """The scraps that no JSON can hold stay out of answers by the decoder itself."""
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(b'"\\ud800"')
    assert issubclass(InvalidResponse, Exception)
