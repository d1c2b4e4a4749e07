"""--model_args, --batch_size, generation_kwargs and --output_path, as lm-eval hands them over."""

import json
from pathlib import Path
from typing import Any

import pytest

from aether_load.errors import UsageError
from aether_load.evaluation.command_line import Wishes, read_command_line
from aether_load.evaluation.generation import GenerationPlan, read_generation, truncate
from aether_load.evaluation.options import StubOptions, hidden_model_args, hide_header, read_options
from aether_load.evaluation.output import copy_results
from aether_load.scenario.duration import Seconds


def test_without_arguments_it_is_the_seeds_runtime() -> None:
    """Nothing said is http://localhost:3000 with eight in flight; lm-eval's unsaid batch size of 1 is no wish."""
    assert read_options({}, 1) == StubOptions(aether_url="http://localhost:3000", num_concurrent=8)


@pytest.mark.parametrize(("size", "in_flight"), [("1", 1), ("16", 16), (4, 4), ("auto", 8), ("auto:4", 8), (None, 8)])
def test_a_batch_size_is_a_number_in_flight(size: int | str | None, in_flight: int) -> None:
    """Said on the command line it is a text, and means what it says."""
    assert read_options({}, size).num_concurrent == in_flight


def test_arguments_keep_their_kind() -> None:
    """A model called 4 is a name; durations are written as everywhere."""
    options = read_options({"model": 4, "request_timeout": "1m30s", "connect_timeout": 2, "temperature": 1})
    assert options == StubOptions(
        model_name="4", request_timeout=Seconds(90), connect_timeout=Seconds(2), temperature=1.0
    )


@pytest.mark.parametrize(
    ("arguments", "size", "sentence"),
    [
        ({"aether_uri": "x"}, None, "--model_args: unknown key aether_uri; did you mean 'aether_url'?"),
        ({"num_concurrent": 0}, None, "--model_args: num_concurrent = 0: expected a whole number >= 1."),
        ({"temperature": "hot"}, None, "--model_args: temperature = 'hot': expected a number, got a text."),
        ({"request_timeout": 0}, None, "--model_args: request_timeout is 0; an answer needs time."),
        ({"results_dir": ""}, None, "--model_args: results_dir is no name of a folder."),
        ({"model": "a", "model_name": "b"}, None, "--model_args: model=a and model_name=b contradict each other."),
        ({}, "0", "--batch_size 0: expected a number of requests in flight, 1 or more, or auto."),
        ({}, "many", "--batch_size many: expected a number of requests in flight, 1 or more, or auto."),
        (
            {"num_concurrent": 4},
            "2",
            (
                "--batch_size 2 and --model_args num_concurrent=4 contradict each other: both say how many requests "
                "are in flight; leave one away."
            ),
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments: dict[str, Any], size: str | None, sentence: str) -> None:
    """Key, value, and what to do."""
    with pytest.raises(UsageError) as refusal:
        read_options(arguments, size)
    assert str(refusal.value) == sentence


def test_a_header_is_written_down_nowhere() -> None:
    """lm-eval writes the model's arguments into its results: of a header only the variable's name is left there."""
    arguments = {"header": "Authorization: Bearer ${TOKEN}"}
    assert read_options(arguments).headers == {"Authorization": "Bearer ${TOKEN}"}
    hide_header(arguments)
    assert arguments == {"header": "Authorization: ${TOKEN}"}
    several = {"header": ["X-Key: secret", "X-Other: hidden"]}
    assert read_options(several).headers == {"X-Key": "secret", "X-Other": "hidden"}
    hide_header(several)
    assert several == {"header": ["X-Key: ***", "X-Other: ***"]}
    command = ["--model_args", "aether_url=http://h,header=X-Key: secret,model_name=m", "--limit", "5"]
    assert hidden_model_args(command)[1] == "aether_url=http://h,header=***,model_name=m"
    assert hidden_model_args(['{"header": ["X-Key: secret"]}', "header=X-Key: secret"]) == ["***", "header=***"]


def test_generation_is_asked_for_as_the_task_says() -> None:
    """End marks as one text or several, a bound under any of its names, no warmth where nothing is sampled."""
    said = read_generation(
        "t", {"until": "\n", "max_new_tokens": "9", "temperature": 0.7, "top_p": 0.5}, max_tokens=256, temperature=0.0
    )
    assert said == GenerationPlan(("\n",), 9, 0.7, {"top_p": 0.5})
    plain = read_generation(
        "t", {"until": ["a", ""], "do_sample": False, "temperature": 1}, max_tokens=5, temperature=1
    )
    assert plain == GenerationPlan(("a",), 5, 0.0, {})
    with pytest.raises(UsageError, match=r"Task t: generation_kwargs .* expected numbers"):
        read_generation("t", {"max_gen_toks": "many"}, max_tokens=5, temperature=0.0)
    with pytest.raises(UsageError, match=r"Task t: generation_kwargs .* out of a runtime's bounds"):
        read_generation("t", {"temperature": 7}, max_tokens=5, temperature=0.0)


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        ({"seed": 1, "max_length": 9}, GenerationPlan((), 5, 0.0, {"seed": 1, "max_length": 9})),
        ({"do_sample": True}, GenerationPlan((), 5, 0.0, {"do_sample": True})),
        ({"do_sample": True, "temperature": 0.2}, GenerationPlan((), 5, 0.2, {})),
        ({"max_gen_toks": 7, "max_tokens": "7"}, GenerationPlan((), 7, 0.0, {})),
    ],
)
def test_what_has_no_place_in_a_request_is_named(arguments: dict[str, Any], plan: GenerationPlan) -> None:
    """A bound on the whole text, a seed, and sampling at temperature 0 are not sent."""
    assert read_generation("t", arguments, max_tokens=5, temperature=0.0) == plan


