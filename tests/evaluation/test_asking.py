"""Documents asked of a runtime that fails in every way: none loses the run, each is recorded and reported."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from aether_load.datasets.prompt import Prompt
from aether_load.errors import AetherLoadError, TargetError
from aether_load.evaluation.evaluation import Evaluation
from aether_load.evaluation.generation import read_generation
from aether_load.evaluation.options import read_options
from aether_load.evaluation.questions import Question
from aether_load.evaluation.session import DocumentRequest
from aether_load.rundata.folder import RunFolder
from evaluations import capturing_runtime
from processes import Simulator, wait_for

if TYPE_CHECKING:
    from pandas import DataFrame

FAST = ("--latency", "constant:1ms")


def questions(count: int, task: str = "piqa") -> list[Question]:
    return [
        Question(task, number, 0, f"Goal number {number}", ("one", "two"), (2 * number, 2 * number + 1))
        for number in range(count)
    ]


def rows(count: int, label: int = 1) -> list[dict[str, Any]]:
    return [{"goal": str(number), "sol1": "one", "sol2": "two", "label": label} for number in range(count)]


@pytest.fixture
def evaluation(tmp_path: Path) -> Callable[..., Any]:
    """Begin an evaluation of the runtime at a URL."""

    def begin(url: str, **arguments: float | str) -> Evaluation:
        return Evaluation(read_options({"aether_url": url, "results_dir": str(tmp_path / "results"), **arguments}))

    return begin


def samples(info: dict[str, Any]) -> DataFrame:
    table = pa.ipc.open_stream(info["run_folder"] + "/samples.arrow").read_pandas()
    answer: DataFrame = table.sort_values("request_index")
    return answer


def finish(evaluation: Evaluation) -> dict[str, Any]:
    answer: dict[str, Any] = evaluation.finish()["aether_load"]
    return answer


@pytest.mark.parametrize(
    ("fault", "outcome", "failed", "rejected"),
    [
        ({"kind": "status", "code": 500}, "http_error", 3, 0),
        ({"kind": "garbage"}, "invalid_response", 3, 0),
        ({"kind": "close", "at": "body"}, "connection_error", 3, 0),
        ({"kind": "node_failure"}, "node_error", 3, 0),
        ({"kind": "guard_refusal"}, "rejected", 0, 3),
        ({"kind": "late", "delay": "3s"}, "timeout", 3, 0),
    ],
)
def test_a_document_that_fails_is_recorded_once_and_is_wrong(
    evaluation: Callable[..., Any],
    simulator: Callable[..., Simulator],
    fault: dict[str, Any],
    outcome: str,
    failed: int,
    rejected: int,
) -> None:
    """What may have run is not sent again; the other documents are answered, and the score counts all."""
    runtime = simulator("--answer", "B", *FAST)
    asking = evaluation(runtime.url, request_timeout="500ms")
    runtime.order({**fault, "count": 3})
    replied = []
    chosen = asking.choose(questions(10), rows(10), lambda: replied.append(1))
    info = finish(asking)
    assert (chosen.count(1), chosen.count(None), len(replied)) == (7, 3, 10)
    assert info["tasks"]["piqa"] == {
        "documents_total": 10,
        "answered_total": 7,
        "unanswered_total": 0,
        "rejected_total": rejected,
        "failed_total": failed,
        "failures_by_outcome": {outcome: 3},
        "mock_answers_total": 0,
        "sent": {"model": "gpt-4o-mini", "temperature": [0.0], "max_tokens": [16]},
        "not_sent": {},
    }
    assert info["phases"]["loglikelihood"]["all"]["outcomes"] == {"ok": 7, outcome: 3}
    assert info["phases"]["loglikelihood"]["all"]["accuracy"]["hits"] == 7
    assert info["phases"]["loglikelihood"]["trust"] == "trusted"


@pytest.mark.parametrize(
    "fault", [{"kind": "status", "code": 503}, {"kind": "node_failure", "reason": "Rate limited: retry after 0s"}]
)
def test_what_cannot_have_run_is_sent_again(
    evaluation: Callable[..., Any], simulator: Callable[..., Simulator], fault: dict[str, Any]
) -> None:
    """A target or a provider that refuses for now is asked again; each attempt is a request in the samples."""
    runtime = simulator("--answer", "B", *FAST)
    asking = evaluation(runtime.url, num_concurrent=1)
    runtime.order({**fault, "count": 2})
    assert asking.choose(questions(4), rows(4), lambda: None) == [1, 1, 1, 1]
    info = finish(asking)
    table = samples(info)
    assert list(table["prompt_id"]) == ["piqa/0", "piqa/0", "piqa/0", "piqa/1", "piqa/2", "piqa/3"]
    assert list(table["outcome"] == "ok") == [False, False, True, True, True, True]
    assert (info["tasks"]["piqa"]["documents_total"], info["tasks"]["piqa"]["answered_total"]) == (4, 4)


def test_without_retries_a_refusal_stands(evaluation: Callable[..., Any], simulator: Callable[..., Simulator]) -> None:
    """max_retries=0 asks each document once."""
    runtime = simulator("--answer", "B", *FAST)
    asking = evaluation(runtime.url, num_concurrent=1, max_retries=0)
    runtime.order({"kind": "status", "code": 503, "count": 2})
    assert asking.choose(questions(4), rows(4), lambda: None) == [None, None, 1, 1]
    assert len(samples(finish(asking))) == 4


def test_a_runtime_that_is_gone_ends_with_a_sentence_and_its_run(
    evaluation: Callable[..., Any], simulator: Callable[..., Simulator]
) -> None:
    """Where nothing at all was answered there is no score; what was sent is in the folder."""
    runtime = simulator("--answer", "B", *FAST)
    asking = evaluation(runtime.url, max_retries=1, num_concurrent=4)
    runtime.process.kill()
    runtime.process.wait()
    with pytest.raises(AetherLoadError, match=r"none of 12 documents was answered \(12 connection_error; the first: "):
        asking.choose(questions(12), rows(12), lambda: None)
    info = finish(asking)
    assert (info["verdict"]["status"], info["verdict"]["exit_code"]) == ("failed", 1)
    # The first documents in flight try again; those behind a target that is known to be gone do not.
    assert 12 < len(samples(info)) < 24


def test_no_runtime_is_found_before_anything_is_asked(
    evaluation: Callable[..., Any], free_port: int, tmp_path: Path
) -> None:
    """One sentence that says where to name another; no folder is left."""
    with pytest.raises(TargetError) as refusal:
        evaluation(f"http://127.0.0.1:{free_port}")
    assert str(refusal.value) == (
        f"No runtime can be reached at http://127.0.0.1:{free_port} (connection refused or no route). Start it there, "
        "or say where it is with --model_args aether_url=."
    )
    assert list((tmp_path / "results" / "runs").iterdir()) == []


def test_an_answer_without_a_letter_is_unanswered_and_wrong(
    evaluation: Callable[..., Any], simulator: Callable[..., Simulator]
) -> None:
    """A sentence with a letter somewhere is no answer; the right option being A changes nothing."""
    runtime = simulator("--answer", "A man could think of option A", *FAST)
    asking = evaluation(runtime.url)
    assert asking.choose(questions(5), rows(5, label=0), lambda: None) == [None] * 5
    info = finish(asking)
    assert info["tasks"]["piqa"]["unanswered_total"] == 5
    row = info["phases"]["loglikelihood"]["piqa"]
    assert (row["accuracy"]["value"], row["unanswered_total"]) == (0.0, 5)


def test_a_mock_has_no_accuracy(evaluation: Callable[..., Any], simulator: Callable[..., Simulator]) -> None:
    """Its fixed text is neither answered nor unanswered, and the figure says that it means nothing."""
    runtime = simulator(*FAST)
    asking = evaluation(runtime.url)
    assert asking.choose(questions(5), rows(5), lambda: None) == [None] * 5
    info = finish(asking)
    assert info["accuracy_meaning"].startswith("MEANINGLESS: 5 of 5 answers are the mock provider's fixed text")
    assert (info["tasks"]["piqa"]["mock_answers_total"], info["tasks"]["piqa"]["unanswered_total"]) == (5, 0)
    assert info["phases"]["loglikelihood"]["all"]["accuracy"] is None


def test_an_interruption_keeps_what_was_answered(
    evaluation: Callable[..., Any], simulator: Callable[..., Simulator]
) -> None:
    """Ctrl-C lets those in flight finish; the run says that it is a part."""
    runtime = simulator("--answer", "B", "--latency", "constant:20ms")
    asking = evaluation(runtime.url, num_concurrent=2)
    done = []

    def press_at_the_third() -> None:
        done.append(1)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asking.choose(questions(50), rows(50), press_at_the_third)
    info = finish(asking)
    manifest = RunFolder.open(RunFolder(asking.session.run.folder.path).path).read_manifest()
    assert (manifest.ended_as, manifest.phases[0].ended_by) == ("interrupted", "interrupted")
    assert (info["verdict"]["status"], info["verdict"]["exit_code"]) == ("interrupted", 130)
    outcomes = info["phases"]["loglikelihood"]["all"]["outcomes"]
    assert set(outcomes) == {"ok"}
    assert 3 <= outcomes["ok"] < 50


def test_what_does_not_end_with_the_interruption_is_cut_off(
    evaluation: Callable[..., Any], simulator: Callable[..., Simulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers in flight are waited for, here not at all; then they are recorded as cancelled."""
    monkeypatch.setattr("aether_load.evaluation.asking.STOP_LIMIT_S", 0.0)
    runtime = simulator("--answer", "B", *FAST)
    asking = evaluation(runtime.url, num_concurrent=3)
    runtime.order({"kind": "late", "delay": "20s"})

    def press_when_all_are_in_flight() -> None:
        wait_for(lambda: runtime.record()["requests"] - runtime.record()["ended"] == 3, "three requests in flight")
        main_thread = threading.main_thread().ident
        assert main_thread is not None
        signal.pthread_kill(main_thread, signal.SIGINT)

    finger = threading.Thread(target=press_when_all_are_in_flight)
    finger.start()
    with pytest.raises(KeyboardInterrupt):
        asking.choose(questions(3), rows(3), lambda: None)
    finger.join()
    assert finish(asking)["phases"]["loglikelihood"]["all"]["outcomes"] == {"cancelled": 3}


