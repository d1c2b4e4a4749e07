"""Draw one line of progress on the terminal, and nothing where standard error is no terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from aether_load.redaction import sentence_of
from aether_load.text import terminal_text


class ProgressLine:
    """A line that is written over itself, on a terminal only."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._shown = False

    def show(self, text: str) -> None:
        """Put `text` in place of what stood there."""
        if self._stream.isatty():
            self._stream.write(f"\r\x1b[K{terminal_text(text)}")
            self._stream.flush()
            self._shown = True

    def clear(self) -> None:
        """Clear the line for other output."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False

    def say(self, sentence: object) -> None:
        """Write a sentence in place of the line, on a terminal or not."""
        self.clear()
        self._stream.write(f"aether-load: {sentence_of(sentence)}\n")
        self._stream.flush()
