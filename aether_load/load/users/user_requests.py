"""Find the bytes of what a user's own code sends, and the places under which it is recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Raw

from aether_load.dag.sent_dag import WorkloadDag
from aether_load.datasets.prompt import Prompt
from aether_load.datasets.question import question_text
from aether_load.load.sending.sender_context import SenderContext
from aether_load.load.users.own_requests import ModelSettings, OwnRequests
from aether_load.redaction import foreign_text

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,63}")


class Request(NamedTuple):
    """A request of user code.

    `place` is that of its prompt; `data` is None where the prompt's own bytes are sent, `dag` where it goes in its
    prompt's own DAG. `prompt` is what the answer repeats, `answer_node` the node whose output is the answer.
    """

    place: int
    data: bytes | None
    prompt: Raw | None
    dag: int | None
    answer_node: str | None


class UserRequests:
    """The requests of the users of one process; prompts and DAGs that are new are added to its records."""

    def __init__(self, context: SenderContext) -> None:
        self._context = context
        side = context.sides[0]
        self._own = OwnRequests(side.endpoint, side.generation, context.scenario.workload)
        self._places = {prompt.id: place for place, prompt in enumerate(context.workload.prompts)}
        self._of_names: dict[str, int] = {}
        self._names: set[str] = set()
        self._dags: dict[WorkloadDag, int] = {}
        self.failures_told: set[tuple[str, type[Exception], str]] = set()

    def request(self, what: Prompt | str | Mapping[str, Any], name: str, settings: ModelSettings) -> Request:
        """Return the request for a prompt, a text or a DAG; raises ValueError for what cannot be sent."""
        if name not in self._names:
            self._names.add(_checked(name))
        if isinstance(what, Prompt):
            place = self._places.get(what.id)
            if place is not None:
                return self._of_prompt(place, settings)
            what = question_text(what)
        if isinstance(what, str):
            own = self._own.of_text(what, name, settings)
        elif isinstance(what, Mapping):
            own = self._own.of_dag(what, settings)
        else:
            raise ValueError(  # noqa: TRY004 -- what user code passes is a value to it
                f"execute: expected a prompt, a text or a DAG, got {type(what).__name__}."
            )
        assert own.dag is not None
        dag = self._dags.get(own.dag)
        if dag is None:
            dag = self._dags[own.dag] = self._context.recorder.dags.add(own.dag)
        return Request(self._place_of(name), own.data, own.prompt, dag, own.dag.answer_node)

    def _of_prompt(self, place: int, settings: ModelSettings) -> Request:
        workload, prepared = self._context.workload, self._context.sides[0].prepared
        answer_node = workload.dag_of(place).answer_node
        if settings.are_plain:
            return Request(place, None, prepared.prompt_of(place), None, answer_node)
        return Request(place, self._own.of_body(workload.bodies[place], settings).data, None, None, answer_node)

    def _place_of(self, name: str) -> int:
        """Return the place of the prompt that stands for the texts of a name."""
        if name not in self._of_names:
            self._of_names[name] = self._context.recorder.add_prompt(Prompt(id=name, dataset="", text=""))
        return self._of_names[name]


def _checked(name: str) -> str:
    """Return a request's name; raises ValueError for one that cannot stand in outputs and thresholds."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValueError(
            f"execute: name = {foreign_text(str(name), 80)!r}: expected 1 to 64 letters, digits, spaces, '.', '_' or "
            "'-', beginning with a letter or digit."
        )
    return name
