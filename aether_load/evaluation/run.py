"""Take an evaluation through its phases, and read server and sender while lm-eval waits."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

import msgspec

from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.environment import git_state, machine, versions
from aether_load.evaluation.request_log import RequestLog
from aether_load.evaluation.run_files import RunFiles
from aether_load.evaluation.target import ANSWER_NODE, Target
from aether_load.observer.scraper import MetricsReader
from aether_load.observer.sender_watch import SenderWatch
from aether_load.protocol import NodeShape
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import Manifest, PhaseRecord, TargetRecord, WorkerRecord, now
from aether_load.scenario.command_line.secrets import hidden_command

FLUSH_INTERVAL_S = 0.5
_EVERY_OTHER = 2
_NO_SELF_CHECK = "an evaluation is sent by lm-eval's process, whose own cost is not measured before it"


def _manifest(folder: RunFolder, scenario: dict[str, Any], target: Target, command: Sequence[str]) -> Manifest:
    manifest = Manifest(
        id=folder.path.name,
        scenario=scenario,
        command=hidden_command(command),
        seed=None,
        target=TargetRecord.of(target.facts),
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
        self._metrics = target.metrics_target() if scenario["target"]["server_metrics"] else None
        self._reader = MetricsReader()
        self._reading = threading.Lock()
        self._sender = SenderWatch(os.getpid())
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
        if self._metrics is None:
            return
        with self._reading:
            raw = self._reader.read(self._metrics, self.manifest.phases[-1].name, role)
        with self._files.lock:
            self._files.scrapes.append(raw)

    def read_sender(self) -> None:
        """Note what this process has taken of CPU and memory so far."""
        reading = self._sender.read()
        if reading is not None:
            with self._files.lock:
                self._files.sender.append(reading)

    def close(self, *, failed: bool) -> None:
        """Write what is left and say how the evaluation ended; raises OSError when the disk takes no more."""
        self._ended.set()
        if self._flusher.is_alive():
            self._flusher.join()
        manifest = self.manifest
        if manifest.phases:
            self.end_phase("interrupted")
        was_interrupted = any(phase.ended_by == "interrupted" for phase in manifest.phases)
        manifest.ended = now()
        manifest.ended_as = "interrupted" if failed or was_interrupted else "completed"
        manifest.workers = [msgspec.structs.replace(manifest.workers[0], ended=manifest.ended)]
        self._files.close()

    def _flush_for_ever(self) -> None:
        turn = 0
        while not self._ended.wait(FLUSH_INTERVAL_S):
            turn += 1
            phase = self.manifest.phases[-1]
            if turn % _EVERY_OTHER == 0 and phase.window_began_ns is not None and phase.window_ended_ns is None:
                self.scrape("during")
                self.read_sender()
            self._files.flush()
