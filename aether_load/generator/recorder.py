"""From an answer's bytes to a row of the sample table and an entry in Locust's statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from aether_load.analysis.samples import ABSENT, ANSWER_STATES, SampleBuffer
from aether_load.protocol import (
    Execution,
    NodeState,
    Outcome,
    classify,
    decode_execution,
    is_mock_output,
    state_of_missing,
)
from aether_load.workload.answer import LETTERS, parse_letter
from aether_load.workload.workload import Workload

_ANSWERED, _UNANSWERED, _MOCK = range(len(ANSWER_STATES))
_READABLE = (Outcome.OK, Outcome.REJECTED, Outcome.NODE_ERROR, Outcome.ABORTED)


class RequestFailed(Exception):
    """What Locust is told of a request that did not succeed: outcome and reason."""


class Recorder:
    """Classifies answers and books them; keeps numbers only."""

    def __init__(
        self, buffer: SampleBuffer, workload: Workload, fire_request: Callable[..., Any], worker: int = 0
    ) -> None:
        self._buffer = buffer
        self._append = buffer.appenders()
        self._fire = fire_request
        self._worker = worker
        self._prompts = workload.prompts
        self._node_ids = workload.node_ids
        self._answer_node = workload.answer_node
        self.phase = 0
        self.done = 0
        self.failed = 0

    def answered(
        self, request: int, prompt: int, due_ns: int, sent_ns: int, ended_ns: int, status: int, body: bytes
    ) -> None:
        """Book a request that brought a whole HTTP answer."""
        if status != 200:
            text = f"HTTP {status}: {body[:200].decode(errors='replace').strip()}"
            self._book(request, prompt, due_ns, sent_ns, ended_ns, Outcome.HTTP_ERROR, status, text, None, len(body))
            return
        try:
            execution = decode_execution(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            text = f"not the contract: {error}"
            self._book(request, prompt, due_ns, sent_ns, ended_ns, Outcome.BAD_ANSWER, status, text, None, len(body))
            return
        outcome, reason = classify(execution, len(self._node_ids))
        told = execution if outcome in _READABLE else None
        self._book(request, prompt, due_ns, sent_ns, ended_ns, outcome, status, reason, told, len(body))

    def unanswered(
        self, request: int, prompt: int, due_ns: int, sent_ns: int, ended_ns: int, outcome: Outcome, reason: str
    ) -> None:
        """Book a request that brought no whole answer."""
        self._book(request, prompt, due_ns, sent_ns, ended_ns, outcome, ABSENT, reason, None, 0)

    def _book(
        self,
        request: int,
        prompt: int,
        due_ns: int,
        sent_ns: int,
        ended_ns: int,
        outcome: Outcome,
        status: int,
        reason: str | None,
        execution: Execution | None,
        length: int,
    ) -> None:
        append = self._append
        append["phase"](self.phase)
        append["worker"](self._worker)
        append["request_index"](request)
        append["prompt"](prompt)
        append["due"](due_ns)
        append["sent"](sent_ns)
        append["ended"](ended_ns)
        append["outcome"](outcome)
        append["status"](status)
        append["error"](self._buffer.errors.place(reason))
        if execution is None:
            append["server_total"](ABSENT)
            append["tokens"](ABSENT)
            append["nodes"](0)
            self._buffer.append_execution_id(None)
            self._book_answer(prompt, None)
        else:
            append["server_total"](execution.total_execution_time_ms)
            append["tokens"](execution.total_token_cost)
            self._buffer.append_execution_id(_uuid_bytes(execution.execution_id))
            self._book_nodes(prompt, execution)
        self.done += 1
        failure = None
        if outcome is not Outcome.OK:
            self.failed += 1
            failure = RequestFailed(f"{outcome.label}: {reason}")
        self._fire(
            request_type="POST",
            name=self._prompts[prompt].dataset,
            response_time=(ended_ns - sent_ns) / 1e6,
            response_length=length,
            exception=failure,
            context={},
            response=None,
        )

    def _book_nodes(self, prompt: int, execution: Execution) -> None:
        append = self._append
        results = {result.node_id: result for result in execution.results}
        append["nodes"](len(self._node_ids))
        for node_id in self._node_ids:
            result = results.get(node_id)
            if result is None:
                append["node_time"](ABSENT)
                append["node_state"](state_of_missing(execution, node_id))
                append["node_cached"](ABSENT)
            else:
                append["node_time"](result.execution_time_ms)
                append["node_state"](NodeState.SUCCEEDED)
                append["node_cached"](ABSENT if result.cache_hit is None else int(result.cache_hit))
        answer = results.get(self._answer_node)
        self._book_answer(prompt, None if answer is None else answer.output)

    def _book_answer(self, prompt: int, output: object) -> None:
        """Score an output; the mock provider's fixed text is no answer at all, neither right nor wrong."""
        append = self._append
        asked = self._prompts[prompt]
        letter = None
        state = correct = ABSENT
        if output is not None and asked.options:
            if is_mock_output(output):
                state = _MOCK
            else:
                letter = parse_letter(output, len(asked.options)) if isinstance(output, str) else None
                state = _UNANSWERED if letter is None else _ANSWERED
                if asked.gold is not None:
                    correct = int(letter == LETTERS[asked.gold])
        append["answer_state"](state)
        append["answer"](self._buffer.answers.place(letter))
        append["correct"](correct)


def _uuid_bytes(text: str) -> bytes | None:
    try:
        raw = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return None
    return raw if len(raw) == 16 else None