def test_both_kinds_of_request_are_phases_of_one_run(
    evaluation: Callable[..., Any], simulator: Callable[..., Simulator]
) -> None:
    """What is generated comes back cut off at its marks; samples of both phases are read from one file."""
    runtime = simulator("--answer", "B. That is it", *FAST)
    asking = evaluation(runtime.url)
    assert asking.choose(questions(3), rows(3), lambda: None) == [None] * 3
    plan = read_generation("chat", {"until": ["."], "top_k": 3}, max_tokens=9, temperature=0.0)
    asked = [
        DocumentRequest(Prompt(f"chat/{number}", "chat", f"Say something {number}"), plan, {"question": number})
        for number in range(4)
    ]
    assert asking.generate(asked, lambda: None) == ["B"] * 4
    info = finish(asking)
    table = samples(info)
    assert list(table["phase"]) == ["loglikelihood"] * 3 + ["generate_until"] * 4
    assert sorted(table["prompt_id"]) == sorted([f"piqa/{n}" for n in range(3)] + [f"chat/{n}" for n in range(4)])
    assert set(table["dataset"]) == {"piqa", "chat"}
    assert info["tasks"]["chat"]["sent"] == {"model": "gpt-4o-mini", "temperature": [0.0], "max_tokens": [9]}
    assert info["tasks"]["chat"]["not_sent"] == {"top_k": [3]}
    scenario = json.loads((asking.session.run.folder.manifest).read_bytes())["scenario"]
    assert [phase["name"] for phase in scenario["phases"]] == ["loglikelihood", "generate_until"]
    assert (scenario["seed"], scenario["workload"]["source"], scenario["workload"]["max_tokens"]) == (None, None, None)


