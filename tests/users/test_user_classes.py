"""User classes of one's own, as Locust runs them against the simulated runtime."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aether_load
from processes import REPOSITORY, Finished, Simulator
from recorded import records_table

if TYPE_CHECKING:
    from locust_forks import LocustFork

HEAD = "from locust import HttpUser, LoadTestShape, constant, task\nfrom aether_load import AetherUser\n\n"
ASK = "    @task\n    def ask(self):\n        self.execute(self.next_prompt(), name='ask')\n"
PLAIN = "class Customer(AetherUser):\n    wait_time = constant(0.01)\n" + ASK
FAST = ("--set", "workload.limit=4")


@pytest.fixture
def run_users(
    start_fork: Callable[..., LocustFork], simulator: Callable[..., Simulator], tmp_path: Path
) -> Callable[..., Any]:
    """Run a locustfile of some classes against a simulator; return what became of it, report and simulator."""

    def run(
        classes: str, *options: str, latency: str = "constant:5ms"
    ) -> tuple[Finished, dict[str, Any] | None, Simulator]:
        runtime = simulator("--latency", latency)
        path = tmp_path / "mine.py"
        path.write_text(HEAD + classes)
        process = start_fork("--headless", "--host", runtime.url, *options, locustfile=path)
        finished = process.finish()
        report = json.loads(finished.nightly.read_bytes()) if finished.results.is_dir() else None
        return finished, report, runtime

    return run


def rows_of(phase: dict[str, Any]) -> dict[str, int]:
    return {row["dataset"]: row["requests_total"] for row in phase["datasets"]}


def tasks_of(phase: dict[str, Any]) -> dict[str, Any]:
    return {
        task["task"]: (task["completed_total"], task["failed_total"], task["requests_mean"])
        for task in phase["iterations"]
    }


def test_prompts_texts_and_dags_are_samples_of_one_run(run_users: Callable[..., Any]) -> None:
    """Each prompt is sent once a pass; a text may depend on an answer; a DAG has its own nodes; all reconcile."""
    classes = (
        "DAG = {'nodes': [{'id': 'a', 'node_type': 'llm_fn', 'prompt_template': 'A', 'dependencies': []},"
        " {'id': 'b', 'node_type': 'llm_fn', 'prompt_template': '{{node.a.output}}', 'dependencies': ['a']}]}\n"
        "class Customer(AetherUser):\n"
        "    @task\n"
        "    def talk(self):\n"
        "        prompt = self.next_prompt()\n"
        "        first = self.execute(prompt, name='ask')\n"
        "        assert first.ok and first.output == first.outputs['answer'], first\n"
        "        assert first.latency_ms > first.server_total_ms >= 5, first\n"
        "        second = self.execute(f'Shorten: {first.output}', name='shorten', max_tokens=3)\n"
        "        assert (second.ok, second.outcome, second.error) == (True, 'ok', None)\n"
        "        third = self.execute(DAG, name='write', model='other')\n"
        "        assert list(third.outputs) == list(third.node_times_ms) == ['a', 'b'], third\n"
    )
    finished, report, runtime = run_users(classes, "-u", "3", *FAST)
    (phase,) = report["phases"]
    table = records_table(finished.run_folder)
    assert (finished.code, report["verdict"]["reasons"]) == (0, []), finished.err
    assert rows_of(phase) == {
        "ask": 20, "shorten": 20, "write": 20, "hellaswag": 4, "piqa": 4, "winogrande": 4, "arc_easy": 4,
        "arc_challenge": 4,
    }  # fmt: skip
    assert tasks_of(phase) == {"Customer.talk": (20, 0, 3.0)}
    asked = [row["prompt_id"] for row in table.to_pylist() if row["request_name"] == "ask"]
    assert len(set(asked)) == len(asked) == 20
    samples = aether_load.open_run(finished.run_folder).samples()
    assert samples["name"].astype("str").value_counts().to_dict() == {"ask": 20, "shorten": 20, "write": 20}
    assert runtime.record()["nodes"]["succeeded"] == 80
    line = phase["reconciliation"]
    assert (line["trust"], line["answered_nodes_total"], line["unexplained_nodes_total"]) == ("trusted", 80, 0)
    assert {node["id"]: node["states"]["succeeded"] for node in phase["nodes"]} == {"answer": 40, "a": 20, "b": 20}
    assert (phase["users"], phase["ended_by"], phase["correlation"]["littles_law_ratio"]) == (3, "passes", None)


@pytest.mark.slow
def test_columns_that_the_scenario_names_are_read_from_the_prompt(run_users: Callable[..., Any]) -> None:
    """Those of the row that the prompt is of."""
    classes = (
        "class Reader(AetherUser):\n    @task\n    def ask(self):\n        prompt = self.next_prompt()\n"
        "        assert prompt.columns['goal'] in prompt.text\n"
        "        self.execute(prompt.columns['goal'], name='goal')\n"
    )
    piqa = ("-u", "1", "--dataset", "piqa", "--limit", "3")
    finished, report, _ = run_users(classes, *piqa, "--set", 'workload.columns=["goal"]')
    assert (finished.code, rows_of(report["phases"][0])) == (0, {"goal": 3}), finished.err


@pytest.mark.slow
def test_own_time_is_no_part_of_a_request(run_users: Callable[..., Any]) -> None:
    """What a task's code takes outside its requests stands with the task, and not in a latency."""
    classes = (
        "import gevent\nclass Slow(AetherUser):\n"
        "    @task\n    def ask(self):\n"
        "        self.execute('a', name='a')\n        gevent.sleep(0.2)\n        self.execute('b', name='b')\n"
    )
    finished, report, _ = run_users(classes, "-u", "2", "-t", "2s")
    (phase,) = report["phases"]
    (task,) = phase["iterations"]
    assert finished.code == 0, finished.err
    assert task["own_time_ms"] >= 200
    assert task["own_time_ms"] + task["request_time_ms"] == pytest.approx(task["duration_ms"]["mean"], abs=0.01)


