"""Write the right answers of a scenario's prompts to a file that the simulated runtime answers from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from aether_load.datasets.prompt import Prompt

_WHOLE_SENTENCES = re.compile(r".*[.!?](?=\s)", re.DOTALL)


def write_answer_key(prompts: Iterable[Prompt], out: BinaryIO) -> int:
    """Write a JSON line for each prompt whose right option is known, and return how many there were.

    `match` is what the dataset says, without the words of the question that we put before it, so that the key fits
    the same rows as lm-eval asks them too.
    """
    encoder = msgspec.json.Encoder()
    written = 0
    for prompt in prompts:
        if prompt.gold is not None:
            row = {"id": prompt.id, "match": _match(prompt), "answer": prompt.options[prompt.gold]}
            out.write(encoder.encode(row) + b"\n")
            written += 1
    return written


def _match(prompt: Prompt) -> str:
    """Return the part of a prompt's last paragraph that stays the same in whichever way the row is asked."""
    text = prompt.text.rsplit("\n\n", 1)[-1]
    if prompt.dataset == "piqa":
        return text.removeprefix("Goal: ")
    if prompt.dataset == "hellaswag" and (sentences := _WHOLE_SENTENCES.match(text)):
        # What begins the sentence that is to be completed is written with a capital letter elsewhere.
        return sentences[0]
    return text
