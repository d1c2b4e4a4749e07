"""The model as lm-eval calls it, in tasks made for each trap; lm-eval is the real one."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aether_load.errors import UsageError
from evaluations import capturing_runtime
from processes import Simulator, wait_for

pytest.importorskip("lm_eval", reason="lm-eval is not installed: pip install -e '.[lm-eval]'")

FAST = ("--latency", "constant:1ms")
CHOICE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{validation: {file}}}}}
validation_split: validation
output_type: multiple_choice
doc_to_text: "{text}"
doc_to_target: label
doc_to_choice: "{{{{[a, b]}}}}"
metric_list: [{{metric: acc}}, {{metric: acc_norm}}{metrics}]
"""
SCRIPT = """
import json, sys
import lm_eval
from lm_eval.tasks import TaskManager
from lm_eval.utils import handle_non_serializable
model_args, task, folder = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
results = lm_eval.simple_evaluate(
    model="aether_stub", model_args=model_args, tasks=task.split(","), bootstrap_iters=0,
    task_manager=TaskManager(include_path=folder, include_defaults=False), **json.loads(sys.argv[4]))
print("RESULTS " + json.dumps(results, default=handle_non_serializable))
"""


class Tasks:
    """Task files of a test's own, and lm-eval run on them in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tasks"
        self.folder.mkdir()
        self.results = folder / "results"

    def write(
        self,
        name: str,
        rows: Any,
        text: str = "Question: {{{{q}}}}\\nAnswer:",
        metrics: str = "",
        template: Any = CHOICE,
    ) -> str:
        data = self.folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        task = template.format(name=name, file=data, text=text.format(), metrics=metrics)
        (self.folder / f"{name}.yaml").write_text(task)
        return name

    def start(
        self, url: str, tasks: Any, stderr: Any = subprocess.PIPE, more: Any = None, **model_args: Any
    ) -> subprocess.Popen[bytes]:
        arguments = {"aether_url": url, "results_dir": str(self.results), **model_args}
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, json.dumps(arguments), tasks, str(self.folder), json.dumps(more or {})],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=self.folder,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(self.folder.parent / "hf"), "PYTHONPATH": ""},
        )

    def run(self, url: str, tasks: Any, more: Any = None, **model_args: Any) -> Any:
        """Return lm-eval's results; fails with its words when there are none."""
        process = self.start(url, tasks, more=more, **model_args)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()
        return json.loads(next(line for line in out.decode().splitlines() if line.startswith("RESULTS "))[8:])

    def refused(self, url: str, tasks: Any, more: Any = None, **model_args: Any) -> Any:
        """Return exit code and last line of a run that is to fail."""
        process = self.start(url, tasks, more=more, **model_args)
        _, err = process.communicate(timeout=60)
        assert b"Traceback" not in err, err.decode()
        return process.returncode, err.decode().splitlines()


@pytest.fixture
def tasks(tmp_path: Path) -> Tasks:
    return Tasks(tmp_path)


def rows(labels: Any, **more: Any) -> list[Any]:
    return [
        {"q": f"number {n}", "a": f"one {n}", "b": f"two {n}", "label": label, **more} for n, label in enumerate(labels)
    ]


def test_no_letter_is_wrong_by_every_figure_of_lm_eval(tasks: Any, simulator: Callable[..., Simulator]) -> None:
    """Every right option is A, and no answer is a letter: nothing scores, in a log of samples or without."""
    runtime = simulator("--answer", "Possibly a) or b)", *FAST)
    name = tasks.write("all_a", rows([0] * 6), metrics=", {metric: acc_mutual_info}, {metric: mcc}")
    found = tasks.run(runtime.url, name, more={"log_samples": True})
    assert [found["results"][name][f"{metric},none"] for metric in ("acc", "acc_norm", "acc_mutual_info")] == [0, 0, 0]
    info = found["config"]["aether_load"]
    assert info["tasks"][name]["unanswered_total"] == 6
    assert info["phases"]["loglikelihood"][name]["unanswered_total"] is None
    assert len(found["samples"][name]) == 6


