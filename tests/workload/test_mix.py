"""Phases that send something else than the scenario's workload, and mixes of several kinds of requests."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aether_load.dag.workload import PromptRange
from aether_load.errors import UsageError
from aether_load.protocol import Generation
from aether_load.scenario.command_line.scenario_options import add_scenario_options, scenario_from
from aether_load.scenario.gate_plan import GatePlan, gate_scenario
from aether_load.scenario.load import from_plain, load_scenario, shipped_scenarios, to_plain
from aether_load.scenario.parts import parts_of, parts_of_phase
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.threshold import parse_threshold
from aether_load.scenario.toml_text import toml_text
from aether_load.schedule.order import prompt_order, prompts_of
from aether_load.schedule.plan_text import plan_text
from aether_load.schedule.scenario_prompts import load_scenario_prompts
from aether_load.schedule.shard import shares

MIX = """
name = "day"
[workload]
datasets = ["piqa"]
limit = 2
[[phases]]
name = "steady"
users = 4
duration = "10s"
[[phases.mix]]
name = "chat"
weight = 7
[[phases.mix]]
name = "quiz"
weight = 2
datasets = ["winogrande", "arc_easy"]
dag = "chain"
model = "gpt-4o"
max_tokens = 64
[[phases.mix]]
name = "triage"
dag = "triage"
"""
OWN = """
[workload]
datasets = ["piqa"]
limit = 2
[[phases]]
name = "first"
passes = 1
[[phases]]
name = "second"
passes = 1
datasets = ["winogrande"]
dag = "fan_out"
dag_nodes = 2
[[phases]]
name = "third"
passes = 1
"""
PHASE = "[[phases]]\nduration = 1\n"


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[..., Any]:
    """Return the scenario that a text says."""

    def load(text: str) -> Scenario:
        (tmp_path / "own.toml").write_text(text)
        return load_scenario(tmp_path / "own.toml")

    return load


def test_what_a_part_does_not_say_is_as_in_the_workload(scenario: Callable[..., Any]) -> None:
    plans = [(part.name, part.plan.datasets, part.plan.dag, part.plan.model, part.plan.max_tokens)
             for part in parts_of(scenario(MIX))]  # fmt: skip
    assert plans == [
        ("chat", ("piqa",), "single", "gpt-4o-mini", 16),
        ("quiz", ("winogrande", "arc_easy"), "chain", "gpt-4o", 64),
        ("triage", ("piqa",), "triage", "gpt-4o-mini", 16),
    ]


def test_with_another_dag_go_the_keys_of_the_one_before(scenario: Callable[..., Any], tmp_path: Path) -> None:
    """A file brings its own models; a shape has no file and no answering node."""
    (tmp_path / "dag.json").write_text("{}")
    text = """
