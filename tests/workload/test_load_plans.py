"""Loads as they are planned: what a phase may say, what is made of it, when requests are due, what a search finds."""

import json
import re
import tomllib
from itertools import islice, takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.dag.unique import MARK, mark_of, with_mark
from aether_load.datasets.prompt import Prompt
from aether_load.errors import UsageError
from aether_load.scenario.load import load_scenario, shipped_scenarios
from aether_load.scenario.phase import Phase
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import plan_items, plan_stages
from aether_load.schedule.arrivals import arrival_offsets
from aether_load.schedule.plan_text import plan_text
from aether_load.schedule.trace import read_traces
from property_tests import examples

DOC = (Path(__file__).parents[2] / "docs" / "loads.md").read_text()


def scenario_of(tmp_path: Path, text: str) -> Scenario:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return load_scenario(path)


def stages_of(tmp_path: Path, text: str) -> list[Any]:
    return [
        (stage.name, stage.users, stage.rate_rps, stage.joined) for stage in plan_stages(scenario_of(tmp_path, text))
    ]


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", DOC, re.DOTALL))
def test_every_example_of_the_docs_is_a_plan(tmp_path: Path, block: str) -> None:
    """Each block is a scenario as it stands, and its plan can be told."""
    scenario = scenario_of(tmp_path, block)
    assert plan_items(scenario)
    assert plan_text(scenario).count("\n") > len(scenario.phases)


def test_each_shipped_scenario_has_a_purpose_and_a_plan() -> None:
    """A sentence of purpose, and an end."""
    for path in shipped_scenarios().values():
        scenario = load_scenario(path)
        assert scenario.purpose[-1] in ".?"
        assert not any(stage.is_endless for stage in plan_stages(scenario))


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("users = 4\nrate = 10\nduration = 1", "users: that is of closed load, and this phase is open"),
        ("max_concurrency = 4\nduration = 1", "max_concurrency: that is of open load, and this phase is closed"),
        ("sweep = [1, 2]\nsteps = [1, 2]\nduration = 1", "a phase has one shape"),
        ("steps = [1, 2]", "duration: each of the steps needs one."),
        ("sweep = [1.5]\nrequests = 1", "1.5 is no number of users"),
        ('find = "max_rate"', "slo: a search needs at least one condition"),
        ('find = "max_rate"\nslo = ["p(99)<500", "eror_rate<1"]', "did you mean 'error_rate'?"),
        ('find = "max_rate"\nslo = ["p(101)<5"]', "a percentile lies between 0 and 100"),
        ('slo = ["p(99)<500"]\nduration = 1', "slo: it is what find searches under"),
        (
            'think_time_distribution = "exponential"\nduration = 1',
            "think_time_distribution: there is no think_time to draw.",
        ),
        ('rate = 5\nthink_time = "1s"\nduration = 1', "in open load no user thinks"),
        ('load_unit = "rate"\nduration = 1', "load_unit: it says what sweep, steps, spike or ramp are loads of"),
        ("users = 4\nramp = {from = 1, to = 5, over = 1}\nduration = 1", "5 is not the phase's load of 4"),
    ],
)
def test_what_contradicts_itself_is_said(tmp_path: Path, keys: str, sentence: str) -> None:
    """One sentence that names the phase and the key."""
    with pytest.raises(UsageError) as refusal:
        scenario_of(tmp_path, f"[[phases]]\n{keys}\n")
    assert "phases.0." in str(refusal.value)
    assert sentence in str(refusal.value)


def test_shapes_become_stages(tmp_path: Path) -> None:
    """A sweep rests between its loads, steps and spikes do not; all have the users that the largest needs."""
    text = """
[[phases]]
name = "s"
sweep = [1, 4]
requests = 3
[[phases]]
name = "t"
load_unit = "rate"
steps = [5, 200]
max_concurrency = 7
duration = "1s"
[[phases]]
name = "k"
users = 2
spike = {to = 9, before = 1, duration = 1, after = 1}
"""
    assert stages_of(tmp_path, text) == [
        ("s-1", 1, None, False), ("s-4", 4, None, False),
        ("t-5", 7, 5.0, False), ("t-200", 7, 200.0, True),
        ("k-before", 2, None, False), ("k-spike", 9, None, True), ("k-after", 2, None, True),
    ]  # fmt: skip


def test_repetitions_go_there_and_back(tmp_path: Path) -> None:
    """ABBA turns every other repetition round; shuffled ones are the same for the same seed."""
    phases = '[[phases]]\nname = "a"\nrequests = 1\n[[phases]]\nname = "b"\nrequests = 1\n'
    names = [name for name, *_ in stages_of(tmp_path, f'repeat = 3\norder = "abba"\n{phases}')]
    assert names == ["a#1", "b#1", "b#2", "a#2", "a#3", "b#3"]
    shuffled = [stages_of(tmp_path, f'repeat = 9\norder = "shuffled"\nseed = 5\n{phases}') for _ in range(2)]
    assert shuffled[0] == shuffled[1]
    assert sorted(name for name, *_ in shuffled[0]) == sorted(f"{p}#{n}" for p in "ab" for n in range(1, 10))


