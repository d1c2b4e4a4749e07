"""Classify answers and record each request."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from msgspec import Raw

from aether_load.dag.sent_dag import MOST_DAGS, WorkloadDag, list_dags
from aether_load.dag.workload import Workload
from aether_load.datasets.answer import LETTERS, parse_letter
from aether_load.datasets.prompt import Prompt
from aether_load.protocol import NodeState, Outcome
from aether_load.response import Execution, SentDag, is_mock_output, read_answer, state_of_missing
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import ABSENT, ANSWER_STATES, LEVEL, NODE, REQUEST, RequestRecord
from aether_load.schedule.order import Work

_UUID_LENGTHS = (32, 36)
_SUCCEEDED = int(NodeState.SUCCEEDED)
_ANSWERED, _UNANSWERED, _MOCK = range(len(ANSWER_STATES))
_SCORED = (_ANSWERED, _UNANSWERED)
_LONGEST_REMEMBERED = 64


class RequestFailed(Exception):
    """Carry the outcome and the reason of a request that did not succeed to Locust's listeners."""


Listener = Callable[[str, int, int, int, RequestFailed | None], None]
"""Gets a request's name, when it was sent and ended (monotonic ns), the answer's bytes, and the failure if any."""


class _Dag:
    """A DAG as the recorder needs it, and its place in the records' table."""

    __slots__ = ("answer_node", "count", "node_ids", "only_node", "place", "sent")

    def __init__(self, dag: WorkloadDag, place: int) -> None:
        self.sent = SentDag.of(dag.nodes, dag.prompt_node)
        self.node_ids = self.sent.node_ids
        self.count = len(self.node_ids)
        self.only_node = self.sent.only_node
        self.answer_node = dag.answer_node
        self.place = place


