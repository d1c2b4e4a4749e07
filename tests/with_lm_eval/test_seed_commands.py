"""The evaluation commands of docs/lm-eval.md, but for the port, by upstream's lm-eval and its own tasks."""

import json
import re
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from evaluations import documents, gold_letter, readme_command, write_key
from processes import Simulator, run_command

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install -e '.[lm-eval]'")

FAST = ("--latency", "constant:2ms")


def results_in(folder: Path) -> Any:
    (file,) = folder.glob("results_*.json")
    return json.loads(file.read_bytes())


def test_the_first_command(evaluations: Any, simulator: Callable[..., Simulator]) -> None:
    """hellaswag, 10 documents: ten generations, one in flight, and lm-eval's table with a figure that is true."""
    runtime = simulator("--answer", "B", *FAST)
    done = evaluations.run(*readme_command("hellaswag --num_fewshot 0 --batch_size 1 --limit 10", runtime.url))
    assert done.code == 0, done.err
    assert runtime.record()["nodes"]["succeeded"] == 10
    share = sum(gold_letter(row) == "B" for row in documents(evaluations.rows, "hellaswag", 10)) / 10
    assert (done.metric("hellaswag"), done.metric("hellaswag", "acc_norm")) == (share, share)
    phase = done.phase
    assert (phase["users"], phase["all"]["ok_total"], phase["reconciliation"]["trust"]) == (1, 10, "trusted")
    assert "Traceback" not in done.err


def test_two_tasks_into_a_folder_beside(evaluations: Any, simulator: Callable[..., Simulator], tmp_path: Path) -> None:
    """piqa,hellaswag, 50 each, --output_path ../results/: the folder is the model's, the accuracy the simulator's."""
    assert write_key(tmp_path / "key.jsonl", evaluations.rows, {"piqa": 50, "hellaswag": 50}) == 100
    runtime = simulator("--answer-key", str(tmp_path / "key.jsonl"), "--accuracy", "0.7", *FAST)
    done = evaluations.run(*readme_command("piqa,hellaswag --limit 50 --output_path ../results/", runtime.url))
    assert done.code == 0, done.err
    results = results_in(evaluations.folder.parent / "results" / "gpt-4o")
    ours = done.phase["all"]
    theirs = (results["results"]["piqa"]["acc,none"] + results["results"]["hellaswag"]["acc,none"]) / 2
    assert (ours["accuracy"]["count"], ours["unanswered_total"]) == (100, 0)
    assert ours["accuracy"]["value"] == pytest.approx(theirs)
    assert ours["accuracy"]["low"] <= 0.7 <= ours["accuracy"]["high"]
    info = results["config"]["aether_load"]
    assert info["run_id"] == done.run_folder.name
    assert info["phases"]["loglikelihood"]["all"]["calls_total"] == 100
    assert info["tasks"]["piqa"]["documents_total"] == info["tasks"]["piqa"]["answered_total"] == 50
    latency = info["phases"]["loglikelihood"]["piqa"]["service_latency_ms"]
    assert latency["p50"]["value"] <= latency["p95"]["value"] <= latency["p99"]["value"] <= latency["max"]
    assert 0 < info["phases"]["loglikelihood"]["all"]["server_time_share"] <= 1
    assert done.phase["users"] == 8


def test_a_file_of_a_chosen_name(evaluations: Any, simulator: Callable[..., Simulator]) -> None:
    """piqa, 20, --output_path results/performance_test.json: that file is there, and is what lm-eval wrote."""
    runtime = simulator(*FAST)
    done = evaluations.run(*readme_command("piqa --limit 20 --output_path results/performance_test.json", runtime.url))
    assert done.code == 0, done.err
    file = evaluations.folder / "results" / "performance_test.json"
    (dated,) = file.parent.glob("performance_test_*.json")
    assert file.read_bytes() == dated.read_bytes()
    results = json.loads(file.read_bytes())
    assert (results["n-samples"]["piqa"]["effective"], results["config"]["model"]) == (20, "aether_stub")
    meaning = results["config"]["aether_load"]["accuracy_meaning"]
    assert meaning.startswith("MEANINGLESS: 20 of 20 answers are the mock provider's fixed text")
    assert f"lm-eval's accuracy is {meaning}" in done.err
    assert done.phase["all"]["accuracy"] is None
    assert "mock provider" in done.phase["all"]["reasons"]["accuracy"]


def test_three_tasks_on_a_v1_runtime(evaluations: Any, simulator: Callable[..., Simulator]) -> None:
    """hellaswag,piqa,winogrande, 5 each: a document is asked once, in either generation's words."""
    runtime = simulator("--generation", "v1", "--answer", "B", *FAST)
    done = evaluations.run(*readme_command("hellaswag,piqa,winogrande --limit 5", runtime.url))
    assert (done.code, runtime.record()["nodes"]["succeeded"]) == (0, 15), done.err
    for task in ("hellaswag", "piqa", "winogrande"):
        golds = [gold_letter(row) for row in documents(evaluations.rows, task, 5)]
        assert done.metric(task) == golds.count("B") / 5
    assert done.report["target"]["generation"] == "v1"
    assert {row["dataset"] for row in done.phase["datasets"]} == {"hellaswag", "piqa", "winogrande"}