@given(st.floats(0.5, 5000), st.integers(1, 50))
def test_constant_arrivals_are_evenly_spaced(rate: float, count: int) -> None:
    """The k-th is due at k / rate."""
    offsets = list(islice(arrival_offsets("constant", rate, "x"), count))
    assert np.allclose(offsets, np.arange(count) / rate * 1e9, atol=1)


def test_poisson_arrivals_are_poisson_and_the_same_for_the_same_seed() -> None:
    """Gaps have the mean and the spread of an exponential; another seed draws others."""
    first, again, other = (list(islice(arrival_offsets("poisson", 1000.0, seed), 50_000)) for seed in ("a", "a", "b"))
    assert first == again != other
    gaps_ms = np.diff(first) / 1e6
    assert gaps_ms.mean() == pytest.approx(1.0, rel=0.02)
    assert gaps_ms.std() == pytest.approx(1.0, rel=0.02)


@settings(max_examples=examples(40), deadline=None)
@given(st.sampled_from(["constant", "poisson"]), st.floats(0, 300), st.floats(1, 300), st.floats(0.5, 5))
def test_a_ramp_brings_what_its_rates_add_up_to(kind: str, start: float, end: float, over_s: float) -> None:
    """On the way there are as many as the area under the rate; times never go back."""
    offsets = arrival_offsets(kind, end, "x", ramp_from_rps=start, ramp_over_s=over_s)
    whole = list(takewhile(lambda offset: offset < (over_s + 1) * 1e9, offsets))
    area = (start + end) / 2 * over_s
    slack = 2 if kind == "constant" else 6 * area**0.5 + 6
    assert abs(sum(offset < over_s * 1e9 for offset in whole) - area) <= slack
    assert whole == sorted(whole)


@given(st.text(max_size=30), st.integers(0, 10**9))
def test_a_mark_changes_the_prompt_and_no_length(text: str, request_index: int) -> None:
    """Each request's body is JSON of one length, with a prompt that begins as it was."""
    for body, nodes in (
        ({"nodes": [{"id": "a", "prompt": text}]}, itemgetter("nodes")),
        ({"dag": {"nodes": [{"id": "a", "prompt_template": text}]}, "context": {}}, lambda body: body["dag"]["nodes"]),
    ):
        marked = with_mark(msgspec.json.encode(body))
        one, two = (marked.replace(MARK, mark_of("run", number)) for number in (request_index, request_index + 1))
        assert len(one) == len(two) == len(marked)
        assert one != two
        (node,) = nodes(json.loads(one))
        assert (node.get("prompt") or node.get("prompt_template")).startswith(text)


PROMPTS = [Prompt(id=f"piqa/{n}", dataset="piqa", text=f"t{n}") for n in range(3)]


def trace_phase(path: Path, **keys: Any) -> Phase:
    from aether_load.scenario.phase import TraceFile

    return Phase(name="t", trace=TraceFile(path=str(path), **keys))


def test_a_trace_in_any_order_and_either_format(tmp_path: Path) -> None:
    """Times count from the earliest, divided by the speed; texts become prompts, rows are found."""
    texts = tmp_path / "a.csv"
    texts.write_text('timestamp,prompt\n2026-01-01T00:00:02Z,"b, c"\n2026-01-01T00:00:00Z,a\n')
    found = read_traces([trace_phase(texts, speed=2.0)], PROMPTS)
    assert found.traces[0].offsets_ns == (0, 1_000_000_000)
    assert [found.prompts[0][place - 3].text for place in found.traces[0].prompts or ()] == ["a", "b, c"]
    rows = tmp_path / "b.jsonl"
    rows.write_text(
        '{"timestamp": 1500, "dataset": "piqa", "row": 2}\n{"timestamp": 1000, "dataset": "piqa", "row": 0}\n'
    )
    found = read_traces([trace_phase(rows, timestamp_unit="ms")], PROMPTS)
    assert found.traces[0].offsets_ns == (0, 500_000_000)
    assert (found.traces[0].prompts, found.prompts) == ((0, 2), {})


def test_the_readmes_kind_of_scenario_is_of_one_plain_phase() -> None:
    """What -u, -r and -t can say."""
    plain = msgspec.convert(tomllib.loads("users = 3\nduration = 1.0"), Phase, dec_hook=lambda kind, value: kind(value))
    assert (plain.is_plain_closed, Phase(rate=3.0).is_plain_closed, Phase(sweep=(1.0,)).is_plain_closed) == (
        True,
        False,
        False,
    )
    assert Scenario(name="x", phases=(plain,)).repeat == 1