def test_a_path_in_the_url_stands_before_every_request(evaluation: Callable[..., Any]) -> None:
    """A runtime below a path is asked there, in the plain form that any server takes."""
    with capturing_runtime() as runtime:
        asking = evaluation(runtime.url + "/below/", server_metrics=False)
        assert asking.choose(questions(2), rows(2), lambda: None) == [0, 0]
        info = finish(asking)
        assert runtime.paths == ["/below/execute"] * 2
        assert not [path for path in runtime.read if path.endswith("/metrics")]
    # Without metrics the client's side alone is judged.
    assert (info["verdict"]["status"], info["phases"]["loglikelihood"]["trust"]) == ("passed", "no_server_data")


def test_what_a_v1_runtime_takes_no_place_for_is_not_recorded_as_sent(
    evaluation: Callable[..., Any], simulator: Callable[..., Simulator], capsys: pytest.CaptureFixture[str]
) -> None:
    """A v1 request has a prompt and a model; temperature and bound are null in the run and named once in a warning."""
    runtime = simulator("--generation", "v1", "--answer", "B", *FAST)
    asking = evaluation(runtime.url, temperature=0.7)
    asking.choose(questions(2), rows(2), lambda: None)
    asking.choose(questions(2), rows(2), lambda: None)
    info = finish(asking)
    sentence = "temperature and max_tokens are not sent: a v1 runtime has no place for them."
    assert capsys.readouterr().err == f"aether-load: warning: {sentence}\n"
    assert info["tasks"]["piqa"]["sent"] == {"model": "gpt-4o-mini", "temperature": [], "max_tokens": []}
    assert info["tasks"]["piqa"]["not_sent"] == {"temperature": [0.7], "max_tokens": [16]}
    manifest = RunFolder(asking.session.run.folder.path).read_manifest()
    assert (manifest.scenario["workload"]["temperature"], manifest.scenario["workload"]["max_tokens"]) == (None, None)
    assert manifest.notes == [sentence]
    assert "note" in info["warnings"]


