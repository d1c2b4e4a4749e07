"""Compiled Aether programs, sent to the simulated v2 runtime."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import urllib3

from aether_load.dag.workload import build_workload
from aether_load.datasets.prompt import Prompt
from aether_load.protocol import Generation
from aether_load.scenario.workload_plan import WorkloadPlan
from aether_programs import LINES, SOURCE, compiled, install_compiler, path_with, write_program
from main_job.test_dags import assert_every_node_agrees
from processes import Finished, Simulator, call_command

ARGUMENTS = ("--scenario", "smoke", "--dataset", "arc_easy", "--limit", "4", "--set", "phases.0.passes=1")
BINDINGS = ("--bind", "complaint={{prompt}}", "--bind", "style=terse")
JSON = {"Content-Type": "application/json"}
NODES = ["mood", "summary", "advice"]


@pytest.mark.parametrize("bind", ["literal", "context"])
@pytest.mark.slow
def test_a_program_runs_and_is_named_in_every_result(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path, bind: str
) -> None:
    """Each node is counted, the runtime filled in what was left to it, and the program stands in all results."""
    record = tmp_path / "record.jsonl"
    runtime = simulator("--latency", "constant:1ms", "--record", str(record))
    program = write_program(tmp_path)
    more = ("--set", "workload.bind=context") if bind == "context" else ()
    finished = fork_locust("--host", runtime.url, *ARGUMENTS, "--program", str(program), *BINDINGS, *more)
    assert finished.code == 0, finished.err
    assert_every_node_agrees(finished, record, NODES)
    report = json.loads(finished.nightly.read_bytes())
    identity = report["program"]
    assert identity == {
        "flow_name": "tired", "compiler_version": "0.1.0", "hash": identity["hash"], "source_file": "tired.aether",
        "inputs": {"complaint": "{{prompt}}", "style": "terse"},
    }  # fmt: skip
    assert json.loads((finished.run_folder / "run.json").read_bytes())["program"] == identity
    nodes = report["phases"][0]["nodes"]
    assert [(node["id"], node["function"], node["source"]) for node in nodes] == [
        ("mood", "rate", f"tired.aether:{LINES['mood']}"), ("summary", "sum_up", f"tired.aether:{LINES['summary']}"),
        ("advice", "advise", f"tired.aether:{LINES['advice']}"),
    ]  # fmt: skip
    with (finished.results / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["program"], row["program_hash"], row["compiler_version"]) for row in rows} == {
        ("tired", identity["hash"], "0.1.0")
    }
    told = call_command("report", str(finished.run_folder), "--no-page", cwd=tmp_path)
    assert "summary (sum_up, tired.aether:21)" in told.stdout


@pytest.mark.slow
def test_a_runtime_renders_the_same_prompts_however_inputs_are_bound(
    simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Literally or through the context, with texts that are hard to write as JSON or in a template."""
    runtime = simulator("--latency", "constant:0ms")
    row = Prompt("set/0", "set", "Why?", columns={"how": 'so "so" \\ {{style}} <{é}>'})
    rendered = []
    for bind in ("literal", "context"):
        inputs: dict[str, str | int | float | bool] = {"complaint": "{{row.how}}", "style": "{terse}"}
        plan = WorkloadPlan(dag="program", program=str(write_program(tmp_path)), inputs=inputs, bind=bind)
        if bind == "context":
            # There the runtime would look for the program's own placeholders in the text.
            assert row.columns is not None
            row = msgspec.structs.replace(row, columns={"how": row.columns["how"].replace("{{style}}", "{style}")})
        (body,) = build_workload([row], plan, Generation.V2).bodies
        answer = urllib3.request("POST", f"{runtime.url}/execute", body=body, headers=JSON).json()
        assert answer["errors"] == []
        rendered.append({node["node_id"]: node["rendered_prompt"] for node in answer["results"]})
    literal, context = rendered
    assert literal["mood"] == 'How müde does this sound, from 1 to 5? so "so" \\ {{style}} <{é}>'
    assert {id_: text.replace("{{style}}", "{style}") for id_, text in literal.items()}["summary"] == context["summary"]
    assert context["summary"] == ('In a {terse} style, sum up: so "so" \\ {style} <{é}> (so "so" \\ {style} <{é}>)')


@pytest.mark.slow
def test_the_answering_node_of_a_program_is_scored(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Rows with options are asked as questions, and the letter that the last node answers is right or wrong."""
    key = tmp_path / "key.jsonl"
    assert call_command("answer-key", "--dataset", "arc_easy", "-o", str(key), cwd=tmp_path).returncode == 0
    runtime = simulator("--answer-key", str(key), "--accuracy", "1", "--latency", "constant:1ms")
    value = compiled(inputs=[{"name": "complaint", "type": "string", "required": True}])
    del value["nodes"][1:]
    finished = fork_locust("--host", runtime.url, *ARGUMENTS, "--program", str(write_program(tmp_path, value)))
    accuracy = json.loads(finished.nightly.read_bytes())["phases"][0]["all"]["accuracy"]
    assert (finished.code, accuracy["hits"], accuracy["count"]) == (0, 4, 4), finished.err


@pytest.mark.slow
def test_two_versions_of_a_program_are_compared(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """Runs of two versions may be ranked, and are told apart by their hashes; another flow is another load."""
    runtime = simulator("--latency", "constant:1ms")
    runs = []
    for name, flow, temperature in (("old", "tired", 0.0), ("new", "tired", 0.7), ("other", "awake", 0.0)):
        (tmp_path / name).mkdir()
        value = compiled(flow_name=flow)
        value["nodes"][0]["temperature"] = temperature
        program = write_program(tmp_path / name, value)
        finished = fork_locust("--host", runtime.url, *ARGUMENTS, "--program", str(program), *BINDINGS)
        assert finished.code == 0, finished.err
        runs.append(max((finished.results / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns))
    done = call_command("compare", *map(str, runs[:2]), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("program tired ") == 2
    done = call_command("compare", str(runs[0]), str(runs[2]), cwd=tmp_path)
    assert "flow of the program: tired in A and awake in B" in done.stdout


@pytest.mark.slow
def test_a_source_is_compiled_by_the_compiler_on_the_path(
    fork_locust: Callable[..., Finished], simulator: Callable[..., Simulator], tmp_path: Path
) -> None:
    """What aetherc writes is sent; where it refuses, its message is exit code 2."""
    install_compiler(tmp_path / "bin")
    (tmp_path / "tired.aether").write_text(SOURCE, encoding="utf-8")
    arguments = ("--host", simulator("--latency", "constant:1ms").url, *ARGUMENTS, *BINDINGS)
    path = path_with(tmp_path / "bin")
    finished = fork_locust(*arguments, "--program", str(tmp_path / "tired.aether"), PATH=path)
    assert finished.code == 0, finished.err
    assert json.loads(finished.nightly.read_bytes())["program"]["flow_name"] == "tired"
    (tmp_path / "tired.aether").write_text("fn nobody()", encoding="utf-8")
    refused = fork_locust(*arguments, "--program", str(tmp_path / "tired.aether"), PATH=path)
    assert refused.code == 2
    assert "aetherc does not compile it (exit code 1): error[E0001]: expected a flow" in refused.err
