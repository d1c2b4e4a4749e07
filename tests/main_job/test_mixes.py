"""Mixes and phases with a workload of their own, run for real, against the simulator's own record."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aether_load.protocol import Generation
from aether_load.scenario.load import load_scenario
from aether_load.schedule.order import prompt_order
from aether_load.schedule.scenario_prompts import load_scenario_prompts
from recorded import samples_of

if TYPE_CHECKING:
    from processes import Finished, Simulator

MIX = """
[workload]
datasets = ["piqa"]
limit = 4

[[phases]]
name = "day"
users = 4
requests = 120

[[phases.mix]]
name = "chat"
weight = 6

[[phases.mix]]
name = "quiz"
weight = 3
datasets = ["winogrande", "arc_easy"]
dag = "fan_out"
dag_nodes = 2
model = "gpt-4o"

[[phases.mix]]
name = "steps"
weight = 1
dag = "chain"

[[phases]]
name = "night"
users = 2
passes = 2
datasets = ["arc_easy"]
dag = "triage"

[[phases]]
name = "plain"
passes = 1
cache = "warm"
"""
NODES = {"chat": 1, "quiz": 3, "steps": 3, None: 5}


def written(folder: Path, text: str = MIX) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def entries_of(record: Path) -> dict[str, Any]:
    """What the simulator did for each execution id."""
    entries = [json.loads(line) for line in record.open()]
    return {entry["execution_id"]: entry for entry in entries if entry["status"] == 200}


def in_order(samples: list[dict[str, Any]], phase: str) -> list[tuple[None, str]]:
    """Return the name and the prompt of each request of a phase, by its index."""
    rows = sorted((row for row in samples if row["phase"] == phase), key=lambda row: row["request_index"])
    return [(row["request_name"], row["prompt_id"]) for row in rows]


def test_each_request_of_a_mix_is_of_its_own_dag_and_all_are_one_reconciliation(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Every node is the simulator's own; rows are by part, and add up to all."""
    record = tmp_path / "record.jsonl"
    runtime = simulator("--record", str(record), "--latency", "uniform:1ms,20ms")
    finished = fork_locust("--scenario", written(tmp_path), "--host", runtime.url)
    assert finished.code == 0, finished.err
    entries, samples = entries_of(record), samples_of(finished)
    for row in samples:
        entry = entries[str(uuid.UUID(bytes=row["execution_id"]))]
        times = [
            (node_id.rpartition("/")[2], time)
            for node_id, time in zip(row["node_ids"], row["node_times_ms"], strict=True)
        ]
        assert sorted(times) == sorted((node["id"], node["ms"]) for node in entry["nodes"])
    day = [row for row in samples if row["phase"] == "day"]
    assert {(row["request_name"], len(row["node_ids"])) for row in day} == {
        (name, count) for name, count in NODES.items() if name is not None
    }  # fmt: skip
    report = json.loads((finished.run_folder / "report.json").read_bytes())
    assert [phase["reconciliation"]["trust"] for phase in report["phases"]] == ["trusted"] * 3
    assert [phase["reconciliation"]["unexplained_nodes_total"] for phase in report["phases"]] == [0, 0, 0]
    counts = Counter(row["request_name"] for row in day)
    rows = {row["dataset"]: row["requests_total"] for row in report["phases"][0]["datasets"]}
    assert {name: rows[name] for name in counts} == counts
    assert sum(counts.values()) == 120
    assert in_order(samples, "night") == [(None, prompt) for _, prompt in in_order(samples, "night")[:4]] * 2
    assert {prompt.partition("/")[0] for _, prompt in in_order(samples, "night")} == {"arc_easy"}
    nodes = {node["id"]: sum(node["states"].values()) for node in report["phases"][0]["nodes"]}
    assert nodes == {
        "chat/answer": counts["chat"], "reader_1": counts["quiz"], "reader_2": counts["quiz"],
        "quiz/answer": counts["quiz"], "step_1": counts["steps"], "step_2": counts["steps"],
        "steps/answer": counts["steps"],
    }  # fmt: skip
    assert [node["id"] for node in report["phases"][2]["nodes"]] == ["answer"]
    # The base is sent in the last phase alone, whose cache was warmed by just these.
    plain = report["phases"][2]
    assert (plain["cached_nodes_total"], plain["uncached_nodes_total"]) == (4, 0)
    dags = json.loads((finished.run_folder / "run.json").read_bytes())["dags"]
    assert [(dag["part"], len(dag["node_ids"]), dag["prompts_total"]) for dag in dags] == [
        ("chat", 1, 4), ("quiz", 3, 8), ("steps", 3, 4), ("night", 5, 4), (None, 1, 4)
    ]  # fmt: skip


@pytest.mark.slow
def test_many_processes_send_the_same_mix(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path, free_port: int
) -> None:
    """Under the same indices as one process would: a worker's own index and the worker's number give that."""
    scenario = written(tmp_path, MIX.partition('[[phases]]\nname = "night"')[0])
    finished = fork_locust(
        "--scenario", scenario, "--host", simulator().url, "--processes", "2",
        "--master-port", str(free_port), "--master-bind-port", str(free_port),
    )  # fmt: skip
    assert finished.code == 0, finished.err
    loaded = load_scenario(tmp_path / "mine.toml")
    workload = load_scenario_prompts(loaded).workload(Generation.V2)
    planned = list(prompt_order(workload.of_phase(0), loaded.seed, 120))
    sent = sorted(samples_of(finished), key=lambda row: (row["request_index"], row["worker"]))
    assert [(row["request_name"], row["prompt_id"]) for row in sent] == [
        (workload.name_of_prompt[place], workload.prompts[place].id) for place in planned
    ]
