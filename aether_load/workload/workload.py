"""Prompts and DAG put together: what is sent, ready, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from aether_load.protocol import Generation, NodeShape, encode_request
from aether_load.workload.dag import SINGLE_NODE_ID, single
from aether_load.workload.prompt import Prompt

if TYPE_CHECKING:
    from aether_load.workload.scenario import WorkloadPlan


Work = tuple[int, int, int | None, int]
"""A request to send: its index in the run, its prompt's, when it was due (monotonic ns; None: now), its stage's."""


class Workload(msgspec.Struct, frozen=True):
    """Prompts in sending order and, beside each, the JSON body that asks it.

    `nodes` are the DAG's, in the order in which samples list them; `answer_node` is the one whose output is the
    answer. The first `prompt_count` prompts are the workload's own; those of traces stand behind them.
    """

    prompts: tuple[Prompt, ...]
    bodies: tuple[bytes, ...]
    nodes: tuple[NodeShape, ...]
    answer_node: str
    prompt_count: int


def build_workload(
    prompts: Sequence[Prompt], plan: WorkloadPlan, generation: Generation, *, of_traces: int = 0
) -> Workload:
    """Write every prompt's request body now, so that no request waits for its own JSON later.

    The last `of_traces` prompts belong to traces.
    """
    bodies = tuple(encode_request(single(prompt, plan), generation) for prompt in prompts)
    nodes = (NodeShape(SINGLE_NODE_ID),)
    return Workload(tuple(prompts), bodies, nodes, SINGLE_NODE_ID, prompt_count=len(prompts) - of_traces)


def work_order(prompt_count: int, limit: int | None) -> Iterator[int]:
    """Yield indices into the prompts, pass after pass, `limit` of them or without end."""
    index = 0
    while limit is None or index < limit:
        yield index % prompt_count
        index += 1
