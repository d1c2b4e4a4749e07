import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aether_load.dag.workload import PromptRange, build_workload
from aether_load.datasets.dataset import HUB_DATASETS, hub_prompts, in_seeded_order
from aether_load.datasets.prompt import Prompt
from aether_load.datasets.question import question_text
from aether_load.datasets.rows import SAMPLE_FOLDER
from aether_load.errors import UsageError
from aether_load.protocol import Generation
from aether_load.scenario.workload_plan import WorkloadPlan
from aether_load.schedule.order import prompt_order

ARC_ROW = {
    "id": "x",
    "question": "Which is hottest?",
    "choices": {"text": ["ice", "fire", "tea"], "label": ["1", "2", "3"]},
    "answerKey": "2",
}
ROWS: dict[str, tuple[dict[str, Any], Prompt]] = {
    "hellaswag": (
        {"activity_label": "Baking", "ctx": "A man holds a tin.", "endings": ["w", "x", "y", "z"], "label": "3"},
        Prompt("hellaswag/0", "hellaswag", "Which ending completes the text best?\n\nBaking: A man holds a tin.",
               ("w", "x", "y", "z"), 3),
    ),
    "piqa": (
        {"goal": "open a jar", "sol1": "twist", "sol2": "shout", "label": 0},
        Prompt("piqa/0", "piqa", "Which of the two ways reaches the goal?\n\nGoal: open a jar", ("twist", "shout"), 0),
    ),
    "winogrande": (
        {"sentence": "Ann thanked Eve as _ had helped.", "option1": "Ann", "option2": "Eve", "answer": "2"},
        Prompt("winogrande/0", "winogrande",
               "Which option belongs in the blank, marked _?\n\nAnn thanked Eve as _ had helped.", ("Ann", "Eve"), 1),
    ),
    "arc_easy": (ARC_ROW, Prompt("arc_easy/0", "arc_easy", "Which is hottest?", ("ice", "fire", "tea"), 1)),
    "arc_challenge": (
        {**ARC_ROW, "choices": {"text": list("pqrst"), "label": list("ABCDE")}, "answerKey": "E"},
        Prompt("arc_challenge/0", "arc_challenge", "Which is hottest?", tuple("pqrst"), 4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HUB_DATASETS)
def test_each_schema_is_read_as_text_options_and_gold(name: str) -> None:
    """Labels as text, as 0/1, as "1"/"2", and keys as letters or digits all become an index into the options."""
    row, prompt = ROWS[name]
    assert hub_prompts(name, [row]) == [prompt]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {"goal": "g", "sol1": "a"},
            "Dataset piqa: row 1: there is no column 'sol2'; did you mean 'sol1'?",
        ),
        (
            {"goal": "g", "sol1": "a", "sol2": "b", "label": 2},
            "Dataset piqa: row 1: column 'label': 2 is not from 0 to 1, the row's options.",
        ),
        (
            {"goal": "g", "sol1": "a", "sol2": None, "label": 0},
            "Dataset piqa: row 1: column 'sol2' is null, and an option is needed.",
        ),
        (
            {"goal": ["g"], "sol1": "a", "sol2": "b", "label": 0},
            "Dataset piqa: row 1: column 'goal' holds a list, and a text is needed.",
        ),
        (
            {"goal": "g", "sol1": "a", "sol2": "b", "label": "x"},
            "Dataset piqa: row 1: column 'label': 'x' is no whole number.",
        ),
    ],
)
def test_a_row_of_another_schema_is_named(row: dict[str, Any], sentence: str) -> None:
    """A row that cannot be read is an error with dataset, row, column and reason."""
    with pytest.raises(UsageError) as raised:
        hub_prompts("piqa", [row])
    assert str(raised.value) == sentence


def test_a_hidden_label_is_no_gold() -> None:
    """Test splits hide their labels as an empty text or -1; the prompt is sent all the same."""
    rows = [{"goal": "g", "sol1": "a", "sol2": "b", "label": label} for label in (-1, "")]
    assert [prompt.gold for prompt in hub_prompts("piqa", rows)] == [None, None]


