"""Have each pass of a user's task counted, whatever kind of task set it stands in."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

from locust import TaskSet


class Iterating(Protocol):
    """A user that runs its tasks one pass at a time."""

    def iterate(self, name: str, run: Callable[[], object]) -> None:
        """Run one pass of a task."""


def iterated(task: Any, owner: str) -> Any:
    """Return a user's task such that `iterate` of the user runs each pass of it; a task set's tasks likewise."""
    if isinstance(task, type) and issubclass(task, TaskSet):
        return _iterated_set(task)
    name = f"{owner}.{_name_of(task)}"

    def run(user: Any) -> None:
        user.iterate(name, lambda: task(user))

    run.__name__ = _name_of(task)
    return run


@lru_cache(maxsize=1000)
def _iterated_set(tasks: Any) -> Any:
    """Return a task set whose tasks are passes; a task set inside it is no pass itself, its tasks are."""

    def execute_task(self: Any, task: Any) -> None:
        if isinstance(task, type) and issubclass(task, TaskSet):
            tasks.execute_task(self, _iterated_set(task))
        else:
            self.user.iterate(f"{tasks.__name__}.{_name_of(task)}", lambda: tasks.execute_task(self, task))

    return type(tasks)(tasks.__name__, (tasks,), {"execute_task": execute_task, "__doc__": tasks.__doc__})


def _name_of(task: Any) -> str:
    return str(getattr(task, "__name__", type(task).__name__))
