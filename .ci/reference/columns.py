"""The page of columns: those of samples.arrow and of summary.csv."""

from markdown import code, table

from aether_load.outputs.summary import COLUMNS
from aether_load.rundata.samples.samples_arrow import SCHEMA

SAMPLES = {
    "phase": "name of the phase",
    "worker": "number of the sending process, from 0",
    "request_index": "number of the request in its process, from 0",
    "prompt_id": "dataset and row of the prompt",
    "dataset": "name of the dataset; null for a text of a user class",
    "request_name": "name that a user class or a part of a mix gave the request",
    "intended_start_ns": "when it was due, on the monotonic clock; `run.json` has the same instant in UTC",
    "sent_ns": "when it was sent; null: never (`dropped`)",
    "ended_ns": "when its answer was complete, or it failed",
    "service_latency_us": "from sent to answered",
    "response_latency_us": "from due to answered",
    "outcome": "`ok` or how it failed",
    "http_status": "status of the answer",
    "server_total_ms": "the runtime's own total, whole ms, cut off",
    "node_ids": "nodes of the request's DAG, as `nodes` in `run.json` lists them",
    "node_times_ms": "time of each of `node_ids`; null: not known",
    "node_states": "`succeeded`, `failed` or `skipped`, a node each",
    "node_cached": "whether a node came from the cache",
    "token_cost": "tokens of the answer",
    "answer_state": "`answered`, `unanswered` (no letter) or `mock` (the mock provider's text)",
    "answer": "the letter that was read",
    "correct": "whether it is the right one; null: not scored",
    "execution_id": "the runtime's id of the execution, 16 bytes",
    "error": "what went wrong, in the runtime's or the client's words",
    "level_times_ms": "time of each level of the DAG",
}


def columns_page() -> str:
    """Return the page; every column has its meaning, and no meaning is without a column."""
    if list(SAMPLES) != SCHEMA.names:
        raise SystemExit(
            f".ci/reference/columns.py: columns of samples.arrow differ: {set(SAMPLES) ^ set(SCHEMA.names)}"
        )
    samples = [(code(name), str(SCHEMA.field(name).type).split("<")[0], text) for name, text in SAMPLES.items()]
    return (
        "# Columns\n\n"
        "## samples.arrow\n\n"
        "A row a request, in a run's folder. Read it with "
        '`pyarrow.ipc.open_stream("results/runs/ID/samples.arrow").read_pandas()`.\n\n'
        + table(("column", "type", "what it holds"), samples)
        + "\n## summary.csv\n\n"
        "A row a run, phase and dataset, in `results/summary.csv` for all runs and in each run's folder. An empty "
        'field was not measured. Read it with `pandas.read_csv("results/summary.csv", parse_dates=["time"])`.\n\n'
        + table(("column", "what it holds"), ((code(name), text) for name, text in COLUMNS.items()))
    )
