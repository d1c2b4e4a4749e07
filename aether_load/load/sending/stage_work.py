"""Number the requests of a stage, and hand out its prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator


class StageWork:
    """What the users of one process may still take of a stage; all kinds of users take from the same."""

    def __init__(
        self,
        place: int,
        prompts: Iterator[int],
        number: Callable[[], int],
        *,
        requests: int | None = None,
        passes: int | None = None,
    ) -> None:
        """Take the stage's place, its prompts, what numbers a request of the run, and the stage's limits."""
        self.place = place
        self.prompts = prompts
        self.passes = passes
        self._number = number
        self._left = requests

    def next_request(self) -> int | None:
        """Return the number of the next request, None when the stage has had as many as it is to have."""
        if self._left is not None:
            if self._left <= 0:
                return None
            self._left -= 1
        return self._number()

    def next_prompt(self) -> int | None:
        """Return the place of the next prompt, None when the stage has handed out all of its passes."""
        return next(self.prompts, None)