def test_two_bounds_contradict_each_other() -> None:
    """It would be unclear which was sent."""
    with pytest.raises(UsageError) as refusal:
        read_generation("t", {"max_gen_toks": 7, "max_tokens": 9}, max_tokens=5, temperature=0.0)
    assert str(refusal.value) == (
        "Task t: generation_kwargs: max_gen_toks = 7 and max_tokens = 9 contradict each other."
    )


@pytest.mark.parametrize(
    ("text", "until", "kept"),
    [
        ("B. Because", ["\n\n", "."], "B"),
        ("one\n\ntwo. three", [".", "\n\n"], "one"),
        ("all", [], "all"),
        (".", ["."], ""),
    ],
)
def test_a_text_ends_at_the_first_of_its_marks(text: str, until: list[str], kept: str) -> None:
    """Whichever mark comes first in the text, in whatever order they are given."""
    assert truncate(text, until) == kept


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("run --output_path results/x.json --tasks a", "results/x.json"),
        ("--tasks a -o x.json", "x.json"),
        ("--output_path=x.json", "x.json"),
        ("--output_path ../results/ --limit 5", None),
        ("--tasks a", None),
        ("--output_path", None),
    ],
)
def test_the_wanted_file_is_the_command_lines(words: str, file: str | None) -> None:
    """Only a path that ends in .json names a file."""
    found = read_command_line(words.split()).file
    assert (found and str(found)) == file


def test_wishes_may_stand_in_lm_evals_own_configuration(tmp_path: Path) -> None:
    """--config FILE gives them where the command line does not; generation arguments of both are put together."""
    config = tmp_path / "c.yaml"
    config.write_text(
        'tasks: [a]\noutput_path: "out/y.json"  # here\ngen_kwargs: {top_p: 0.5, until: ["x"]}\ndevice: cpu\n'
    )
    assert read_command_line(["--config", str(config)]) == Wishes(
        output_path="out/y.json", gen_kwargs=("top_p", "until"), device="cpu"
    )
    words = ["-C", str(config), "-o", "z.json", "--gen_kwargs", "seed=1", "--device", "cuda:1"]
    assert read_command_line(words) == Wishes(
        output_path="z.json", gen_kwargs=("seed", "top_p", "until"), device="cuda:1"
    )
    assert read_command_line(["--config", str(tmp_path / "none.yaml")]) == Wishes()
    config.write_text("a: [")
    assert read_command_line(["--config", str(config)]) == Wishes()


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["temperature=0.8,top_p=0.95"], ("temperature", "top_p")),
        (["temperature=0.8", "top_p=0.95", 'stop=["a,b=c"]'], ("temperature", "top_p", "stop", "b")),
        (['{"do_sample": true, "seed": 5}'], ("do_sample", "seed")),
        (["{broken"], ()),
        ([], ()),
    ],
)
def test_generation_arguments_are_read_in_every_notation(words: list[str], keys: tuple[str, ...]) -> None:
    """As lm-eval reads them: pairs in one word or several, or JSON."""
    assert read_command_line(["--gen_kwargs", *words, "--limit", "5"]).gen_kwargs == keys


def test_what_cannot_be_sent_is_refused_and_what_changes_nothing_is_warned_of() -> None:
    """lm-eval would write the arguments into its results as if they had been used."""
    with pytest.raises(UsageError) as refusal:
        read_command_line(["--gen_kwargs", "temperature=0.5,top_p=0.5,seed=1"]).check()
    assert str(refusal.value) == (
        "--gen_kwargs top_p, seed: not sent, because a request to the runtime has no place for it; leave it away. "
        "There is one for temperature, do_sample, until, max_gen_toks, max_new_tokens, max_tokens."
    )
    assert read_command_line(["--gen_kwargs", "temperature=0.5,until=['x']", "--tasks", "a"]).check() == []
    assert read_command_line(["--device", "cuda:0", "--max_batch_size", "64"]).check() == [
        "--device cuda:0 is not sent: the runtime decides where its model runs.",
        "--max_batch_size 64 is not sent: num_concurrent says how many requests are in flight.",
    ]


def test_results_are_known_by_the_run_and_not_by_their_time(tmp_path: Path) -> None:
    """Of several dated files beside the wanted one, that of this run is copied; another's is never taken."""
    stamp = "2026-03-04T05-06-07.123456"
    mine = {"config": {"aether_load": {"run_id": "mine"}}}
    (tmp_path / f"x_{stamp}.json").write_text(json.dumps(mine))
    (tmp_path / "x_2026-03-04T09-09-09.000001.json").write_text('{"config": {"aether_load": {"run_id": "other"}}}')
    (tmp_path / "x_2026-03-05T09-09-09.000001.json").write_text("no JSON")
    (tmp_path / f"x_more_{stamp}.json").write_text(json.dumps(mine))
    (tmp_path / "x.json").write_text("an older one")
    assert copy_results(tmp_path / "x.json", "mine") == tmp_path / f"x_{stamp}.json"
    assert json.loads((tmp_path / "x.json").read_text()) == mine
    assert copy_results(tmp_path / "x.json", "nobody's") is None
    assert json.loads((tmp_path / "x.json").read_text()) == mine
