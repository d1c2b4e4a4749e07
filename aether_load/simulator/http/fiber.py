"""Coroutines that run at once, up to their first wait, without an asyncio task.

Most requests at latency 0 have nothing to wait for; they run to their end inside the socket's callback.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

Resume = Callable[[], None]
Disarm = Callable[[], object]
Arm = Callable[[Resume], Disarm]
"""Arranges that the given function is called later, once, and returns a function that calls that off."""


@types.coroutine
def suspend(arm: Arm) -> Generator[Arm, None, None]:
    """Wait until what `arm` arranges happens."""
    yield arm


class Fiber:
    """A running coroutine; `done` hears its result or its error, and nothing after `cancel`."""

    __slots__ = ("_coroutine", "_disarm", "_done")

    def __init__(self, coroutine: Coroutine[Arm, None, Any], done: Callable[[Any, Exception | None], None]) -> None:
        self._coroutine = coroutine
        self._done = done
        self._disarm: Disarm | None = None

    def step(self) -> None:
        """Run up to the next wait, or to the end."""
        self._disarm = None
        try:
            arm = self._coroutine.send(None)
        except StopIteration as stop:
            self._done(stop.value, None)
        except Exception as error:  # noqa: BLE001 - handed to `done`, which decides
            self._done(None, error)
        else:
            self._disarm = arm(self.step)

    def cancel(self) -> None:
        """Stop for good where it waits; its `finally` blocks run."""
        if self._disarm is not None:
            self._disarm()
            self._disarm = None
        self._coroutine.close()


async def gather(coroutines: list[Coroutine[Arm, None, None]]) -> None:
    """Run coroutines side by side until all are done; an error of one ends the others and is raised."""
    if len(coroutines) == 1:
        await coroutines[0]
        return
    group = _Group()
    try:
        for coroutine in coroutines:
            fiber = Fiber(coroutine, group.done)
            group.fibers.append(fiber)
            group.pending += 1
            fiber.step()
        if group.pending and group.error is None:
            await suspend(group.arm)
        if group.error is not None:
            raise group.error
    finally:
        for fiber in group.fibers:
            fiber.cancel()


class _Group:
    """What the fibers of one `gather` share."""

    __slots__ = ("error", "fibers", "pending", "resume")

    def __init__(self) -> None:
        self.fibers: list[Fiber] = []
        self.pending = 0
        self.error: Exception | None = None
        self.resume: Resume | None = None

    def arm(self, resume: Resume) -> Disarm:
        self.resume = resume
        return self._disarm

    def _disarm(self) -> None:
        self.resume = None

    def done(self, _result: None, error: Exception | None) -> None:
        self.pending -= 1
        if error is not None:
            self.error = error
        if self.resume is not None and (error is not None or not self.pending):
            resume, self.resume = self.resume, None
            resume()
