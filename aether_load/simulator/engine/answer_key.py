"""Answer prompts that have lettered options: the right letter in a chosen share, else a wrong one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import msgspec

from aether_load.errors import UsageError, explained
from aether_load.simulator.files import read_lines

_OPTION = re.compile(r"^[ \t]*([A-Z])[.)][ \t]+(\S.*?)[ \t\r]*$", re.MULTILINE)
_TAIL = 32
_REMEMBERED = 4096


class KeyRow(msgspec.Struct, frozen=True):
    """A row of the key file: a text that occurs in the prompt, and the right option's text."""

    match: str
    answer: str
    id: str | int | None = None


class AnswerKey:
    """Finds the right option of a prompt; replies its letter with probability `accuracy`, else another letter.

    A hash of seed and prompt decides which of the two, so that the order of requests does not matter.
    """

    def __init__(self, rows: Iterable[KeyRow], accuracy: float, seed: int) -> None:
        self._accuracy = accuracy
        self._seed = seed
        # By the last characters of the text, because many questions begin alike; by their number for short texts.
        self._rows: dict[int, dict[str, list[KeyRow]]] = {}
        for row in rows:
            tail = row.match[-_TAIL:]
            self._rows.setdefault(len(tail), {}).setdefault(tail, []).append(row)
        self.letter = lru_cache(maxsize=_REMEMBERED)(self._letter)

    def _letter(self, prompt: str) -> str | None:
        """Return the letter to reply, or None when no row fits the prompt."""
        for end, row in sorted(self._matches(prompt), key=lambda match: -len(match[1].match)):
            # Examples may come before the question, with options of their own: the question's come after its text.
            for start in (end, 0):
                options = _options(prompt[start:])
                right = options.get(_plain(row.answer))
                if right is not None:
                    return self._draw(prompt, right, sorted(options.values()))
        return None

    def _matches(self, prompt: str) -> Iterator[tuple[int, KeyRow]]:
        """Yield the rows whose text occurs, from the end of the prompt, with the end of the occurrence."""
        for length, rows in self._rows.items():
            for end in range(len(prompt), length - 1, -1):
                for row in rows.get(prompt[end - length : end], ()):
                    if prompt.endswith(row.match, 0, end):
                        yield end, row

    def _draw(self, prompt: str, right: str, letters: list[str]) -> str:
        digest = hashlib.sha256(f"{self._seed}\0{prompt}".encode()).digest()
        wrong = [letter for letter in letters if letter != right]
        if not wrong or int.from_bytes(digest[:8]) / 2**64 < self._accuracy:
            return right
        return wrong[int.from_bytes(digest[8:16]) % len(wrong)]


def read_answer_key(path: Path, accuracy: float, seed: int) -> AnswerKey:
    """Read a JSONL file of rows; raises UsageError with file and line."""
    decoder = msgspec.json.Decoder(KeyRow)
    rows = []
    wanted = '{"match": "text in the prompt", "answer": "the right option"}'
    with (
        explained(f"--answer-key {path}: ", end="; name a file that can be read"),
        explained(f"--answer-key {path}: ", UnicodeDecodeError, end="; name a file of JSON lines"),
    ):
        lines = read_lines(path)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        with explained(f"{path}, line {number}: ", msgspec.DecodeError, end=f"; each line is {wanted}"):
            row = decoder.decode(line)
        if not row.match:
            raise UsageError(f"{path}, line {number}: an empty match occurs in every prompt; give a text")
        rows.append(row)
    if not rows:
        raise UsageError(f"--answer-key {path} has no rows; make it with aether-load answer-key")
    return AnswerKey(rows, accuracy, seed)


def _options(text: str) -> dict[str, str]:
    """Return letters by option text, up to the first letter that comes a second time: another question begins there."""
    options: dict[str, str] = {}
    letters: set[str] = set()
    for letter, option in _OPTION.findall(text):
        if letter in letters:
            break
        letters.add(letter)
        options.setdefault(_plain(option), letter)
    return options


def _plain(text: str) -> str:
    return " ".join(text.split())
