"""Judge one probe of a running search in a process of its own (`python -m aether_load.observer.judge FOLDER PHASE`).

The analysis imports NumPy and pyarrow, which the sending process must not. The judgement is written to standard
output as JSON.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from aether_load.analysis.phase.sender_usage import sender_over
from aether_load.analysis.phase.workers import lost_in
from aether_load.analysis.server.server_process import server_process_over
from aether_load.analysis.verdict.probe import ProbeInputs, judge_probe
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.lines import read_lines
from aether_load.rundata.process_usage import SenderReading, ServerReading
from aether_load.rundata.sample_reader import sample_parts
from aether_load.rundata.table_reader import read_phases
from aether_load.scenario.load import from_plain
from aether_load.schedule.probe import Judgement


def judge_phase(folder: RunFolder, name: str) -> Judgement:
    """Return the judgement on the probe of this name, from the samples and readings in the run's folder."""
    manifest = folder.read_manifest()
    record = next(record for record in manifest.phases if record.name == name)
    scenario = from_plain(manifest.scenario)
    datasets = [identity.name for identity in manifest.datasets]
    read = read_phases(sample_parts(folder, manifest), [record], datasets, (0,) * len(manifest.node_ids))
    samples = read.phases[0]
    window = samples.window_began_ns, samples.window_ended_ns
    server, server_reason = server_process_over(read_lines(folder.server, ServerReading), *window)
    lost = lost_in(manifest, record)
    return judge_probe(
        ProbeInputs(
            plan=next(phase for phase in scenario.phases if phase.name == record.phase),
            max_error_rate=scenario.max_error_rate,
            samples=samples,
            record=record,
            sender=sender_over(read_lines(folder.sender, SenderReading), *window),
            server=server,
            server_reason=server_reason,
            lost_worker=lost[0].worker if lost else None,
        )
    )


def main() -> int:
    """Judge the phase that the arguments name."""
    folder, name = sys.argv[1:]
    sys.stdout.buffer.write(msgspec.json.encode(judge_phase(RunFolder(Path(folder)), name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
