"""Right answers to prompts with lettered options, and wrong ones in a chosen share."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from aether_load.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_OPTION = re.compile(r"^[ \t]*([A-Z])[.)][ \t]+(\S.*?)[ \t\r]*$", re.MULTILINE)
_BLOCK = 16
_REMEMBERED = 20_000


class KeyRow(msgspec.Struct, frozen=True):
    """A row of the key file: a text that occurs in the prompt, and the right option's text."""

    match: str
    answer: str
    id: str | int | None = None


class AnswerKey:
    """Finds the right option of a prompt and gives its letter with probability `accuracy`, else another letter.

    Which of the two is decided by a hash of seed and prompt, and so is the same in every order of requests.
    """

    def __init__(self, rows: Iterable[KeyRow], accuracy: float, seed: int) -> None:
        self._accuracy = accuracy
        self._seed = seed
        self._texts = _Texts()
        for row in rows:
            self._texts.add(row)
        self.letter = lru_cache(maxsize=_REMEMBERED)(self._letter)

    def _letter(self, prompt: str) -> str | None:
        """Return the letter to reply, or None when no row fits the prompt."""
        for offset, row in self._matches(prompt):
            # Examples may come before the question, with options of their own: the question's come after its text.
            for start in (offset, 0):
                options = _options(prompt[start:])
                right = options.get(_plain(row.answer))
                if right is not None:
                    return self._draw(prompt, right, sorted(options.values()))
        return None

    def _matches(self, prompt: str) -> list[tuple[int, KeyRow]]:
        """Return the rows whose text occurs, the longest text first, with the offset of its last occurrence."""
        found: dict[int, tuple[int, KeyRow]] = {}
        for offset in self._texts.beginnings(prompt):
            for row in self._texts.at(prompt, offset):
                found[id(row)] = offset, row
        return sorted(found.values(), key=lambda match: -len(match[1].match))

    def _draw(self, prompt: str, right: str, letters: list[str]) -> str:
        digest = hashlib.sha256(f"{self._seed}\0{prompt}".encode()).digest()
        wrong = [letter for letter in letters if letter != right]
        if not wrong or int.from_bytes(digest[:8]) / 2**64 < self._accuracy:
            return right
        return wrong[int.from_bytes(digest[8:16]) % len(wrong)]


class _Texts:
    """Texts by their first characters, then by those after them, and so on: many may begin alike."""

    __slots__ = ("ends", "longer")

    def __init__(self) -> None:
        self.longer: dict[str, _Texts] = {}
        self.ends: dict[int, dict[str, list[KeyRow]]] = {}

    def add(self, row: KeyRow) -> None:
        texts, rest = self, row.match
        while len(rest) > _BLOCK:
            texts = texts.longer.setdefault(rest[:_BLOCK], _Texts())
            rest = rest[_BLOCK:]
        texts.ends.setdefault(len(rest), defaultdict(list))[rest].append(row)

    def beginnings(self, prompt: str) -> Iterable[int]:
        """Return the offsets of the prompt where a text may begin."""
        if self.ends:  # texts that are too short to be told apart by a whole block
            return range(len(prompt))
        return [offset for offset in range(len(prompt)) if prompt[offset : offset + _BLOCK] in self.longer]

    def at(self, prompt: str, offset: int) -> list[KeyRow]:
        """Return the rows whose text stands at an offset of the prompt."""
        found: list[KeyRow] = []
        texts: _Texts | None = self
        while texts is not None:
            for length, rows in texts.ends.items():
                found += rows.get(prompt[offset : offset + length], ())
            texts = texts.longer.get(prompt[offset : offset + _BLOCK])
            offset += _BLOCK
        return found


def read_answer_key(path: Path, accuracy: float, seed: int) -> AnswerKey:
    """Read a JSONL file of rows; UsageError with file and line."""
    decoder = msgspec.json.Decoder(KeyRow)
    rows = []
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    row = decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    wanted = '{"match": "text in the prompt", "answer": "the right option"}'
                    raise UsageError(f"{path}, line {number}: {error}; each line is {wanted}") from error
                if not row.match:
                    raise UsageError(f"{path}, line {number}: an empty match occurs in every prompt; give a text")
                rows.append(row)
    except OSError as error:
        raise UsageError(f"--answer-key {path}: {error.strerror}; name a file that can be read") from error
    if not rows:
        raise UsageError(f"--answer-key {path} holds no rows; make it with aether-load answer-key")
    return AnswerKey(rows, accuracy, seed)


def _options(text: str) -> dict[str, str]:
    """Return letters by option text, up to the first letter that comes a second time (another question's options)."""
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