def test_a_failing_task_is_a_failed_iteration(run_users: Callable[..., Any]) -> None:
    """Its text is in the report, its traceback is logged once, and its share decides the exit code."""
    classes = (
        PLAIN + "class Bad(AetherUser):\n    @task\n    def broken(self):\n        raise KeyError('nothing there')\n"
    )
    finished, report, _ = run_users(classes, "-u", "4", "-t", "1s")
    tasks = {task["task"]: task for task in report["phases"][0]["iterations"]}
    assert finished.code == 1
    assert (
        "iterations of Bad.broken failed, above max_error_rate 0.01: KeyError: 'nothing there'"
        in (report["verdict"]["reasons"][0])
    )
    assert tasks["Customer.ask"]["failed_total"] == 0
    assert tasks["Bad.broken"]["errors"] == [
        {"text": "KeyError: 'nothing there'", "iterations_total": tasks["Bad.broken"]["failed_total"]}
    ]
    assert finished.err.count("KeyError: 'nothing there'") == 1


def test_users_that_send_nothing_do_not_pass(run_users: Callable[..., Any]) -> None:
    """The screen says first why no task sent anything."""
    classes = "class Bad(AetherUser):\n    @task\n    def broken(self):\n        self.execute(3, name='three')\n"
    finished, report, _ = run_users(classes, "-u", "1", "-t", "1s")
    assert (finished.code, report["phases"][0]["all"]["requests_total"]) == (1, 0)
    failed, sent = report["verdict"]["reasons"]
    assert "iterations of Bad.broken failed, above max_error_rate 0.01: ValueError: execute: expected" in failed
    assert sent == "phase closed: no request was sent"
    screen = " ".join(finished.out.split())
    assert "of Bad.broken failed" in screen.partition(sent)[0]
    assert "ValueError: execute: expected a prompt, a text or a DAG, got int." in json.dumps(report["phases"])


@pytest.mark.slow
def test_other_classes_run_beside_and_are_told_apart(run_users: Callable[..., Any]) -> None:
    """Nothing waits for them; their requests are in no figure of ours, and a note counts them."""
    classes = (
        PLAIN + "class Plain(HttpUser):\n    wait_time = constant(0.05)\n"
        "    @task\n    def health(self):\n        self.client.get('/health')\n"
    )
    finished, report, _ = run_users(classes, "-u", "4", "-t", "1s")
    manifest = json.loads((finished.run_folder / "run.json").read_bytes())
    (phase,) = report["phases"]
    assert (finished.code, phase["users"], phase["reconciliation"]["trust"]) == (0, 2, "trusted"), finished.err
    (note,) = [note for note in manifest["notes"] if "other user classes" in note]
    assert note.endswith(
        "of Locust's other user classes (Plain) are in Locust's own statistics and not in this report."
    )
    assert int(note.split()[0]) > 10
    assert [each["is_measured"] for each in manifest["user_classes"]] == [True, False]


