"""DAGs of several nodes, run for real: every node recorded, counted, and compared with the simulator's own record."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processes import REPOSITORY, Finished, Simulator, call_command
from recorded import samples_of

SHAPES = {
    "chain": (("--dag", "chain", "--dag-nodes", "4"), ["step_1", "step_2", "step_3", "answer"]),
    "fan_out": (("--dag", "fan_out", "--dag-nodes", "3"), ["reader_1", "reader_2", "reader_3", "answer"]),
    "triage": (("--scenario", "triage"), ["urgency", "category", "sentiment", "route", "reply"]),
    "extraction": (("--scenario", "extraction"), ["parties", "dates", "figures", "topic", "merge", "validate"]),
}
ROWS = 6


def entries_of(record: Path) -> dict[str, Any]:
    """What the simulator did, by execution id; the probe, which asks with an empty body, is left out."""
    entries = [json.loads(line) for line in record.open()]
    return {entry["execution_id"]: entry for entry in entries if entry["status"] == 200}


def phase_of(finished: Finished) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(finished.nightly.read_bytes())["phases"][0]
    return answer


def in_both(
    sample: dict[str, Any], entry: dict[str, Any], node_ids: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """States and times of the nodes by id, as the sample has them and as the simulator has them."""
    ours = dict(
        zip(node_ids, zip(sample["node_states"], sample["node_times_ms"], strict=True), strict=True),
    )
    theirs = {
        node["id"]: (node["state"], node["ms"] if node["state"] == "succeeded" else None) for node in entry["nodes"]
    }
    return ours, theirs


def assert_every_node_agrees(finished: Finished, record: Path, node_ids: list[str]) -> None:
    entries = entries_of(record)
    samples = samples_of(finished)
    manifest = json.loads((finished.run_folder / "run.json").read_bytes())
    assert manifest["node_ids"] == [node["id"] for node in manifest["nodes"]] == node_ids
    assert len(samples) == len(entries)
    for sample in samples:
        ours, theirs = in_both(sample, entries[str(uuid.UUID(bytes=sample["execution_id"]))], node_ids)
        assert ours == theirs


def assert_nothing_unexplained(phase: dict[str, Any], nodes: int) -> None:
    reconciliation = phase["reconciliation"]
    assert (reconciliation["trust"], reconciliation["answered_nodes_total"], reconciliation["counted_nodes_total"]) == (
        "trusted",
        nodes,
        nodes,
    )
    assert (reconciliation["unexplained_nodes_total"], reconciliation["unexplained_node_time_ms"]) == (0, 0)
    assert [bucket["unexplained"] for bucket in reconciliation["buckets"]] == [0] * 12


# Triage of v2 is run with its answers below; the rest of v1 differs from its fan-out in words only.
RUNS = [
    pytest.param("v2", "chain", marks=pytest.mark.slow),
    ("v2", "fan_out"),
    pytest.param("v2", "extraction", marks=pytest.mark.slow),
    ("v1", "fan_out"),
    *(pytest.param("v1", shape, marks=pytest.mark.slow) for shape in ("chain", "triage", "extraction")),
]


@pytest.mark.parametrize(("generation", "shape"), RUNS)
def test_every_node_of_a_shape_is_booked_and_counted(
    fork_locust: Callable[..., Finished],
    simulator: Callable[..., Simulator],
    tmp_path: Path,
    generation: str,
    shape: str,
) -> None:
    """Each request brings a state and a time for each node, the simulator's own, and its metrics count just those."""
    record = tmp_path / "record.jsonl"
    options, node_ids = SHAPES[shape]
    runtime = simulator("--generation", generation, "--record", str(record), "--latency", "uniform:1ms,30ms")
    data = () if "--scenario" in options else ("--set", "workload.datasets=['piqa']")
    finished = fork_locust("--host", runtime.url, "--limit", str(ROWS), *options, *data)
    phase = phase_of(finished)
    assert (finished.code, phase["all"]["outcomes"]["ok"]) == (0, ROWS), finished.err
    assert_nothing_unexplained(phase, ROWS * len(node_ids))
    assert_every_node_agrees(finished, record, node_ids)
    warnings = {warning["code"] for warning in json.loads(finished.nightly.read_bytes())["warnings"]}
    assert ("outputs_not_passed_on" in warnings) == (generation == "v1")


