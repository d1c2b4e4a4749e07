"""Judge one probe of a running search from the run's folder."""

from __future__ import annotations

from aether_load.analysis.phase.sender_usage import sender_over
from aether_load.analysis.phase.workers import lost_in
from aether_load.analysis.server.server_process import server_process_over
from aether_load.analysis.verdict.probe import ProbeInputs, judge_probe
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.run_data import read_run
from aether_load.scenario.load import from_plain
from aether_load.schedule.probe import Judgement


def judge_phase(folder: RunFolder, name: str) -> Judgement:
    """Return the judgement on the probe of this name, from the samples and readings in the run's folder."""
    manifest = folder.read_manifest()
    record = next(record for record in manifest.phases if record.name == name)
    scenario = from_plain(manifest.scenario, f"in {folder.manifest}")
    data = read_run(folder, manifest, (0,) * len(manifest.node_ids), [record])
    samples = data.phases[0]
    window = samples.window_began_ns, samples.window_ended_ns
    server, server_reason = server_process_over(data.server, *window)
    lost = lost_in(manifest, record)
    return judge_probe(
        ProbeInputs(
            plan=next(phase for phase in scenario.phases if phase.name == record.phase),
            max_error_rate=scenario.max_error_rate,
            samples=samples,
            record=record,
            sender=sender_over(data.sender, *window),
            server=server,
            server_reason=server_reason,
            lost_worker=lost[0].worker if lost else None,
        )
    )
