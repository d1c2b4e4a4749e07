"""From an answer's bytes to a row of the sample table and an entry in Locust's statistics."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw

from aether_load.dag.workload import Workload
from aether_load.datasets.answer import LETTERS, parse_letter
from aether_load.protocol import NodeState, Outcome
from aether_load.response import Execution, SentDag, is_mock_output, read_answer, state_of_missing
from aether_load.rundata.samples import ABSENT, ANSWER_STATES, SampleBuffer
from aether_load.schedule.order import Work

_SUCCEEDED = int(NodeState.SUCCEEDED)
_ANSWERED, _UNANSWERED, _MOCK = range(len(ANSWER_STATES))


class RequestFailed(Exception):
    """What Locust is told of a request that did not succeed: outcome and reason."""


class Recorder:
    """Classifies answers and books them; keeps numbers only."""

    def __init__(
        self,
        buffer: SampleBuffer,
        workload: Workload,
        tell: Callable[[str, int, int, int, RequestFailed | None], None],
        worker: int = 0,
    ) -> None:
        """Take in `tell` who is told of each request: dataset, sent and ended in ns, bytes, and the failure if any."""
        self._buffer = buffer
        self._tell = tell
        self._worker = worker
        self._prompts = workload.prompts
        self._node_ids = tuple(node.id for node in workload.nodes)
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
        outcome, reason, told = read_answer(status, body, self._dag, request, prompt)
        self.book(work, sent_ns, ended_ns, outcome, status, reason, told, len(body))
        return outcome

    def unanswered(self, work: Work, sent_ns: int, ended_ns: int, outcome: Outcome, reason: str) -> None:
        """Book a request that brought no whole answer."""
        self.book(work, sent_ns, ended_ns, outcome, ABSENT, reason, None, 0)

    def dropped(self, work: Work) -> None:
        """Book a request that was due and never sent; Locust, which counts what was sent, is not told."""
        request, prompt, due, place = work
        buffer = self._buffer
        buffer.add_row(
            request, due or 0, ABSENT, ABSENT, ABSENT, ABSENT, prompt, 0, place, self._worker, ABSENT, ABSENT,
            buffer.errors.place("no user was free before the load ended"), Outcome.DROPPED, ABSENT, ABSENT, b"",
        )  # fmt: skip
        self.done += 1
        self.failed += 1

    def book(
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
        """Book a request that was sent, with what its answer said where that could be read."""
        self.done += 1
        if outcome is not Outcome.OK:
            self.failed += 1
        if self.off_the_record:
            return
        request, prompt, due, place = work
        server_total = tokens = state = correct = ABSENT
        nodes = levels = 0
        letter = None
        identifier = b""
        if execution is not None:
            server_total = execution.total_execution_time_ms
            if execution.total_token_cost is not None:
                tokens = execution.total_token_cost
            identifier = _uuid_bytes(execution.execution_id)
            nodes = len(self._node_ids)
            output = self._book_nodes(execution)
            for time_ms in execution.level_execution_times_ms or ():
                self._buffer.add_level(time_ms)
                levels += 1
            state, letter, correct = self._score(prompt, output)
        buffer = self._buffer
        buffer.add_row(
            request, sent_ns if due is None else due, sent_ns, ended_ns, server_total, tokens, prompt, nodes, place,
            self._worker, status, buffer.answers.place(letter), buffer.errors.place(reason), outcome, state, correct,
            identifier, levels,
        )  # fmt: skip
        failure = None if outcome is Outcome.OK else RequestFailed(f"{outcome.label}: {reason}")
        self._tell(self._prompts[prompt].dataset, sent_ns, ended_ns, length, failure)

    def _book_nodes(self, execution: Execution) -> object:
        """Append the nodes in the DAG's order and return the output of the one that answers."""
        add_node = self._buffer.add_node
        answer = None
        if len(execution.results) == len(self._node_ids) == 1:
            (only,) = execution.results
            if only.node_id == self._node_ids[0]:
                cached = only.cache_hit
                add_node(only.execution_time_ms, _SUCCEEDED, ABSENT if cached is None else cached)
                return only.output if only.node_id == self._answer_node else None
        results = {result.node_id: result for result in execution.results}
        for node_id in self._node_ids:
            result = results.get(node_id)
            if result is None:
                add_node(ABSENT, state_of_missing(execution, node_id), ABSENT)
                continue
            cached = result.cache_hit
            add_node(result.execution_time_ms, NodeState.SUCCEEDED, ABSENT if cached is None else cached)
            if node_id == self._answer_node:
                answer = result.output
        return answer

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