@pytest.mark.slow
def test_the_letter_of_one_node_is_scored_and_the_others_are_not(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """In triage the category is asked with lettered options: a perfect model is right at each of the 40 rows."""
    key, record = tmp_path / "key.jsonl", tmp_path / "record.jsonl"
    made = call_command("answer-key", "--scenario", "triage", "-o", str(key), cwd=tmp_path)
    assert (made.returncode, made.stdout) == (0, f"40 answers written to {key}\n"), made.stderr
    options = ("--answer-key", str(key), "--accuracy", "1", "--latency", "uniform:1ms,30ms")
    runtime = simulator("--record", str(record), *options)
    finished = fork_locust("--host", runtime.url, "--scenario", "triage")
    phase = phase_of(finished)
    assert (phase["all"]["accuracy"]["hits"], phase["all"]["accuracy"]["count"]) == (40, 40), finished.err
    assert_nothing_unexplained(phase, 200)
    assert_every_node_agrees(finished, record, SHAPES["triage"][1])


def dag_file(policy: str | None = None) -> dict[str, Any]:
    """Two roots, one of them behind a node of its own, and no common end."""
    hints = {} if policy is None else {"execution_hints": {"error_policy": policy}}
    return {
        "dag": {
            "nodes": [
                {"id": "left", "node_type": "llm_fn", "prompt_template": "Left: {{row.goal}}", **hints},
                {"id": "right", "node_type": "llm_fn", "prompt_template": "Right of {{context.row}}: {{prompt}}"},
                {
                    "id": "after",
                    "node_type": "llm_fn",
                    "prompt_template": "After {{node.left.output}}",
                    "dependencies": ["left"],
                },
                {"id": "tidy", "node_type": "compute", "dependencies": ["right"]},
            ]
        },
        "context": {"row": "{{row.sol1}}"},
    }


POLICIES = {
    None: {"left": "failed", "right": "succeeded", "after": "skipped", "tidy": "skipped"},
    "skip": {"left": "failed", "right": "succeeded", "after": "skipped", "tidy": "succeeded"},
}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_failing_node_takes_with_it_what_the_first_nodes_policy_says(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path, policy: str | None
) -> None:
    """A file's DAG with one request whose first node fails: states as the simulator has them, nothing unexplained.

    By default later levels are skipped; with `skip` only what depends on the failed node.
    """
    record = tmp_path / "record.jsonl"
    (tmp_path / "mine.json").write_text(json.dumps(dag_file(policy)))
    runtime = simulator("--record", str(record), "--latency", "constant:3ms", "--fault", "node_failure:count=1")
    finished = fork_locust(
        "--host", runtime.url, "--limit", str(ROWS), "--dag-file", "mine.json", "-u", "1",
        "--set", "workload.datasets=['piqa']", "--set", "max_error_rate=1",
    )  # fmt: skip
    phase = phase_of(finished)
    node_ids = ["left", "right", "after", "tidy"]
    first, *others = samples_of(finished)
    assert finished.code == 0, finished.err
    assert dict(zip(node_ids, first["node_states"], strict=True)) == POLICIES[policy]
    assert {state for sample in others for state in sample["node_states"]} == {"succeeded"}
    assert (first["outcome"], {sample["outcome"] for sample in others}) == ("node_error", {"ok"})
    assert_every_node_agrees(finished, record, node_ids)
    succeeded = list(POLICIES[policy].values()).count("succeeded")
    assert_nothing_unexplained(phase, succeeded + (ROWS - 1) * 4)
    assert phase["all"]["accuracy"] is None
    assert phase["all"]["reasons"]["accuracy"] == (
        "nothing was scored: 2 nodes of the DAG have no successor (after, tidy), and workload.answer_node does not say "
        "which one answers"
    )


@pytest.mark.slow
def test_a_v1_file_runs_on_a_v1_runtime(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Nodes of both kinds, in order, with a row's words in them."""
    record = tmp_path / "record.jsonl"
    nodes = [
        {"id": "read", "node_type": "fn", "dependencies": []},
        {"id": "answer", "node_type": "llm_fn", "prompt": "{{prompt}} ({{row.goal}})", "dependencies": ["read"]},
    ]
    (tmp_path / "mine.json").write_text(json.dumps({"nodes": nodes}))
    runtime = simulator("--generation", "v1", "--record", str(record), "--latency", "constant:3ms")
    finished = fork_locust(
        "--host", runtime.url, "--limit", str(ROWS), "--dag-file", "mine.json", "--set", "workload.datasets=['piqa']"
    )
    assert (finished.code, phase_of(finished)["all"]["outcomes"]["ok"]) == (0, ROWS), finished.err
    assert_nothing_unexplained(phase_of(finished), ROWS * 2)
    assert_every_node_agrees(finished, record, ["read", "answer"])


def refused(finished: Finished) -> str:
    assert finished.code == 2, finished.err
    assert "Traceback" not in finished.err + finished.out
    assert not any(finished.results.glob("runs/*"))
    (said,) = [line for line in finished.err.splitlines() if line.startswith("aether-load: ")]
    return said.removeprefix("aether-load: ")


def test_a_column_that_a_dataset_does_not_have_is_refused_before_the_load(
    fork_locust: Callable[..., Finished], tmp_path: Path
) -> None:
    """The place in the file, the dataset, and the column that was meant."""
    path = tmp_path / "mine.json"
    path.write_text('{"dag": {"nodes": [{"id": "a", "node_type": "llm_fn", "prompt_template": "{{row.gaol}}"}]}}')
    assert refused(fork_locust("--dag-file", "mine.json", "--set", "workload.datasets=['piqa']")) == (
        f"DAG file {path}: node 'a', prompt_template: {{{{row.gaol}}}}: dataset piqa has no column 'gaol'; "
        "did you mean 'goal'?"
    )


def test_the_rows_of_the_scenarios_lie_beside_them() -> None:
    """A wheel takes the whole folder: what the scenarios read is inside it."""
    build = (REPOSITORY / "pyproject.toml").read_text()
    assert '"scenarios" = "aether_load/_shipped/scenarios"' in build
    assert {path.name for path in (REPOSITORY / "scenarios" / "data").iterdir()} == {
        "queries.jsonl",
        "documents.jsonl",
        "zipf_queries.csv",
    }