@pytest.mark.parametrize(
    ("classes", "options", "words"),
    [
        (
            "class Plain(HttpUser):\n    @task\n    def health(self):\n        pass\n", (),
            ("Of the user classes that run (Plain) none is an AetherUser",),
        ),
        (PLAIN, ("--tags", "x"), ("--tags leaves Customer without a task.",)),
        ("class Prompts(AetherUser):\n    pass\n", ("--tags", "x"), ("--tags leaves Prompts out",)),
        (
            PLAIN + "class Shape(LoadTestShape):\n    def tick(self):\n        return None\n",
            ("--scenario", "capacity"),
            ("Scenario capacity has loads of its own, and the locustfile has a LoadTestShape",),
        ),
    ],
    ids=["no class of ours", "tags", "tags and no tasks", "shape and phases"],
)  # fmt: skip
def test_what_cannot_measure_is_refused(
    run_users: Callable[..., Any], classes: str, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    finished, report, _ = run_users(classes, *options)
    said = [line for line in finished.err.splitlines() if line.startswith("aether-load: ")]
    assert (finished.code, report, len(said)) == (2, None, 1), finished.err
    assert "Traceback" not in finished.err
    assert all(word in said[0] for word in words)


@pytest.mark.slow
def test_on_start_and_on_stop_may_send(run_users: Callable[..., Any]) -> None:
    """A request of on_start waits for its phase and is a sample; one of on_stop sends nothing once the load is over."""
    classes = (
        PLAIN + "    def on_start(self):\n        assert self.execute('hello', name='login').ok\n"
        "    def on_stop(self):\n        print('LEFT', self.execute('bye', name='logout').outcome)\n"
    )
    finished, report, _ = run_users(classes, "-u", "3", "-t", "1s")
    rows = rows_of(report["phases"][0])
    assert (finished.code, rows["login"], "logout" in rows) == (0, 3, False), finished.err
    assert finished.out.count("LEFT dropped") == 3


@pytest.mark.slow
def test_every_kind_of_phase_is_driven(run_users: Callable[..., Any], free_port: int, tmp_path: Path) -> None:
    """Ramp, warm and cold cache, open load, passes, requests and steps, over two processes as over one."""
    (tmp_path / "phases.toml").write_text(
        "name = 'phases'\nrequest_names = ['ask']\nthresholds = ['ask:error_rate<0.5', 'warm:ask:p(50)<60000']\n"
        "[workload]\nlimit = 6\n"
        "[[phases]]\nname = 'warm'\nusers = 4\ncache = 'warm'\nduration = '1s'\n"
        "[[phases]]\nname = 'cold'\nusers = 2\ncache = 'cold'\nramp = { from = 1, over = '500ms' }\nduration = '1s'\n"
        "[[phases]]\nname = 'open'\nrate = 30\nduration = '2s'\n"
        "[[phases]]\nname = 'passes'\nusers = 3\npasses = 2\n"
        "[[phases]]\nname = 'requests'\nusers = 3\nrequests = 30\n"
        "[[phases]]\nname = 'steps'\nsteps = [1, 3]\nduration = '1s'\n"
    )
    ports = ("--master-port", str(free_port), "--master-bind-port", str(free_port))
    for processes in ((), ("--processes", "2", *ports)):
        folder = tmp_path / f"results{len(processes)}"
        finished, _, _ = run_users(
            PLAIN, "--scenario", str(tmp_path / "phases.toml"), "--results-dir", str(folder), *processes
        )
        (nightly,) = folder.glob("nightly_*.json")
        report = json.loads(nightly.read_bytes())
        phases = {phase["name"]: phase for phase in report["phases"]}
        assert (finished.code, report["verdict"]["reasons"]) == (0, []), finished.err
        assert {phase["reconciliation"]["trust"] for phase in phases.values()} == {"trusted"}
        assert [phase["ended_by"] for phase in phases.values()] == [
            "duration", "duration", "duration", "passes", "requests", "duration", "duration",
        ]  # fmt: skip
        assert rows_of(phases["passes"])["ask"] == 60
        assert rows_of(phases["requests"])["ask"] == 30
        assert phases["open"]["all"]["outcomes"]["dropped"] == 0
        assert {row["state"] for row in report["thresholds"]} == {"holds"}


@pytest.mark.parametrize("name", ["conversation", "mixed_users", pytest.param("load_shape", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "processes", [(), pytest.param(("--processes", "2"), marks=pytest.mark.slow)], ids=["one process", "two"]
)
@pytest.mark.slow
def test_the_examples_run(
    start_fork: Callable[..., LocustFork], free_port: int, name: str, processes: tuple[Any, ...]
) -> None:
    """As their own first lines say, against the simulated runtime."""
    times = () if name == "load_shape" else ("-u", "9", "-t", "3s")
    # Locust's own port is one for the whole machine.
    ports = ("--master-port", str(free_port), "--master-bind-port", str(free_port)) if processes else ()
    process = start_fork("--headless", *times, *processes, *ports, locustfile=REPOSITORY / "examples" / f"{name}.py")
    finished = process.finish()
    report = json.loads(finished.nightly.read_bytes())
    (phase,) = report["phases"]
    assert (finished.code, report["verdict"]["reasons"], phase["reconciliation"]["trust"]) == (0, [], "trusted"), (
        finished.err
    )
    assert all(task["completed_total"] and not task["failed_total"] for task in phase["iterations"])
    assert len(phase["iterations"]) == {"conversation": 2, "mixed_users": 4, "load_shape": 1}[name]


def test_the_docs_have_the_examples() -> None:
    """docs/users.md shows the three locustfiles as they are."""
    text = (REPOSITORY / "docs" / "users.md").read_text()
    for name in ("conversation", "mixed_users", "load_shape"):
        assert (REPOSITORY / "examples" / f"{name}.py").read_text().rstrip() in text
