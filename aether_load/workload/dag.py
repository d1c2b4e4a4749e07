"""From a prompt to the DAG that is sent for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aether_load.protocol import DagRequest, LlmNode
from aether_load.workload.answer import LETTERS

if TYPE_CHECKING:
    from aether_load.workload.prompt import Prompt
    from aether_load.workload.scenario import WorkloadPlan

SINGLE_NODE_ID = "answer"


def question_text(prompt: Prompt) -> str:
    """Return the prompt as a multiple-choice question with lettered options, or its bare text when it has none."""
    if not prompt.options:
        return prompt.text
    letters = LETTERS[: len(prompt.options)]
    lines = [prompt.text, ""]
    lines += [f"{letter}. {option}" for letter, option in zip(letters, prompt.options, strict=True)]
    choices = ", ".join(letters[:-1]) + " or " + letters[-1]
    lines += ["", f"Answer with one letter only: {choices}."]
    return "\n".join(lines)


def single(prompt: Prompt, plan: WorkloadPlan) -> DagRequest:
    """Return a DAG of one LLM node that asks `prompt`.

    The text stands literally in the template: passed through `context`, a long value with a multi-byte
    character at the wrong place makes the runtime panic.
    """
    node = LlmNode(
        id=SINGLE_NODE_ID,
        prompt=question_text(prompt),
        model=plan.model,
        temperature=plan.temperature,
        max_tokens=plan.max_tokens,
    )
    return DagRequest(flow_name=f"aether_load_{prompt.dataset}", nodes=(node,))
