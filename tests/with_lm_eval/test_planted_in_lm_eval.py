"""lm-eval writes its arguments and all answers into its results: no secret that was planted is found there."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from planted import PLANTED, searched
from reflecting_runtime import reflecting_runtime

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install -e '.[lm-eval]'")

ENVIRONMENT = {f"SECRET_{number}": secret for number, secret in enumerate(PLANTED.values())}


def as_headers() -> list[Any]:
    """Half of the secrets as they are, half of them by the environment."""
    names = [f"X-Planted-{number}" for number in range(len(PLANTED))]
    return [
        f"{name}: Bearer {f'${{SECRET_{number}}}' if number % 2 else secret}"
        for number, (name, secret) in enumerate(zip(names, PLANTED.values(), strict=True))
    ]


@pytest.fixture
def runtime() -> Iterator[Any]:
    with reflecting_runtime() as url:
        yield url


def leavings(evaluations: Any) -> Any:
    """The files of lm-eval and of our run, without the datasets that lie beside them."""
    return evaluations.folder / "out", evaluations.folder / "results"


def test_no_secret_is_found_in_lm_evals_results(evaluations: Any, runtime: Any) -> None:
    """The runtime says every header back, in answers that are chosen and in text that is generated."""
    arguments = json.dumps({"aether_url": runtime, "header": as_headers(), "max_retries": 0})
    done = evaluations.run(
        "lm_eval", "--model", "aether_stub", "--model_args", arguments, "--tasks", "arc_easy,arc_challenge_chat",
        "--limit", "12", "--log_samples", "--output_path", "out", LMEVAL_LOG_LEVEL="DEBUG", **ENVIRONMENT,
    )  # fmt: skip
    assert done.code in {0, 1}, done.err
    out, results = leavings(evaluations)
    (written,) = out.rglob("results_*.json")
    assert "X-Planted-0" in written.read_text()
    assert len(list(out.rglob("samples_*.jsonl"))) == 2
    assert searched(out) == {}
    assert searched(results, done.out, done.err) == {}, [line for line in done.err.splitlines() if "Planted" in line]


def test_no_secret_of_plain_arguments_is_found_in_lm_evals_results(evaluations: Any, runtime: Any) -> None:
    """`key=value,key=value` has room for one header, which has no comma in it."""
    secret = PLANTED["set as a table"]
    done = evaluations.run(
        "lm_eval", "--model", "aether_stub", "--model_args", f"aether_url={runtime},header=X-Plain: {secret}",
        "--tasks", "arc_easy", "--limit", "6", "--output_path", "out/results.json",
    )  # fmt: skip
    assert done.code in {0, 1}, done.err
    out, results = leavings(evaluations)
    assert (out / "results.json").is_file()
    assert searched(out) | searched(results, done.out, done.err) == {}