def test_a_letter_scores_by_every_figure_of_lm_eval(tasks: Any, simulator: Callable[..., Simulator]) -> None:
    """The same task answered A has everything right."""
    runtime = simulator("--answer", "A", *FAST)
    name = tasks.write("all_a", rows([0] * 6), metrics=", {metric: acc_mutual_info}")
    found = tasks.run(runtime.url, name)
    assert [found["results"][name][f"{metric},none"] for metric in ("acc", "acc_norm", "acc_mutual_info")] == [1, 1, 1]
    assert runtime.record()["nodes"]["succeeded"] == 6


def test_failed_documents_count_as_wrong_and_the_rest_is_scored(
    tasks: Any, simulator: Callable[..., Simulator]
) -> None:
    """Half of the documents are refused by the guard; the others' answers are right."""
    runtime = simulator("--answer", "A", *FAST)
    documents = rows([0] * 10)
    for row in documents[::2]:
        row["q"] += " jailbreak"
    name = tasks.write("guarded", documents)
    found = tasks.run(runtime.url, name)
    assert found["results"][name]["acc,none"] == 0.5
    info = found["config"]["aether_load"]
    assert (info["tasks"][name]["rejected_total"], info["phases"]["loglikelihood"]["all"]["rejected_rate"]) == (5, 0.5)


def test_documents_that_share_their_texts_are_asked_each(tasks: Any, simulator: Callable[..., Simulator]) -> None:
    """Two documents of the same text and options, with different labels, are two generations and one right answer."""
    runtime = simulator("--answer", "A", *FAST)
    name = tasks.write("twins", [{"q": "x", "a": "one", "b": "two", "label": label} for label in (0, 1, 0, 1)])
    found = tasks.run(runtime.url, name)
    assert (found["results"][name]["acc,none"], runtime.record()["nodes"]["succeeded"]) == (0.5, 4)


def test_labels_change_nothing_that_is_sent(tasks: Any) -> None:
    """With every gold label turned round the requests are the same bytes, and the score is turned round too."""
    sent, scores = [], []
    with capturing_runtime() as runtime:
        for name, labels in (("right", [0, 0, 0, 1]), ("left", [1, 1, 1, 0])):
            tasks.write(name, rows(labels))
            found = tasks.run(runtime.url, name, num_concurrent=1, header="X-Key: secret")
            scores.append(found["results"][name]["acc,none"])
            sent.append([body.replace(name.encode(), b"") for body in runtime.bodies])
            assert {headers["X-Key"] for headers in runtime.headers} == {"secret"}
            assert "secret" not in json.dumps(found["config"])
            runtime.bodies.clear()
    assert sent[0] == sent[1]
    assert scores == [0.75, 0.25]
    assert all("secret" not in path.read_text() for path in tasks.results.glob("runs/*/*.json"))


def test_repetitions_are_generations_of_their_own(tasks: Any, simulator: Callable[..., Simulator]) -> None:
    """A task that wants each document three times gets three answers a document."""
    runtime = simulator("--answer", "yes. or no", *FAST)
    template = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{validation: {file}}}}}
validation_split: validation
output_type: generate_until
repeats: 3
doc_to_text: "{{{{q}}}}"
doc_to_target: "yes"
generation_kwargs: {{until: ["."], top_k: 2}}
metric_list: [{{metric: exact_match}}]
"""
    name = tasks.write("thrice", rows([0] * 4), template=template)
    found = tasks.run(runtime.url, name)
    assert (found["results"][name]["exact_match,none"], runtime.record()["nodes"]["succeeded"]) == (1.0, 12)
    assert found["config"]["aether_load"]["tasks"][name]["not_sent"] == {"top_k": [2]}


def test_the_likelihood_of_whole_texts_is_refused_by_name(tasks: Any, simulator: Callable[..., Simulator]) -> None:
    """loglikelihood_rolling ends with one sentence that names the task, and exit code 2."""
    runtime = simulator(*FAST)
    template = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{validation: {file}}}}}
validation_split: validation
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{q}}}}"
metric_list: [{{metric: word_perplexity}}]
"""
    paid = tasks.write("paid", rows([0] * 3))
    name = tasks.write("wikitext", rows([0]), template=template)
    code, lines = tasks.refused(runtime.url, f"{paid},{name}")
    assert (code, lines[-1]) == (
        2,
        (
            "aether-load: Task wikitext asks for the likelihood of whole texts (loglikelihood_rolling), which a "
            "runtime that only generates cannot give; choose a task of multiple choice or of generate_until."
        ),
    )
    assert runtime.record()["nodes"].get("succeeded", 0) == 0
    assert not [line for line in lines if "PASSED" in line]