@pytest.mark.parametrize(("finished_first", "ended_as"), [(False, "interrupted"), (True, "completed")])
@pytest.mark.parametrize("code", [1, 2])
def test_a_command_that_fails_has_no_verdict_of_its_run_beside_it(
    evaluation: Callable[..., Any],
    simulator: Callable[..., Simulator],
    capsys: pytest.CaptureFixture[str],
    code: int,
    finished_first: bool,
    ended_as: str,
) -> None:
    """Whether lm-eval fails before or after its results: its exit code is the only one that is said."""
    runtime = simulator("--answer", "B", *FAST)
    asking = evaluation(runtime.url)
    asking.choose(questions(2), rows(2), lambda: None)
    if finished_first:
        asking.finish()
    asking.fail(code)
    assert asking.end(None) == code
    folder = asking.session.run.folder
    assert capsys.readouterr().err == (
        f"aether-load: there is no evaluation; what was sent is in {folder.path} (aether-load report {folder.path}).\n"
    )
    assert folder.read_manifest().ended_as == ended_as


def test_a_command_that_fails_as_its_run_does_shows_the_run(
    evaluation: Callable[..., Any], simulator: Callable[..., Simulator], capsys: pytest.CaptureFixture[str]
) -> None:
    """An interruption and a run in which nothing succeeded have the summary that a load has."""
    runtime = simulator("--answer", "B", *FAST)
    asking = evaluation(runtime.url)
    asking.choose(questions(2), rows(2), lambda: None)
    asking.fail(130)
    assert asking.end(None) == 130
    assert "INTERRUPTED" in capsys.readouterr().err
