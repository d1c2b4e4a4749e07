"""The right answers of a scenario's prompts, as a file that the simulated runtime answers from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from aether_load.workload.prompt import Prompt


def write_answer_key(prompts: Iterable[Prompt], out: BinaryIO) -> int:
    """Write a JSON line for each prompt whose right option is known, and return how many there were.

    `match` is the prompt's last paragraph: what the dataset says, without the words of the question that we put
    before it, so that the key fits the same rows asked in another way too.
    """
    encoder = msgspec.json.Encoder()
    written = 0
    for prompt in prompts:
        if prompt.gold is not None:
            match = prompt.text.rsplit("\n\n", 1)[-1]
            row = {"id": prompt.id, "match": match, "answer": prompt.options[prompt.gold]}
            out.write(encoder.encode(row) + b"\n")
            written += 1
    return written