class Instance:
    """A request as lm-eval builds it."""

    def __init__(self, kind: Any, *args: Any, task: str = "mine", doc_id: int = 0, idx: int = 0) -> None:
        self.request_type, self.args, self.task_name, self.doc_id, self.idx = kind, args, task, doc_id, idx


class FakeTask:
    """A task whose requests are built already."""

    def __init__(self, *instances: Any) -> None:
        self.instances = instances


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A model in this process, and the builder of requests that it puts in place of lm-eval's."""
    from lm_eval.api.task import Task

    from aether_load.evaluation import aether_stub

    monkeypatch.setattr(Task, "build_all_requests", lambda _task, **_options: None)
    monkeypatch.setattr(aether_stub, "_builders_before", [])
    monkeypatch.setattr(aether_stub, "_models", [])
    monkeypatch.setattr(sys, "argv", ["lm_eval"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with capturing_runtime() as runtime:
        model = aether_stub.AetherStub(aether_url=runtime.url, results_dir=str(tmp_path))
        model.build = lambda *instances: Task.build_all_requests(FakeTask(*instances), limit=1)
        model.bodies = runtime.bodies
        yield model
        model.end()


@pytest.mark.parametrize(
    ("instances", "sentence"),
    [
        ([Instance("loglikelihood_rolling", "text", task="wikitext")],
         "Task wikitext asks for the likelihood of whole texts (loglikelihood_rolling)"),
        ([Instance("loglikelihood", "a", " b", task="lambada")], "Task lambada asks how likely one given text is"),
        ([Instance("loglikelihood", "a", f" {n}", task="wide", idx=n) for n in range(11)],
         "Task wide, document 0 has 11 options, and no more than 10 can be lettered."),
        ([Instance("multiple_choice_by_vote", "a", task="new")], "Task new asks for multiple_choice_by_vote"),
        ([Instance("generate_until", "a", {"temperature": "hot"}, task="chat")], "expected numbers"),
    ],
)  # fmt: skip
def test_a_task_is_refused_when_its_requests_are_built(model: Any, instances: Any, sentence: str) -> None:
    """lm-eval builds the requests of all tasks before it sends any, so nothing has been paid for."""
    model.build(Instance("loglikelihood", "q", " a"), Instance("loglikelihood", "q", " b", idx=1))
    with pytest.raises(UsageError) as refusal:
        model.build(*instances)
    assert sentence in str(refusal.value)
    assert model.bodies == []


def test_arguments_of_a_task_that_are_not_sent_are_warned_of_when_its_requests_are_built(
    model: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once a task, before anything is sent."""
    for _ in range(2):
        model.build(*[Instance("generate_until", "a", {"until": [], "top_k": 2, "seed": 1}, task="chat")] * 3)
    assert capsys.readouterr().err == (
        "aether-load: warning: Task chat: generation_kwargs seed, top_k: not sent; a request to the runtime has no "
        "place for it.\n"
    )


def test_a_cache_of_answers_is_refused(tasks: Any, simulator: Callable[..., Simulator]) -> None:
    """--use_cache would give one model's answers for another's: exit code 2, before anything is asked."""
    runtime = simulator(*FAST)
    name = tasks.write("cached", rows([0]))
    code, lines = tasks.refused(runtime.url, name, more={"use_cache": str(tasks.folder / "cache")})
    assert code == 2
    assert lines[-1].startswith(
        "aether-load: --use_cache: lm-eval's cache takes the answers of one model for another's"
    )
    assert runtime.record()["nodes"].get("succeeded", 0) == 0


def test_a_chat_template_is_refused(tasks: Any, simulator: Callable[..., Simulator]) -> None:
    """A runtime takes a plain prompt."""
    runtime = simulator(*FAST)
    name = tasks.write("chat", rows([0]))
    code, lines = tasks.refused(runtime.url, name, more={"apply_chat_template": True, "evaluation_tracker": None})
    assert (code, lines[-1]) == (
        2,
        "aether-load: --apply_chat_template: a runtime takes a plain prompt and no turns; leave it away.",
    )


def test_a_runtime_that_is_not_there_is_exit_code_3(tasks: Any, free_port: int) -> None:
    """One sentence, no traceback."""
    name = tasks.write("lonely", rows([0]))
    code, lines = tasks.refused(f"http://127.0.0.1:{free_port}", name)
    assert (code, lines[-1]) == (
        3,
        (
            f"aether-load: No runtime can be reached at http://127.0.0.1:{free_port} (connection refused or no route). "
            "Start it there, or say where it is with --model_args aether_url=."
        ),
    )


def test_an_argument_that_is_unknown_is_exit_code_2(tasks: Any) -> None:
    """Key, value and the nearest right key."""
    name = tasks.write("wrong", rows([0]))
    code, lines = tasks.refused("http://127.0.0.1:1", name, num_concurent=3)
    assert (code, lines[-1]) == (
        2,
        "aether-load: --model_args: unknown key num_concurent (= 3); did you mean 'num_concurrent'?",
    )


def test_a_bar_goes_over_the_documents(tasks: Any, simulator: Callable[..., Simulator]) -> None:
    """On a terminal there is a bar with the number of documents."""
    runtime = simulator("--answer", "A", *FAST)
    name = tasks.write("watched", rows([0] * 7))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (25, 100))
    process = tasks.start(runtime.url, name, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 4096):
            seen += part
    except OSError:  # how a terminal ends whose other side is closed
        pass
    process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, seen.decode()
    assert b"Asking the runtime: 100%" in seen, seen.decode()
    assert b"7/7" in seen


def test_ctrl_c_leaves_a_run_that_says_so(tasks: Any, simulator: Callable[..., Simulator]) -> None:
    """Exit code 130, one sentence, and the results of the part that was answered."""
    runtime = simulator("--answer", "A", "--latency", "constant:50ms")
    name = tasks.write("long", rows([0] * 500))
    process = tasks.start(runtime.url, name, num_concurrent=2)
    wait_for(lambda: runtime.record()["nodes"].get("succeeded", 0) > 5, "answers")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert "aether-load: interrupted.\n" in err.decode()
    assert "Traceback" not in err.decode()
    (report,) = tasks.results.glob("runs/*/report.json")
    found = json.loads(report.read_bytes())
    assert (found["run"]["ended_as"], found["verdict"]["exit_code"]) == ("interrupted", 130)
    assert 5 < found["phases"][0]["all"]["ok_total"] < 500


def python(code: Any) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_name_is_registered_after_lm_evals_own_and_nothing_before() -> None:
    """Python's start leaves a finder behind and loads nothing; the first import of lm-eval's models registers.

    The finder goes on waiting for the others.
    """
    assert python(
        "import sys; print([name for name in sys.modules if name.split('.')[0] in ('lm_eval', 'aether_load')]);"
        "import lm_eval.models; from lm_eval.api.registry import model_registry as known;"
        "print('aether_load' in sys.modules); print(known._objs['aether_stub']);"
        "print(*(list(f._watched) for f in sys.meta_path if '_aether_load' in type(f).__module__));"
        "print(known.get('aether_stub').__name__, lm_eval.models.__spec__.loader is lm_eval.models.__loader__)"
    ) == [
        "[]", "False", "aether_load.evaluation.aether_stub:AetherStub", "['lm_eval.evaluator',",
        "'locust.argument_parser']", "AetherStub", "True",
    ]  # fmt: skip


def test_a_release_that_reads_entry_points_is_left_alone() -> None:
    """Later lm-eval loads plugins from the group that we declare; then nothing is registered behind its back."""
    assert python(
        "import lm_eval.api.registry as registry; registry.load_plugins = lambda *_: [];"
        "import lm_eval.models; print('aether_stub' in registry.model_registry);"
        "from importlib.metadata import entry_points;"
        "(ours,) = [e for e in entry_points(group='lm_eval.models') if e.name == 'aether_stub'];"
        "print(ours.value, ours.load().__name__)"
    ) == ["False", "aether_load.evaluation.aether_stub:AetherStub", "AetherStub"]
