"""Classify answers and record each request."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw

from aether_load.dag.workload import Workload
from aether_load.datasets.prompt import Prompt
from aether_load.protocol import NodeState, Outcome
from aether_load.response import Execution, read_answer, state_of_missing
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import ABSENT, LEVEL, NODE, REQUEST, RequestRecord
from aether_load.rundata.records.recorded_dags import RecordedDag, RecordedDags
from aether_load.rundata.records.scoring import score
from aether_load.schedule.order import Work

_UUID_LENGTHS = (32, 36)
_SUCCEEDED = int(NodeState.SUCCEEDED)


class RequestFailed(Exception):
    """Carry the outcome and the reason of a request that did not succeed to Locust's listeners."""


Listener = Callable[[str, int, int, int, RequestFailed | None], None]
"""Gets a request's name, when it was sent and ended (monotonic ns), the answer's bytes, and the failure if any."""


class Recorder:
    """Turns what became of a request into a record; keeps numbers only.

    An answer is held against the DAG of its own request: that of the request's prompt, or the one that its `dag`
    names, a place that `dags.add` returned.
    """

    def __init__(
        self, buffer: RecordBuffer, workload: Workload, listener: Listener | None = None, *, every: bool = False
    ) -> None:
        """Take the listener of requests that failed, or with `every` of all requests that were sent."""
        self._buffer = buffer
        self._listener = listener
        self._tells_all = every
        self._prompts = list(workload.prompts)
        self.dags = RecordedDags(buffer)
        self.off_the_record = False
        self.done = 0
        self.failed = 0
        self.expect(workload)

    def expect(self, workload: Workload) -> None:
        """Hold answers from now on against the DAGs of `workload`, which lists their nodes as the run does."""
        self.dags.expect(workload)
        self._names = workload.name_of_prompt

    def add_prompt(self, prompt: Prompt) -> int:
        """Take a prompt that is none of the workload's, and return its place; it may be of no dataset."""
        self._prompts.append(prompt)
        self._buffer.add_prompts([prompt.id], [prompt.dataset or None])
        return len(self._prompts) - 1

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
        dags = self.dags
        sent = dags.only if dag is None and dags.only is not None else dags.of(work[1], dag)
        read = outcome, reason, execution = read_answer(status, body, sent.sent, request, prompt)
        self.record(work, sent_ns, ended_ns, outcome, status, reason, execution, len(body), name, sent)
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
        self.record(work, sent_ns, ended_ns, outcome, ABSENT, reason, None, 0, name, self.dags.of(work[1], dag))

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
                dag=self.dags.of(prompt).place,
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
        name: str | None = None,
        sent: RecordedDag | None = None,
    ) -> None:
        """Record a request that was sent, with what its answer said where that could be read.

        `sent` is the DAG that it was sent in, None for its prompt's.
        """
        self.done += 1
        if outcome is not Outcome.OK:
            self.failed += 1
        if self.off_the_record:
            return
        request, prompt, due, phase = work
        buffer = self._buffer
        if sent is None:
            sent = self.dags.of(prompt)
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
            state, letter, correct = score(self._prompts[prompt], output)
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


def _nodes(execution: Execution, dag: RecordedDag) -> tuple[bytes, object]:
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
