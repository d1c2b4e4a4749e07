"""Write an evaluation's run folder: the same files as a load's, by a thread while lm-eval waits."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic_ns, process_time
from typing import Any

import msgspec
import psutil

from aether_load.dag.sent_dag import WorkloadDag
from aether_load.dag.workload import Workload
from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.environment import git_state, machine, versions
from aether_load.errors import ResultsError
from aether_load.evaluation.target import ANSWER_NODE, Target
from aether_load.protocol import NodeShape, Outcome
from aether_load.response import Execution
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.json_lines import LineFile
from aether_load.rundata.manifest import UTC_FORMAT, ClockPair, Ended, Manifest, PhaseRecord, TargetRecord, WorkerRecord
from aether_load.rundata.process_usage import SenderReading
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.records.record_set import RecordPart
from aether_load.rundata.records.record_writer import RecordWriter
from aether_load.rundata.records.recorder import Recorder
from aether_load.rundata.scrapes import RawScrape
from aether_load.scenario.command_line.secrets import hidden_command
from aether_load.schedule.order import Work

FLUSH_INTERVAL_S = 0.5
_EVERY_OTHER = 2
_NO_SELF_CHECK = "an evaluation is sent by lm-eval's process, whose own cost is not measured before it"


def now() -> ClockPair:
    """Return this instant on both clocks."""
    return ClockPair(monotonic_ns(), datetime.now(UTC).strftime(UTC_FORMAT))


class EvaluationRun:
    """What an evaluation measured: a phase for each kind of request that lm-eval makes.

    Threads record through one lock, after they have read their clocks, so that no latency includes waiting for it.
    """

    def __init__(self, folder: RunFolder, scenario: dict[str, Any], target: Target, command: Sequence[str]) -> None:
        self.folder = folder
        self._target = target
        self._reads_metrics: bool = scenario["target"]["server_metrics"]
        facts = target.facts
        self.manifest = Manifest(
            id=folder.path.name,
            scenario=scenario,
            command=hidden_command(command),
            seed=None,
            target=TargetRecord(
                url=facts.url,
                kind="simulated" if facts.simulated else "runtime",
                generation=facts.generation,
                server=facts.server,
            ),
            datasets=(),
            node_ids=(ANSWER_NODE,),
            nodes=(NodeShape(ANSWER_NODE),),
            answer_node=ANSWER_NODE,
            began=now(),
            versions=versions(("lm_eval", "urllib3")),
            machine=machine(),
            git=git_state(),
            self_check_reason=_NO_SELF_CHECK,
        )
        self.manifest.workers = [WorkerRecord(worker=0, pid=os.getpid(), began=self.manifest.began)]
        self._lock = threading.RLock()
        self._prompts: list[Prompt] = []
        self._requests = 0
        self._flying: dict[int, tuple[Work, int]] = {}
        self._buffer = RecordBuffer((), ())
        self._records = RecordWriter(self._buffer, folder.records)
        self._recorder: Recorder | None = None
        self._scrapes = LineFile(folder.scrapes)
        self._sender = LineFile(folder.sender)
        self._process = psutil.Process()
        self._refusal: str | None = None
        self._ended = threading.Event()
        self._flusher = threading.Thread(target=self._flush_for_ever, name="aether-load-flush", daemon=True)
        folder.write_manifest(self.manifest)

    def begin_phase(
        self,
        name: str,
        users: int,
        prompts: Sequence[Prompt],
        identities: Sequence[DatasetIdentity],
        plan: dict[str, Any],
    ) -> int:
        """Read the server at rest and open the phase's window; return the index of the first of its prompts."""
        with self._lock:
            first = len(self._prompts)
            self._prompts += prompts
            self._buffer.add_prompts([prompt.id for prompt in prompts], [prompt.dataset for prompt in prompts])
            workload = Workload(
                prompts=tuple(self._prompts),
                bodies=(),
                dags=(WorkloadDag(nodes=self.manifest.nodes, answer_node=ANSWER_NODE),),
                prompt_count=len(self._prompts),
            )
            self._recorder = Recorder(self._buffer, workload)
            record = PhaseRecord(name=name, users=users, began=now(), phase=name)
            self.manifest.phases = [*self.manifest.phases, record]
            self.manifest.datasets = (*self.manifest.datasets, *identities)
            self.manifest.scenario = plan
        self.scrape("before")
        record.window_began_ns = monotonic_ns()
        self.read_sender()
        self.save_manifest()
        if not self._flusher.is_alive():
            self._flusher.start()
        return first

    def end_phase(self, ended_by: str) -> None:
        """Shut the window with the last answer in, and read the server at rest again."""
        record = self.manifest.phases[-1]
        if record.ended is not None:
            return
        self.read_sender()
        with self._lock:
            record.window_ended_ns = monotonic_ns()
        self.scrape("after")
        record.ended = now()
        record.ended_by = ended_by
        self.flush()
        self.save_manifest()

    def began(self, prompt: int, sent_ns: int) -> int:
        """Note a request that goes out for a prompt now, and return its index in the run."""
        with self._lock:
            request = self._requests
            self._requests += 1
            place = self._buffer.phases.place(self.manifest.phases[-1].name)
            self._flying[request] = (request, prompt, None, place), sent_ns
            return request

    def record(
        self,
        request: int,
        sent_ns: int,
        ended_ns: int,
        outcome: Outcome,
        status: int | None,
        reason: str | None,
        execution: Execution | None,
        length: int = 0,
    ) -> None:
        """Record a request by what came of it, once; one that was cancelled before stays that."""
        with self._lock:
            assert self._recorder is not None
            flying = self._flying.pop(request, None)
            if flying is not None:
                code = ABSENT if status is None else status
                self._recorder.record(flying[0], sent_ns, ended_ns, outcome, code, reason, execution, length)

    def cancel(self, reason: str) -> None:
        """Record what is still in flight as cancelled."""
        ended = monotonic_ns()
        with self._lock:
            for request, (_, sent_ns) in list(self._flying.items()):
                self.record(request, sent_ns, ended, Outcome.CANCELLED, None, reason, None)

    def scrape(self, role: str) -> None:
        """Read /metrics once and keep what came, or why nothing did; not where the target is said to have none."""
        if not self._reads_metrics:
            return
        phase = self.manifest.phases[-1].name
        began = now()
        text, error = self._target.metrics()
        scrape = RawScrape(
            phase=phase,
            role=role,
            began_ns=began.monotonic_ns,
            ended_ns=monotonic_ns(),
            began_utc=began.utc,
            text=text,
            error=error,
        )
        with self._lock:
            self._scrapes.append(scrape)

    def read_sender(self) -> None:
        """Note what this process has taken of CPU and memory so far."""
        resident = self._process.memory_info().rss
        with self._lock:
            self._sender.append(SenderReading(0, monotonic_ns(), process_time(), resident))

    def flush(self) -> None:
        """Hand what was measured to the operating system; what a full disk refuses waits for the next try."""
        with self._lock:
            try:
                self._records.write_out()
                self._scrapes.write_out()
                self._sender.write_out()
            except OSError as refusal:
                self._refusal = self._refusal or refusal.strerror

    def save_manifest(self) -> None:
        """Write run.json as it now stands; on a full disk the older one stays until there is room."""
        try:
            self.folder.write_manifest(self.manifest)
        except OSError as refusal:
            self._refusal = self._refusal or refusal.strerror

    def close(self, ended_as: Ended) -> None:
        """Write what is left and say how the evaluation ended; raises ResultsError when the disk takes no more."""
        self._ended.set()
        if self._flusher.is_alive():
            self._flusher.join()
        if self.manifest.phases:
            self.end_phase("interrupted")
        self.flush()
        self.manifest.ended = now()
        self.manifest.ended_as = ended_as
        self.manifest.workers = [msgspec.structs.replace(self.manifest.workers[0], ended=self.manifest.ended)]
        if self._refusal is not None:
            self.manifest.notes.append(f"The disk refused to take more for a while ({self._refusal}).")
        self.manifest.rows_total = {self.folder.records.name: self._buffer.rows_total}
        self.manifest.lines_total = {
            self.folder.scrapes.name: self._scrapes.lines_total,
            self.folder.sender.name: self._sender.lines_total,
        }
        try:
            self._records.finish()
            self._scrapes.write_out()
            self._sender.write_out()
            self.folder.write_manifest(self.manifest)
            if self._refusal is None:
                self._write_samples()
        except OSError as error:
            raise ResultsError(
                f"{self.folder.path} could not be written to the end ({error.strerror}). Make room, then: aether-load "
                f"report {self.folder.path}"
            ) from None
        finally:
            self._records.close()
            self._scrapes.close()
            self._sender.close()

    def _write_samples(self) -> None:
        """Write samples.arrow from the records."""
        # Every start of lm-eval imports this module, and pyarrow is needed only here.
        from aether_load.rundata.samples.samples_arrow import write_samples  # noqa: PLC0415

        write_samples([RecordPart(self.folder.records)], self.folder.samples)

    def _flush_for_ever(self) -> None:
        turn = 0
        while not self._ended.wait(FLUSH_INTERVAL_S):
            turn += 1
            if turn % _EVERY_OTHER == 0 and self.manifest.phases[-1].window_ended_ns is None:
                self.scrape("during")
                self.read_sender()
            self.flush()
