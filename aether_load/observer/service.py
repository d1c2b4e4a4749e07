"""Carry out what the sender says, and watch its run meanwhile."""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from aether_load.errors import AetherLoadError, explain
from aether_load.observer import messages as say
from aether_load.observer.command_handler import CommandHandler
from aether_load.observer.scraper import Scraper
from aether_load.rundata.scrapes import RawScrape

FOLLOW_INTERVAL_S = 0.2
TICK_INTERVAL_S = 1.0
_RECEIVE_BYTES = 1 << 18


class Observer:
    """One observer process: one run after the other, until its sender is gone or says that this is all."""

    def __init__(self, sender: socket.socket) -> None:
        self._sender = sender
        self._frames = say.Frames()
        self._wake_in, self._wake_out = os.pipe()
        self._scraped: deque[tuple[RawScrape, int]] = deque()
        self._scraper = Scraper(self._on_scraped)
        self._handler = CommandHandler(self._scraper)
        self._over = False

    def run(self) -> None:
        """Serve until the sender's socket closes or `Quit` comes; then finish what was begun, if it was not."""
        self._say(say.Ready())
        follow_at = tick_at = monotonic()
        while not self._over:
            now = monotonic()
            inputs: list[Any] = [self._sender, self._wake_in]
            ready, _, _ = select.select(inputs, [], [], max(0.0, min(follow_at, tick_at) - now))
            if self._sender in ready and not self._receive():
                break
            if self._wake_in in ready:
                self._take_scrapes()
            now = monotonic()
            if now >= follow_at:
                follow_at = now + FOLLOW_INTERVAL_S
                self._watch(self._handler.follow)
            if now >= tick_at:
                tick_at = now + TICK_INTERVAL_S
                self._watch(self._handler.tick)
        if not self._over:
            self._handler.finish_as_crashed()
        self._scraper.close()

    def _receive(self) -> bool:
        """Carry out what has come; False when the sender is gone."""
        try:
            data = self._sender.recv(_RECEIVE_BYTES)
        except OSError:
            return False
        if not data:
            return False
        for content in self._frames.feed(data):
            command = say.decode_command(content)
            if isinstance(command, say.Quit):
                self._over = True
                return True
            for answer in self._carry_out(command):
                if not self._say(answer):
                    return False
        return True

    def _carry_out(self, command: say.Command) -> Sequence[say.Answer]:
        """Return the answers to a command; what goes wrong is an answer too, and never the end of the observer."""
        try:
            return self._handler.carry_out(command)
        except AetherLoadError as error:
            return [say.Failed(id=command.id, sentence=str(error), exit_code=int(error.exit_code))]
        except OSError as error:
            return [say.Refused(id=command.id, reason=error.strerror or str(error))]
        except Exception as error:  # noqa: BLE001 -- the sender says it, and the run ends in order
            return [_failed(error, command.id)]

    def _watch(self, step: Callable[[], list[say.Answer]]) -> None:
        """Do a step that no command asked for, and report a failure to the sender."""
        try:
            for answer in step():
                self._say(answer)
        except OSError as error:
            self._say(say.Refused(reason=error.strerror or str(error)))
        except Exception as error:  # noqa: BLE001 -- what goes wrong once goes wrong each second
            self._say(_failed(error))
            self._over = True

    def _say(self, answer: say.Answer) -> bool:
        """Send an answer; False when the sender is gone."""
        try:
            self._sender.sendall(say.frame(answer))
        except OSError:
            return False
        return True

    def _on_scraped(self, raw: RawScrape, answer_to: int) -> None:
        """Hand a reading to the main thread; called in the scraper's."""
        self._scraped.append((raw, answer_to))
        os.write(self._wake_out, b"x")

    def _take_scrapes(self) -> None:
        os.read(self._wake_in, 4096)
        while self._scraped:
            raw, answer_to = self._scraped.popleft()
            self._watch(lambda raw=raw: self._handler.scraped(raw))  # type: ignore[misc]
            if answer_to:
                self._say(say.Scraped(id=answer_to, error=raw.error))


def _failed(error: Exception, answer_to: int = 0) -> say.Failed:
    sentence, code = explain(error)
    return say.Failed(id=answer_to, sentence=sentence, exit_code=int(code), defect=True)