def test_no_model_args_at_all(evaluations: Any, simulator: Callable[..., Simulator]) -> None:
    """hellaswag, 50, without --model_args: the runtime is at http://localhost:3000, and eight are in flight."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 3000))
        except OSError:
            pytest.skip("port 3000 of 127.0.0.1 is in use, so that nothing can be tested there")
    runtime = simulator("--port", "3000", "--answer", "B", *FAST)
    done = evaluations.run(*readme_command("hellaswag --limit 50"))
    assert (done.code, runtime.record()["nodes"]["succeeded"]) == (0, 50), done.err
    golds = [gold_letter(row) for row in documents(evaluations.rows, "hellaswag", 50)]
    assert done.metric("hellaswag") == pytest.approx(golds.count("B") / 50)
    assert (done.report["target"]["url"], done.phase["users"]) == ("http://localhost:3000", 8)


def test_arc_and_a_task_that_generates(evaluations: Any, simulator: Callable[..., Simulator], tmp_path: Path) -> None:
    """arc_easy, arc_challenge and arc_challenge_chat in one go: always "B" scores just the share of gold B."""
    runtime = simulator("--answer", "B", *FAST)
    done = evaluations.run(
        *readme_command(
            "arc_easy,arc_challenge,arc_challenge_chat --limit 30 --log_samples --output_path out", runtime.url
        )
    )
    assert done.code == 0, done.err
    right = 0
    for task, metric in (("arc_easy", "acc"), ("arc_challenge", "acc"), ("arc_challenge_chat", "exact_match")):
        golds = [gold_letter(row) for row in documents(evaluations.rows, task, 30)]
        assert done.metric(task, metric) == pytest.approx(golds.count("B") / 30, abs=1e-4)
        right += golds.count("B") if metric == "acc" else 0
    phases = {phase["name"]: phase for phase in done.report["phases"]}
    assert {name: phase["all"]["ok_total"] for name, phase in phases.items()} == {
        "loglikelihood": 60,
        "generate_until": 30,
    }
    assert phases["loglikelihood"]["all"]["accuracy"]["hits"] == right
    assert phases["generate_until"]["all"]["accuracy"] is None
    assert [phase["reconciliation"]["trust"] for phase in phases.values()] == ["trusted", "trusted"]
    assert len(list((evaluations.folder / "out" / "gpt-4o-mini").glob("samples_*.jsonl"))) == 3

    # The folder is a run's like any other: made again, byte for byte, by the command that reads runs.
    before = (done.run_folder / "report.json").read_bytes()
    (done.run_folder / "report.json").unlink()
    again = run_command("report", str(done.run_folder), cwd=tmp_path)
    assert (again.returncode, (done.run_folder / "report.json").read_bytes()) == (0, before), again.stderr
    table = pa.ipc.open_stream(done.run_folder / "samples.arrow").read_pandas()
    assert sorted(table["prompt_id"]) == sorted(
        f"{task}/{number}" for task in ("arc_easy", "arc_challenge", "arc_challenge_chat") for number in range(30)
    )
    manifest = msgspec.json.decode((done.run_folder / "run.json").read_bytes())
    assert (manifest["seed"], manifest["scenario"]["name"], manifest["ended_as"]) == (None, "lm_eval", "completed")
    assert sorted((row["name"], row["rows_used"], row["rows_available"]) for row in manifest["datasets"]) == [
        ("arc_challenge", 30, None),
        ("arc_challenge_chat", 30, None),
        ("arc_easy", 30, None),
    ]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", manifest["datasets"][0]["revision"])


@pytest.mark.parametrize("program", [("lm_eval",), ("aether_load", "lm-eval")])
def test_a_dataset_that_cannot_be_had_is_a_sentence(
    evaluations: Any, simulator: Callable[..., Simulator], tmp_path: Path, program: tuple[str, ...]
) -> None:
    """Neither from the hub, nor from a cache, nor from a folder of its name."""
    runtime = simulator(*FAST)
    (evaluations.folder / "Rowan").unlink()
    options = ("--model", "aether_stub", "--model_args", f"aether_url={runtime.url}", "--tasks", "hellaswag")
    done = evaluations.run(*program, *options, "--limit", "2", HF_HOME=str(tmp_path / "home"))
    assert done.code == 2, done.err
    assert done.err.splitlines()[-1].startswith("aether-load: lm-eval could not load a dataset: ")
    assert "HF_HUB_OFFLINE=1 and give the dataset in a folder of its name" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
