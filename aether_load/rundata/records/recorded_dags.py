"""Know the DAGs that requests of a process are sent in, and their places in its records."""

from __future__ import annotations

from collections.abc import Callable

from aether_load.dag.sent_dag import MOST_DAGS, WorkloadDag, list_dags
from aether_load.dag.workload import Workload
from aether_load.response import SentDag
from aether_load.rundata.records.record_buffer import RecordBuffer


class RecordedDag:
    """A DAG as the recorder needs it, and its place in the records' table."""

    __slots__ = ("answer_node", "count", "node_ids", "only_node", "place", "sent")

    def __init__(self, dag: WorkloadDag, place: int) -> None:
        self.sent = SentDag.of(dag.nodes, dag.prompt_node)
        self.node_ids = self.sent.node_ids
        self.count = len(self.node_ids)
        self.only_node = self.sent.only_node
        self.answer_node = dag.answer_node
        self.place = place


class RecordedDags:
    """The DAGs of a run's prompts, and those that user code adds."""

    def __init__(self, buffer: RecordBuffer) -> None:
        """Take the buffer in whose table they get their places."""
        self._buffer = buffer
        self._known: list[WorkloadDag] = []
        self._dags: list[RecordedDag] = []
        self._of_prompts: list[int] = []
        self.only: RecordedDag | None = None
        """The DAG of every prompt, where there is one for all."""
        self.on_new: Callable[[WorkloadDag], None] | None = None

    def expect(self, workload: Workload) -> None:
        """Hold answers from now on against the DAGs of `workload`, which lists their nodes as the run does."""
        places = [self._place_of(dag) for dag in workload.dags]
        self._of_prompts = [places[place] for place in workload.dag_of_prompt]
        self.only = None if self._of_prompts else self._dags[places[0]]

    def of(self, prompt: int, place: int | None = None) -> RecordedDag:
        """Return the DAG at a place, or that of a prompt."""
        if place is not None:
            return self._dags[place]
        return self.only or self._dags[self._of_prompts[prompt]]

    def add(self, dag: WorkloadDag) -> int:
        """Return the place of a DAG that requests are sent in from now on; raises ValueError for one too many.

        `on_new` is called with a DAG that was not known, as the run lists it.
        """
        for place, known in enumerate(self._known):
            if (known.nodes, known.answer_node, known.prompt_node, known.part) == (
                dag.nodes, dag.answer_node, dag.prompt_node, dag.part,
            ):  # fmt: skip
                return place
        if len(self._known) >= MOST_DAGS:
            raise ValueError(
                f"{MOST_DAGS} DAGs of different shape were sent in this run, and no more can be told apart; send DAGs "
                "that differ in their prompts only, under a few names."
            )
        (listed,) = list_dags([dag], self._known)
        place = self._place_of(listed)
        if self.on_new is not None:
            self.on_new(listed)
        return place

    def _place_of(self, dag: WorkloadDag) -> int:
        if dag not in self._known:
            self._known.append(dag)
            self._dags.append(RecordedDag(dag, self._buffer.place_dag(dag)))
        return self._known.index(dag)
