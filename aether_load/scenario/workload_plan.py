"""Define what a scenario sends: which prompts, in which DAG."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from aether_load.scenario.validation import Strict

HUB_DATASET_NAMES = ("hellaswag", "piqa", "winogrande", "arc_easy", "arc_challenge")

DagName = Literal["single", "chain", "fan_out", "triage", "extraction", "file", "program"]


class FileDataset(Strict, frozen=True, kw_only=True):
    """The user's own JSONL, CSV or Parquet file, and which of its columns hold what."""

    path: str
    text: str
    options: str | tuple[str, ...] | None = None
    answer: str | None = None
    answer_is: Literal["number_from_0", "number_from_1", "letter", "text"] = "number_from_0"


class WorkloadPlan(Strict, frozen=True, kw_only=True):
    """What is sent: which prompts, from where, in which DAG, and the model's parameters.

    `dag_nodes` is the length of a chain or the width of a fan-out; `dag_file` goes with a DAG file. `program` is an
    Aether program, whose `inputs` are bound to texts with `{{prompt}}` and `{{row.column}}`: literally, or through the
    request's context. `answer_node` is a node of the file or of the program.
    The price makes a cost of the tokens that the runtime counts; nothing that is sent depends on it.
    """

    datasets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = HUB_DATASET_NAMES
    source: Literal["sample", "hub", "folder"] = "sample"
    dataset_dir: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    dag: DagName = "single"
    dag_nodes: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    dag_file: str | None = None
    program: str | None = None
    inputs: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    bind: Literal["literal", "context"] = "literal"
    answer_node: str | None = None
    model: str = "gpt-4o-mini"
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = 0.0
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = 16
    price_usd_per_1000_tokens: Annotated[float, msgspec.Meta(ge=0)] | None = None
    files: dict[str, FileDataset] = msgspec.field(default_factory=dict)
