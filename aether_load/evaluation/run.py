"""Take an evaluation through its phases, and read server and sender while lm-eval waits."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic_ns, process_time
from typing import Any

import msgspec
import psutil

from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.environment import git_state, machine, versions
from aether_load.evaluation.request_log import RequestLog
from aether_load.evaluation.run_files import RunFiles
from aether_load.evaluation.target import ANSWER_NODE, Target
from aether_load.protocol import NodeShape
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import UTC_FORMAT, ClockPair, Ended, Manifest, PhaseRecord, TargetRecord, WorkerRecord
from aether_load.rundata.process_usage import SenderReading
from aether_load.rundata.scrapes import RawScrape
from aether_load.scenario.command_line.secrets import hidden_command

FLUSH_INTERVAL_S = 0.5
_EVERY_OTHER = 2
_NO_SELF_CHECK = "an evaluation is sent by lm-eval's process, whose own cost is not measured before it"


def now() -> ClockPair:
    """Return this instant on both clocks."""
    return ClockPair(monotonic_ns(), datetime.now(UTC).strftime(UTC_FORMAT))


def _manifest(folder: RunFolder, scenario: dict[str, Any], target: Target, command: Sequence[str]) -> Manifest:
    facts = target.facts
    manifest = Manifest(
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
    manifest.workers = [WorkerRecord(worker=0, pid=os.getpid(), began=manifest.began)]
    return manifest


class EvaluationRun:
    """What an evaluation measured: a phase for each kind of request that lm-eval makes."""

    def __init__(self, folder: RunFolder, scenario: dict[str, Any], target: Target, command: Sequence[str]) -> None:
        self.folder = folder
        self.manifest = _manifest(folder, scenario, target, command)
        self._files = RunFiles(folder, self.manifest)
        self.requests = RequestLog(self._files.buffer, self._files.lock)
        self._target = target
        self._reads_metrics: bool = scenario["target"]["server_metrics"]
        self._process = psutil.Process()
        self._ended = threading.Event()
        self._flusher = threading.Thread(target=self._flush_for_ever, name="aether-load-flush", daemon=True)

    def begin_phase(
        self,
        name: str,
        users: int,
        prompts: Sequence[Prompt],
        identities: Sequence[DatasetIdentity],
        plan: dict[str, Any],
    ) -> int:
        """Read the server at rest and open the phase's window; return the index of the first of its prompts."""
        record = PhaseRecord(name=name, users=users, began=now(), phase=name)
        with self._files.lock:
            first = self.requests.begin_phase(name, prompts)
            self.manifest.phases = [*self.manifest.phases, record]
            self.manifest.datasets = (*self.manifest.datasets, *identities)
            self.manifest.scenario = plan
        self.scrape("before")
        record.window_began_ns = monotonic_ns()
        self.read_sender()
        self._files.save_manifest()
        if not self._flusher.is_alive():
            self._flusher.start()
        return first

    def end_phase(self, ended_by: str) -> None:
        """Shut the window with the last answer in, and read the server at rest again."""
        record = self.manifest.phases[-1]
        if record.ended is not None:
            return
        self.read_sender()
        with self._files.lock:
            record.window_ended_ns = monotonic_ns()
        self.scrape("after")
        record.ended = now()
        record.ended_by = ended_by
        self._files.flush()
        self._files.save_manifest()

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
        with self._files.lock:
            self._files.scrapes.append(scrape)

    def read_sender(self) -> None:
        """Note what this process has taken of CPU and memory so far."""
        resident = self._process.memory_info().rss
        with self._files.lock:
            self._files.sender.append(SenderReading(0, monotonic_ns(), process_time(), resident))

    def close(self, ended_as: Ended) -> None:
        """Write what is left and say how the evaluation ended; raises ResultsError when the disk takes no more."""
        self._ended.set()
        if self._flusher.is_alive():
            self._flusher.join()
        if self.manifest.phases:
            self.end_phase("interrupted")
        self.manifest.ended = now()
        self.manifest.ended_as = ended_as
        self.manifest.workers = [msgspec.structs.replace(self.manifest.workers[0], ended=self.manifest.ended)]
        self._files.close()

    def _flush_for_ever(self) -> None:
        turn = 0
        while not self._ended.wait(FLUSH_INTERVAL_S):
            turn += 1
            if turn % _EVERY_OTHER == 0 and self.manifest.phases[-1].window_ended_ns is None:
                self.scrape("during")
                self.read_sender()
            self._files.flush()
