"""Record the requests of an evaluation, from the threads that send them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import monotonic_ns

from aether_load.dag.sent_dag import WorkloadDag
from aether_load.dag.workload import Workload
from aether_load.datasets.prompt import Prompt
from aether_load.evaluation.target import ANSWER_NODE, Exchange
from aether_load.protocol import NodeShape, Outcome
from aether_load.response import Execution
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.recorder import Recorder
from aether_load.schedule.order import Work

_DAG = WorkloadDag(nodes=(NodeShape(ANSWER_NODE),), answer_node=ANSWER_NODE)


class RequestLog:
    """Records each request once, by what came of it.

    Threads record through one lock; the clock of a request starts inside it and stops before it, so that no latency
    includes waiting for it.
    """

    def __init__(self, buffer: RecordBuffer, lock: threading.RLock) -> None:
        self._buffer = buffer
        self._lock = lock
        self._prompts: list[Prompt] = []
        self._phase = ""
        self._requests = 0
        self._flying: dict[int, tuple[Work, int]] = {}
        self._recorder: Recorder | None = None

    def begin_phase(self, name: str, prompts: Sequence[Prompt]) -> int:
        """Take the requests that follow for a phase's; return the index of the first of its prompts."""
        with self._lock:
            first = len(self._prompts)
            self._prompts += prompts
            self._phase = name
            self._buffer.add_prompts([prompt.id for prompt in prompts], [prompt.dataset for prompt in prompts])
            workload = Workload(prompts=tuple(self._prompts), bodies=(), dags=(_DAG,), prompt_count=len(self._prompts))
            self._recorder = Recorder(self._buffer, workload)
            return first

    def began(self, prompt: int) -> int:
        """Note a request that goes out for a prompt now, and return its index in the run."""
        with self._lock:
            request = self._requests
            self._requests += 1
            work = request, prompt, None, self._buffer.phases.place(self._phase)
            self._flying[request] = work, monotonic_ns()
            return request

    def record(
        self, request: int, ended_ns: int, exchange: Exchange, body: bytes
    ) -> tuple[Outcome, str | None, Execution | None]:
        """Record a request by what came of it, and return that; one that was cancelled before stays cancelled."""
        with self._lock:
            assert self._recorder is not None
            if request not in self._flying:
                return Outcome.CANCELLED, None, None
            work, sent_ns = self._flying.pop(request)
            if exchange.status is not None:
                return self._recorder.answered(work, sent_ns, ended_ns, exchange.status, exchange.body, body)
            assert exchange.failure is not None
            self._recorder.unanswered(work, sent_ns, ended_ns, exchange.failure, exchange.reason)
            return exchange.failure, exchange.reason, None

    def cancel(self, reason: str) -> None:
        """Record what is still in flight as cancelled."""
        ended_ns = monotonic_ns()
        with self._lock:
            assert self._recorder is not None
            for work, sent_ns in self._flying.values():
                self._recorder.unanswered(work, sent_ns, ended_ns, Outcome.CANCELLED, reason)
            self._flying.clear()
