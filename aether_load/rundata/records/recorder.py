"""Classify answers and record each request."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw

from aether_load.dag.workload import Workload
from aether_load.datasets.answer import LETTERS, parse_letter
from aether_load.protocol import NodeState, Outcome
from aether_load.response import Execution, SentDag, is_mock_output, read_answer, state_of_missing
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import ABSENT, ANSWER_STATES, LEVEL, NODE, RequestRecord
from aether_load.schedule.order import Work

_SUCCEEDED = int(NodeState.SUCCEEDED)
_ANSWERED, _UNANSWERED, _MOCK = range(len(ANSWER_STATES))


class RequestFailed(Exception):
    """Carry the outcome and the reason of a request that did not succeed to Locust's listeners."""


Listener = Callable[[str, int, int, int, RequestFailed | None], None]
"""Gets a request's name, when it was sent and ended (monotonic ns), the answer's bytes, and the failure if any."""


class Recorder:
    """Turns what became of a request into a record; keeps numbers only."""

    def __init__(
        self, buffer: RecordBuffer, workload: Workload, listener: Listener | None = None, *, every: bool = False
    ) -> None:
        """Take who is called for each request that failed, or with `every` for all requests that were sent."""
        self._buffer = buffer
        self._listener = listener
        self._tells_all = every
        self._prompts = workload.prompts
        self._node_ids = tuple(node.id for node in workload.nodes)
        self._node_count = len(self._node_ids)
        self._only_node = self._node_ids[0] if self._node_count == 1 else None
        self._answer_node = workload.answer_node
        self._dag = SentDag.of(workload.nodes, workload.prompt_node)
        self.off_the_record = False
        self.done = 0
        self.failed = 0

    def expect(self, workload: Workload) -> None:
        """Hold answers from now on against the DAG of `workload`, whose nodes are among those that samples list."""
        self._answer_node = workload.answer_node
        self._dag = SentDag.of(workload.nodes, workload.prompt_node)

    def answered(
        self,
        work: Work,
        sent_ns: int,
        ended_ns: int,
        status: int,
        body: bytes,
        request: bytes = b"",
        prompt: Raw | None = None,
    ) -> Outcome:
        """Record a request that brought a whole HTTP answer, and return its outcome; see `read_answer`."""
        outcome, reason, execution = read_answer(status, body, self._dag, request, prompt)
        self.record(work, sent_ns, ended_ns, outcome, status, reason, execution, len(body))
        return outcome

    def unanswered(self, work: Work, sent_ns: int, ended_ns: int, outcome: Outcome, reason: str) -> None:
        """Record a request that brought no whole answer."""
        self.record(work, sent_ns, ended_ns, outcome, ABSENT, reason, None, 0)

    def dropped(self, work: Work) -> None:
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
                error=buffer.errors.place("no user was free before the load ended"),
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
    ) -> None:
        """Record a request that was sent, with what its answer said where that could be read."""
        self.done += 1
        if outcome is not Outcome.OK:
            self.failed += 1
        if self.off_the_record:
            return
        request, prompt, due, phase = work
        buffer = self._buffer
        if execution is None:
            buffer.add(
                RequestRecord(
                    request, sent_ns if due is None else due, sent_ns, ended_ns,
                    prompt=prompt, length=length, phase=phase, worker=buffer.worker, http_status=status,
                    error=buffer.errors.place(reason), outcome=outcome,
                )
            )  # fmt: skip
        else:
            nodes, output = self._nodes(execution)
            level_times = execution.level_execution_times_ms or ()
            state, letter, correct = self._score(prompt, output)
            tokens = execution.total_token_cost
            buffer.add(
                RequestRecord(
                    request, sent_ns if due is None else due, sent_ns, ended_ns, ABSENT if tokens is None else tokens,
                    execution.total_execution_time_ms, prompt, self._node_count, len(level_times), length,
                    phase, buffer.worker, status, buffer.answers.place(letter), buffer.errors.place(reason),
                    outcome=outcome, answer_state=state, correct=correct,
                    execution_id=_uuid_bytes(execution.execution_id),
                ),
                nodes,
                b"".join(map(LEVEL.pack, level_times)),
            )  # fmt: skip
        if self._listener is not None and (self._tells_all or outcome is not Outcome.OK):
            failure = None if outcome is Outcome.OK else RequestFailed(f"{outcome.label}: {reason}")
            self._listener(self._prompts[prompt].dataset, sent_ns, ended_ns, length, failure)

    def _nodes(self, execution: Execution) -> tuple[bytes, object]:
        """Return the nodes packed in the DAG's order, and the output of the one that answers."""
        if self._only_node is not None and len(execution.results) == 1:
            (only,) = execution.results
            if only.node_id == self._only_node:
                cached = only.cache_hit
                packed = NODE.pack(only.execution_time_ms, _SUCCEEDED, ABSENT if cached is None else cached)
                return packed, only.output if only.node_id == self._answer_node else None
        results = {result.node_id: result for result in execution.results}
        answer = None
        nodes = bytearray()
        for node_id in self._node_ids:
            result = results.get(node_id)
            if result is None:
                nodes += NODE.pack(ABSENT, state_of_missing(execution, node_id), ABSENT)
                continue
            cached = result.cache_hit
            nodes += NODE.pack(result.execution_time_ms, _SUCCEEDED, ABSENT if cached is None else cached)
            if node_id == self._answer_node:
                answer = result.output
        return bytes(nodes), answer

    def _score(self, prompt: int, output: object) -> tuple[int, str | None, int]:
        """Return the answer's state, its letter, and whether that is right.

        The mock provider's fixed text is no answer at all, neither right nor wrong.
        """
        asked = self._prompts[prompt]
        if output is None:
            return ABSENT, None, ABSENT
        if is_mock_output(output):
            return _MOCK, None, ABSENT
        if not asked.options:
            return ABSENT, None, ABSENT
        letter = parse_letter(output, len(asked.options)) if isinstance(output, str) else None
        correct = ABSENT if asked.gold is None else int(letter == LETTERS[asked.gold])
        return (_UNANSWERED if letter is None else _ANSWERED), letter, correct


def _uuid_bytes(text: str) -> bytes:
    """Return the 16 bytes of an execution id, or none when it is not a UUID."""
    try:
        raw = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return b""
    return raw if len(raw) == 16 else b""