class Recorder:
    """Turns what became of a request into a record; keeps numbers only.

    An answer is held against the DAG of its own request: that of the request's prompt, or the one that its `dag`
    names, a place that `add_dag` returned.
    """

    def __init__(
        self, buffer: RecordBuffer, workload: Workload, listener: Listener | None = None, *, every: bool = False
    ) -> None:
        """Take the listener of requests that failed, or with `every` of all requests that were sent."""
        self._buffer = buffer
        self._listener = listener
        self._tells_all = every
        self._prompts = list(workload.prompts)
        self._known: list[WorkloadDag] = []
        self._dags: list[_Dag] = []
        self.on_new_dag: Callable[[WorkloadDag], None] | None = None
        self.off_the_record = False
        self.done = 0
        self.failed = 0
        self.expect(workload)

    def expect(self, workload: Workload) -> None:
        """Hold answers from now on against the DAGs of `workload`, which lists their nodes as the run does."""
        places = [self._place_of(dag) for dag in workload.dags]
        self._dag_of_prompt = [places[place] for place in workload.dag_of_prompt]
        self._only_dag = None if self._dag_of_prompt else self._dags[places[0]]
        self._names = workload.name_of_prompt

    def add_prompt(self, prompt: Prompt) -> int:
        """Take a prompt that is none of the workload's, and return its place; it may be of no dataset."""
        self._prompts.append(prompt)
        self._buffer.add_prompts([prompt.id], [prompt.dataset or None])
        return len(self._prompts) - 1

    def add_dag(self, dag: WorkloadDag) -> int:
        """Return the place of a DAG that requests are sent in from now on; raises ValueError for one too many.

        `on_new_dag` is called with a DAG that was not known, as the run lists it.
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
        if self.on_new_dag is not None:
            self.on_new_dag(listed)
        return place

    def _place_of(self, dag: WorkloadDag) -> int:
        if dag not in self._known:
            self._known.append(dag)
            self._dags.append(_Dag(dag, self._buffer.place_dag(dag)))
        return self._known.index(dag)

    def _dag_of(self, prompt: int, place: int | None) -> _Dag:
        if place is not None:
            return self._dags[place]
        return self._only_dag or self._dags[self._dag_of_prompt[prompt]]

    def answered(
        self,
        work: Work,
        sent_ns: int,
        ended_ns: int,
        status: int,
        body: bytes,
        request: bytes = b"",
        prompt: Raw | None = None,
        name: str | None = None,
        dag: int | None = None,
    ) -> tuple[Outcome, str | None, Execution | None]:
        """Record a request that brought a whole HTTP answer, and return what was read; see `read_answer`."""
        sent = self._only_dag if dag is None and self._only_dag is not None else self._dag_of(work[1], dag)
        read = outcome, reason, execution = read_answer(status, body, sent.sent, request, prompt)
        self._record(work, sent_ns, ended_ns, outcome, status, reason, execution, len(body), sent, name)
        return read

    def unanswered(
        self,
        work: Work,
        sent_ns: int,
        ended_ns: int,
        outcome: Outcome,
        reason: str,
        *,
        name: str | None = None,
        dag: int | None = None,
    ) -> None:
        """Record a request that brought no whole answer."""
        self.record(work, sent_ns, ended_ns, outcome, ABSENT, reason, None, 0, name=name, dag=dag)

    def dropped(self, work: Work, reason: str = "no user was free before the load ended") -> None:
        """Record a request that was due and never sent; Locust, which counts what was sent, does not see it."""
        request, prompt, due, phase = work
        buffer = self._buffer
        buffer.add(
            RequestRecord(
                request_index=request,
                due_ns=due or 0,
                prompt=prompt,
                phase=phase,
                worker=buffer.worker,
                error=buffer.errors.place(reason),
                name=buffer.names.place(self._names[prompt]) if self._names else ABSENT,
                dag=self._dag_of(prompt, None).place,
                outcome=Outcome.DROPPED,
            )
        )
        self.done += 1
        self.failed += 1

    def record(
        self,
        work: Work,
        sent_ns: int,
        ended_ns: int,
        outcome: Outcome,
        status: int,
        reason: str | None,
        execution: Execution | None,
        length: int,
        *,
        name: str | None = None,
        dag: int | None = None,
    ) -> None:
        """Record a request that was sent, with what its answer said where that could be read."""
        sent = self._dag_of(work[1], dag)
        self._record(work, sent_ns, ended_ns, outcome, status, reason, execution, length, sent, name)

    def _record(
        self,
        work: Work,
        sent_ns: int,
        ended_ns: int,
        outcome: Outcome,
        status: int,
        reason: str | None,
        execution: Execution | None,
        length: int,
        sent: _Dag,
        name: str | None,
    ) -> None:
        self.done += 1
        if outcome is not Outcome.OK:
            self.failed += 1
        if self.off_the_record:
            return
        request, prompt, due, phase = work
        buffer = self._buffer
        if name is None and self._names:
            name = self._names[prompt]
        named = ABSENT if name is None else buffer.names.place(name)
        error = ABSENT if reason is None else buffer.errors.place(reason)
        if execution is None:
            buffer.add(
                RequestRecord(
                    request, sent_ns if due is None else due, sent_ns, ended_ns,
                    prompt=prompt, length=length, phase=phase, worker=buffer.worker, http_status=status,
                    error=error, name=named, dag=sent.place, outcome=outcome,
                )
            )  # fmt: skip
        else:
            nodes, output = _nodes(execution, sent)
            level_times = execution.level_execution_times_ms or ()
            state, letter, correct = self._score(prompt, output)
            answer = ABSENT if letter is None else buffer.answers.place(letter)
            tokens = execution.total_token_cost
            # In the order of RequestRecord, which takes as long to make as to pack.
            buffer.add_packed(
                prompt,
                REQUEST.pack(
                    request, sent_ns if due is None else due, sent_ns, ended_ns, ABSENT if tokens is None else tokens,
                    execution.total_execution_time_ms, prompt, sent.count, len(level_times), length,
                    phase, buffer.worker, status, answer, error,
                    named, sent.place, outcome, state, correct, _uuid_bytes(execution.execution_id),
                ),
                nodes,
                LEVEL.pack(level_times[0]) if len(level_times) == 1 else b"".join(map(LEVEL.pack, level_times)),
            )  # fmt: skip
        if self._listener is not None and (self._tells_all or outcome is not Outcome.OK):
            failure = None if outcome is Outcome.OK else RequestFailed(f"{outcome.label}: {reason}")
            self._listener(name or self._prompts[prompt].dataset, sent_ns, ended_ns, length, failure)

    def _score(self, prompt: int, output: object) -> tuple[int, str | None, int]:
        """Return the answer's state, its letter, and whether that is right.

        The mock provider's fixed text is no answer at all, neither right nor wrong.
        """
        if output is None:
            return ABSENT, None, ABSENT
        asked = self._prompts[prompt]
        options_total = len(asked.options)
        if isinstance(output, str) and len(output) <= _LONGEST_REMEMBERED:
            state, letter = _remembered(output, options_total)
        else:
            state, letter = _state_and_letter(output, options_total)
        if asked.gold is None or state not in _SCORED:
            return state, letter, ABSENT
        return state, letter, int(letter == LETTERS[asked.gold])


def _state_and_letter(output: object, options_total: int) -> tuple[int, str | None]:
    """Return the state of an answer to a question of so many options, and its letter."""
    if is_mock_output(output):
        return _MOCK, None
    if not options_total:
        return ABSENT, None
    letter = parse_letter(output, options_total) if isinstance(output, str) else None
    return (_UNANSWERED if letter is None else _ANSWERED), letter


# Answers that are a letter recur; what is remembered is bounded in number and in length.
_remembered: Callable[[str, int], tuple[int, str | None]] = lru_cache(maxsize=512)(_state_and_letter)


def _nodes(execution: Execution, dag: _Dag) -> tuple[bytes, object]:
    """Return the nodes packed in the DAG's order, and the output of the one that answers."""
    if dag.only_node is not None and len(execution.results) == 1:
        (only,) = execution.results
        if only.node_id == dag.only_node:
            cached = only.cache_hit
            packed = NODE.pack(only.execution_time_ms, _SUCCEEDED, ABSENT if cached is None else cached)
            return packed, only.output if only.node_id == dag.answer_node else None
    results = {result.node_id: result for result in execution.results}
    answer = None
    nodes = bytearray()
    for node_id in dag.node_ids:
        result = results.get(node_id)
        if result is None:
            nodes += NODE.pack(ABSENT, state_of_missing(execution, node_id), ABSENT)
            continue
        cached = result.cache_hit
        nodes += NODE.pack(result.execution_time_ms, _SUCCEEDED, ABSENT if cached is None else cached)
        if node_id == dag.answer_node:
            answer = result.output
    return bytes(nodes), answer


def _uuid_bytes(text: str) -> bytes:
    """Return the 16 bytes of an execution id, or none when it is not a UUID."""
    if len(text) not in _UUID_LENGTHS:
        return b""
    try:
        raw = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return b""
    return raw if len(raw) == 16 else b""
