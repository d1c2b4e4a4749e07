"""Define what a scenario sends: which prompts, in which DAG."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from aether_load.scenario.validation import Strict

HUB_DATASET_NAMES = ("hellaswag", "piqa", "winogrande", "arc_easy", "arc_challenge")

DagName = Literal["single", "chain", "fan_out", "triage", "extraction", "file", "program"]

MODEL_KEYS = ("model", "temperature", "max_tokens")
"""Keys of the plan that go into the nodes of a shape; the nodes of a file or a program have their own."""

CHANGES = ("datasets", "dag", "dag_nodes", "dag_file", "answer_node", *MODEL_KEYS)
"""Keys of the plan that a phase, or a part of its mix, may have itself."""


class FileDataset(Strict, frozen=True, kw_only=True):
    """The user's own JSONL, CSV or Parquet file, and which of its columns hold what."""

    path: str  # JSONL, CSV or Parquet, relative to the scenario's file
    text: str  # column of the question or prompt
    options: str | tuple[str, ...] | None = None  # column of a list of options, or several columns
    answer: str | None = None  # column of the right answer
    # how that column names the right option
    answer_is: Literal["number_from_0", "number_from_1", "letter", "text"] = "number_from_0"


class WorkloadPlan(Strict, frozen=True, kw_only=True):
    """What is sent: which prompts, from where, in which DAG, and the model's parameters.

    `dag_nodes` is the length of a chain or the width of a fan-out; `dag_file` goes with a DAG file. `program` is an
    Aether program, whose `inputs` are bound to texts with `{{prompt}}` and `{{row.column}}`: literally, or through the
    request's context. `answer_node` is a node of the file or of the program.
    The price makes a cost of the tokens that the runtime counts; nothing that is sent depends on it.
    """

    # names of datasets whose rows are sent
    datasets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = HUB_DATASET_NAMES
    source: Literal["sample", "hub", "folder"] = "sample"  # bundled rows, the hub, or a folder laid out like it
    dataset_dir: str | None = None  # the folder, with `source = "folder"`
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None  # rows of each dataset, chosen by the seed
    columns: tuple[str, ...] = ()  # columns of the rows that own user classes read from their prompts
    dag: DagName = "single"  # shape of each request's DAG
    dag_nodes: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None  # length of a chain, width of a fan_out
    dag_file: str | None = None  # your own DAG as JSON, with `dag = "file"`
    program: str | None = None  # an Aether program, with `dag = "program"`
    # value of each input of the program
    inputs: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    bind: Literal["literal", "context"] = "literal"  # write inputs into the prompts, or send them as context
    answer_node: str | None = None  # node of the file or program whose output is scored
    model: str = "gpt-4o-mini"  # model of each LLM node
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = 0.0  # temperature of each LLM node
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = 16  # limit of output tokens of each LLM node
    # price for the cost of a right answer
    price_usd_per_1000_tokens: Annotated[float, msgspec.Meta(ge=0)] | None = None
    files: dict[str, FileDataset] = msgspec.field(default_factory=dict)  # your own datasets by name


class MixPart(Strict, frozen=True, kw_only=True):
    """A part of a phase's mix: requests of a name of their own, as many of all as its weight is of all weights.

    What it does not say is as in its phase, and else as in the workload.
    """

    # name of its requests in every output
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    weight: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = 1.0  # its share is this by the sum of all weights
    # datasets whose rows are sent, instead of the workload's
    datasets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    dag: DagName | None = None  # shape of each request's DAG, instead of the workload's
    dag_nodes: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None  # length of a chain, width of a fan_out
    dag_file: str | None = None  # your own DAG as JSON
    answer_node: str | None = None  # node of the file whose output is scored
    model: str | None = None  # model of each LLM node
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None  # temperature of each LLM node
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None  # limit of output tokens of each node