def test_the_question_letters_its_options_and_asks_for_one() -> None:
    """The prompt's text is the question, an option a line, and what may be answered."""
    assert question_text(ROWS["arc_easy"][1]) == (
        "Which is hottest?\n\nA. ice\nB. fire\nC. tea\n\nAnswer with one letter only: A, B or C."
    )


def test_the_order_depends_on_the_seed_alone() -> None:
    """However the prompts come in, a seed gives one order, known to the last place, and another seed another."""
    prompts = [Prompt(f"piqa/{number}", "piqa", "t") for number in range(8)]
    shuffled = random.Random(1).sample(prompts, len(prompts))
    order = [prompt.id for prompt in in_seeded_order(shuffled, 42)]
    assert order == [f"piqa/{number}" for number in (1, 6, 5, 2, 3, 7, 0, 4)]
    assert order != [prompt.id for prompt in in_seeded_order(prompts, 43)]


def test_a_smaller_limit_takes_the_beginning_of_a_larger_one() -> None:
    """The first n prompts are the same n whatever comes behind them."""
    prompts = [Prompt(f"piqa/{number}", "piqa", "t") for number in range(100)]
    assert in_seeded_order(prompts[:], 1)[:10] == in_seeded_order(reversed(prompts), 1)[:10]


@pytest.mark.parametrize(
    ("generation", "body"),
    [
        (
            Generation.V1,
            {
                "nodes": [
                    {"id": "answer", "node_type": "llm_fn", "prompt": "PROMPT", "model": "gpt-4o", "dependencies": []}
                ]
            },
        ),
        (
            Generation.V2,
            {
                "dag": {
                    "schema_version": "1.0",
                    "metadata": {"flow_name": "aether_load_arc_easy"},
                    "nodes": [
                        {
                            "id": "answer",
                            "node_type": "llm_fn",
                            "prompt_template": "PROMPT",
                            "model": "gpt-4o",
                            "dependencies": [],
                            "temperature": 0.0,
                            "max_tokens": 16,
                        }
                    ],
                },
                "context": {},
            },
        ),
    ],
)
def test_a_prompt_stands_literally_in_a_dag_of_one_node(generation: Generation, body: dict[str, Any]) -> None:
    """The body is the wire format of the generation, the question in it as it stands."""
    prompt = ROWS["arc_easy"][1]
    workload = build_workload([prompt], WorkloadPlan(model="gpt-4o"), generation)
    expected = json.dumps(body).replace('"PROMPT"', json.dumps(question_text(prompt)))
    assert [json.loads(made) for made in workload.bodies] == [json.loads(expected)]


def test_work_goes_pass_by_pass() -> None:
    """Each prompt comes once before any comes again, and no more than the limit."""
    assert list(prompt_order([PromptRange(0, 3)], 0, 7)) == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize("name", HUB_DATASETS)
def test_the_bundled_sample_is_in_the_true_schema_and_balanced(name: str) -> None:
    """At least forty rows a set, each readable with a gold answer, no gold position hogging, none twice."""
    hub = HUB_DATASETS[name]
    file = SAMPLE_FOLDER.joinpath(*(part for part in (hub.repo, hub.config, f"{hub.split}.jsonl") if part))
    prompts = hub_prompts(name, [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()])
    assert len(prompts) >= 40
    assert len({(prompt.text, prompt.options) for prompt in prompts}) == len(prompts)
    positions = Counter(prompt.gold for prompt in prompts)
    assert None not in positions
    assert max(positions.values()) <= 0.6 * len(prompts)


def test_the_bundled_sample_is_not_the_real_data(real_rows: Path) -> None:
    """No row of the sample is a row of the dataset that it stands for."""
    for name, hub in HUB_DATASETS.items():
        parts = [part for part in (hub.repo, hub.config, f"{hub.split}.jsonl") if part]
        texts = [
            {prompt.text for prompt in hub_prompts(name, map(json.loads, folder.joinpath(*parts).open()))}
            for folder in (SAMPLE_FOLDER, real_rows)
        ]
        assert texts[0] & texts[1] == set()