[workload]
dag = "chain"
dag_nodes = 5
model = "gpt-4o"
[[phases]]
passes = 1
dag_file = "dag.json"
answer_node = "a"
[[phases]]
name = "b"
passes = 1
dag = "single"
[[phases]]
name = "c"
passes = 1
dag_nodes = 2
"""
    plans = [parts_of_phase(scenario(text), number)[0].plan for number in range(3)]
    assert [(plan.dag, plan.dag_nodes, plan.dag_file, plan.answer_node, plan.model) for plan in plans] == [
        ("file", None, str(tmp_path / "dag.json"), "a", "gpt-4o-mini"),
        ("single", None, None, None, "gpt-4o"),
        ("chain", 2, None, None, "gpt-4o"),
    ]


def test_the_prompts_of_all_parts_are_one_list(scenario: Callable[..., Any]) -> None:
    """Each with the DAG, the model and the name of its part; the same rows in two parts are two prompts."""
    loaded = load_scenario_prompts(scenario(MIX))
    workload = loaded.workload(Generation.V2)
    rows = list(zip(workload.prompts, workload.name_of_prompt, workload.bodies, strict=True))
    assert Counter((prompt.dataset, name) for prompt, name, _ in rows) == {
        ("piqa", "chat"): 2, ("winogrande", "quiz"): 2, ("arc_easy", "quiz"): 2, ("piqa", "triage"): 2
    }  # fmt: skip
    for place, (_, name, body) in enumerate(rows):
        nodes = json.loads(body)["dag"]["nodes"]
        assert [node["id"] for node in nodes] == [node.id for node in workload.dag_of(place).nodes]
        assert {"chat": 1, "quiz": 3, "triage": 5}[str(name)] == len(nodes)
        assert {node["model"] for node in nodes} == {"gpt-4o" if name == "quiz" else "gpt-4o-mini"}
    assert [node.id for node in workload.nodes] == [
        "chat/answer", "step_1", "step_2", "quiz/answer", "urgency", "category", "sentiment", "route", "reply"
    ]  # fmt: skip
    assert workload.phases == ((PromptRange(0, 2, 7.0), PromptRange(2, 4, 2.0), PromptRange(6, 2, 1.0)),)
    assert [identity.name for identity in loaded.identities] == ["piqa", "winogrande", "arc_easy"]


def test_phases_that_send_the_same_share_their_prompts(scenario: Callable[..., Any]) -> None:
    """The requests of a phase without a mix have no name."""
    workload = load_scenario_prompts(scenario(OWN)).workload(Generation.V2)
    assert workload.phases == ((PromptRange(0, 2),), (PromptRange(2, 2),), (PromptRange(0, 2),))
    assert (workload.name_of_prompt, workload.dag_of_prompt) == ((), (0, 0, 1, 1))
    assert [prompt.dataset for prompt in workload.prompts] == ["piqa", "piqa", "winogrande", "winogrande"]


def test_a_workload_that_no_phase_sends_is_not_loaded(scenario: Callable[..., Any]) -> None:
    """Its datasets are of no phase then."""
    text = '[workload]\nlimit = 1\n[[phases]]\npasses = 1\ndatasets = ["piqa"]\n'
    loaded = load_scenario_prompts(scenario(text))
    assert [prompt.dataset for prompt in loaded.of_datasets] == ["piqa"]


PARTS = (PromptRange(10, 3, 7.0), PromptRange(20, 1, 2.0), PromptRange(30, 5, 1.0))


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("limit", [0, 1, 250])
def test_workers_send_together_what_one_process_does(workers: int, limit: int) -> None:
    """The same prompts under the same indices, whatever the number of workers."""
    whole = list(prompt_order(PARTS, 42, limit))
    parted = [list(prompt_order(PARTS, 42, limit, share)) for share in shares(workers)]
    assert [parted[index % workers][index // workers] for index in range(limit)] == whole
    assert sum(map(len, parted)) == limit


def test_parts_are_drawn_by_their_weights_and_each_comes_in_order() -> None:
    """By the seed: 7 to 2 to 1, each part pass after pass."""
    drawn = list(islice(prompt_order(PARTS, 42), 10_000))
    counts = Counter(place // 10 for place in drawn)
    # Of binomial counts, within four standard deviations.
    assert abs(counts[1] - 7000) < 184
    assert abs(counts[2] - 2000) < 160
    assert abs(counts[3] - 1000) < 120
    assert [place for place in drawn if place // 10 == 3][:7] == [30, 31, 32, 33, 34, 30, 31]
    assert drawn[:12] == list(prompt_order(PARTS, 42, 12))
    assert drawn[:50] != list(prompt_order(PARTS, 43, 50))
    assert prompts_of([*PARTS, PARTS[1]]) == [10, 11, 12, 20, 30, 31, 32, 33, 34]


def test_the_drawing_is_the_same_in_every_release() -> None:
    """So that runs can be compared."""
    assert list(prompt_order(PARTS, 42, 6)) == [10, 11, 12, 10, 30, 11]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (PHASE + "mix = 'a'\n", 'expected a list, got a text; write mix = [{ name = "chat"'),
        (PHASE + "mix = [{ weight = 1 }]\n", "key phases.0.mix.0.name is missing."),
        (PHASE + "mix = [{ name = 'a', weight = 0 }]\n", "phases.0.mix.0.weight = 0"),
        (PHASE + "mix = [{ name = 'a' }, { name = 'a' }]\n", "phases.0.mix: two parts have the name 'a'."),
        (PHASE + "mix = [{ name = 'piqa' }]\n", "phases.0.mix.0.name = 'piqa': that is a phase's or a dataset's name"),
        (PHASE + "name = 'b'\nmix = [{ name = 'b' }]\n", "phases.0.mix.0.name = 'b': that is a phase's or a dataset's"),
        (
            PHASE + "passes = 1\nmix = [{ name = 'a' }]\n",
            "phases.0.passes: the parts of a mix are drawn, so that no pass sends each prompt once; say",
        ),
        (
            "[[phases]]\ntrace = { path = 't.csv' }\nmix = [{ name = 'a' }]\n",
            "phases.0.mix: a trace says itself what is sent, and in which order; leave one of them away.",
        ),
        (PHASE + "mix = [{ name = 'a', datasets = ['piq'] }]\n",
         "phases.0.mix.0.datasets: no dataset 'piq'; did you mean 'piqa'?"),
        (PHASE + "datasets = ['piqa', 'piqa']\n", "phases.0.datasets names a dataset twice."),
        (PHASE + "dag_nodes = 3\n", 'phases.0.dag_nodes = 3: it is for "chain" and "fan_out"'),
        (PHASE + "dag = 'file'\n", 'phases.0.dag = "file": say which with phases.0.dag_file = "path.json"'),
        (PHASE + "dag = 'program'\n", 'phases.0.dag = "program": workload.program names it, and that is not there.'),
        (PHASE + "dag_file = 'd.json'\nmodel = 'x'\n", "phases.0.model = 'x': the nodes of a file have their own"),
        (PHASE + "mix = [{ name = 'a', dags = 'single' }]\n", "unknown key phases.0.mix.0.dags; did you mean 'dag'?"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_in_a_sentence(
    scenario: Callable[..., Any], text: str, sentence: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        scenario(text)
    assert sentence in str(refusal.value)


def test_a_mistake_in_a_dag_or_a_row_names_the_part(scenario: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "dag.json").write_text('{"dag": {"nodes": []}}')
    loaded = scenario(PHASE + "mix = [{ name = 'a' }, { name = 'b', dag_file = 'dag.json' }]\n")
    with pytest.raises(UsageError, match=r"^phases\.0\.mix\.1: DAG file .*dag\.json: "):
        load_scenario_prompts(loaded)


def test_a_part_can_be_named_in_a_threshold(scenario: Callable[..., Any]) -> None:
    """As a dataset can."""
    loaded = scenario("thresholds = ['quiz:p(95)<500', 'steady:chat:error_rate<0.1']\n" + MIX)
    assert [plan.condition for plan in loaded.thresholds] == [
        parse_threshold("quiz:p(95)<500"), parse_threshold("steady:chat:error_rate<0.1")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--dag", "single"), "--dag single: phases.0.mix.1 of scenario day says dag itself, so it is unclear"),
        (("--dataset", "piqa"), "--dataset piqa: phases.0.mix.1 of scenario day says datasets itself"),
        (("--dag-nodes", "3", "--dag", "chain"), "--dag chain: phases.0.mix.1 of scenario day says dag itself"),
        (("--limit", "1"), None),
        (("--set", "phases.0.mix.1.dag=fan_out"), None),
    ],
)  # fmt: skip
def test_an_option_of_the_workload_is_refused_where_a_part_says_otherwise(
    tmp_path: Path, words: tuple[str, ...], sentence: str | None
) -> None:
    """In a sentence that names the part; others are of all parts."""
    (tmp_path / "own.toml").write_text(MIX)
    parser = argparse.ArgumentParser()
    add_scenario_options(parser, "eval")
    options = parser.parse_args(["--scenario", str(tmp_path / "own.toml"), *words])
    if sentence is None:
        plans = [part.plan for part in parts_of(scenario_from(options))]
        assert {plan.limit for plan in plans} == {1 if "--limit" in words else 2}
        assert plans[1].dag == ("chain" if "--limit" in words else "fan_out")
        return
    with pytest.raises(UsageError) as refusal:
        scenario_from(options)
    assert str(refusal.value).startswith(sentence)


def test_the_plan_says_what_each_phase_sends(scenario: Callable[..., Any]) -> None:
    text = plan_text(scenario(MIX + OWN.partition('[[phases]]\nname = "first"\npasses = 1\n')[2]))
    assert text == (
        "day\n"
        "  steady: 4 users; window of 10 s\n"
        "    chat, 0.7 of all: piqa; single; gpt-4o-mini, at most 16 tokens\n"
        "    quiz, 0.2 of all: winogrande, arc_easy; chain; gpt-4o, at most 64 tokens\n"
        "    triage, 0.1 of all: piqa; triage; gpt-4o-mini, at most 16 tokens\n"
        "  second: 8 users; window of each prompt once\n"
        "    sends winogrande; fan_out of 2; gpt-4o-mini, at most 16 tokens\n"
        "  third: 8 users; window of each prompt once\n"
    )


def test_a_run_remembers_its_mix(scenario: Callable[..., Any]) -> None:
    """In run.json, from which a report is made again."""
    loaded = scenario(MIX)
    assert from_plain(to_plain(loaded)) == loaded


@pytest.mark.parametrize("name", shipped_scenarios())
def test_a_shipped_scenario_as_toml_is_the_same_one(name: str, scenario: Callable[..., Any]) -> None:
    """With every default filled in."""
    shipped = load_scenario(shipped_scenarios()[name])
    assert scenario(toml_text(shipped)) == shipped


def test_any_text_survives_being_written_as_toml(scenario: Callable[..., Any]) -> None:
    """Quotes, control characters and every other; keys that are no plain words."""
    text = 'say "no"\\ \t\n \x00 \u2028 \x7f \U0001f600 é'
    loaded = msgspec.structs.replace(scenario(MIX), purpose=text, labels={"a.b": 'x "y" é'})
    assert "\x7f" not in toml_text(loaded)
    assert scenario(toml_text(loaded)) == loaded


def gate_of(scenario: Scenario, **plan: Any) -> Scenario:
    defaults: dict[str, Any] = {"candidate": "http://b", "base": "http://a", "pairs": 2, "window_s": 1.0, "phase": None}
    return gate_scenario(scenario, GatePlan(**(defaults | plan)))


def test_a_gate_sends_the_mix_to_both_sides(scenario: Callable[..., Any]) -> None:
    """The same prompts, in the same order."""
    sides = gate_of(scenario(MIX))
    workload = load_scenario_prompts(sides).workload(Generation.V2)
    assert workload.phases[0] == workload.phases[1]
    assert len(workload.prompts) == 8


def test_a_gate_of_two_programs_compares_no_mix(scenario: Callable[..., Any]) -> None:
    """It would be unclear what the program is compared with."""
    refusals = []
    for text in (MIX, "[[phases]]\nname = 'own'\nduration = 1\ndag = 'chain'\n"):
        with pytest.raises(UsageError) as refusal:
            gate_of(scenario(text), candidate_program="new.json")
        refusals.append(str(refusal.value))
    assert refusals == [
        f"--candidate-program new.json: phase {name} {what}, so that it is unclear what the program is compared with; "
        "name another phase."
        for name, what in (("steady", "is a mix"), ("own", "has a DAG of its own"))
    ]


def test_a_gate_can_compare_a_part_of_a_mix(scenario: Callable[..., Any]) -> None:
    """As it can a dataset; a name that nobody sends is refused with the nearest."""
    assert gate_of(scenario(MIX), metrics=("quiz:response_latency_ms:p(95)",)).phases[0].mix is not None
    with pytest.raises(UsageError, match="the scenario sends no dataset 'quizz'; did you mean 'quiz'"):
        gate_of(scenario(MIX), metrics=("quizz:response_latency_ms:p(95)",))


def test_a_trace_is_sent_in_the_dag_of_its_phase(scenario: Callable[..., Any], tmp_path: Path) -> None:
    """Its texts, and rows of the phase's own datasets."""
    (tmp_path / "texts.csv").write_text("timestamp,prompt\n0,Hello?\n1,There?\n")
    (tmp_path / "rows.csv").write_text("timestamp,dataset,row\n0,arc_easy,0\n")
    text = """
[workload]
datasets = ["piqa"]
limit = 1
[[phases]]
name = "plain"
passes = 1
[[phases]]
name = "texts"
trace = { path = "texts.csv" }
dag = "chain"
[[phases]]
name = "rows"
trace = { path = "rows.csv" }
datasets = ["arc_easy"]
"""
    loaded = scenario(text.replace("limit = 1\n", ""))
    found = load_scenario_prompts(loaded)
    workload = found.workload(Generation.V2)
    texts, rows = found.traces[1].prompts, found.traces[2].prompts
    assert texts is not None
    assert rows is not None
    assert [workload.prompts[place].text for place in texts] == ["Hello?", "There?"]
    assert {len(workload.dag_of(place).nodes) for place in texts} == {3}
    assert [workload.prompts[place].id for place in rows] == ["arc_easy/0"]
    assert workload.prompt_count == len(workload.prompts) - 2
