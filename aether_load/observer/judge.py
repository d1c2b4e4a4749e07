"""Judge one phase of a search from the run's folder."""

from __future__ import annotations

import numpy as np

from aether_load.analysis.phase.open_load import open_load
from aether_load.analysis.phase.rows import build_row
from aether_load.analysis.phase.sender_usage import sender_over
from aether_load.analysis.phase.workers import lost_in
from aether_load.analysis.verdict.conditions import judge_condition
from aether_load.analysis.verdict.warnings import ACHIEVED_BELOW, SATURATED_ABOVE
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.run_data import read_run
from aether_load.scenario.load import from_plain
from aether_load.scenario.threshold import parse_threshold
from aether_load.schedule.search import Judgement


def judge_phase(folder: RunFolder, name: str) -> Judgement:
    """Return whether a phase held every condition of the search that it belongs to.

    Beside those conditions requests must have succeeded, within the scenario's `max_error_rate` where `slo` says
    nothing of errors: a runtime that refuses at once is fast. And the load must have been there: an open load that
    was not sent in full, or a client without CPU left, shows nothing of the runtime under that load.
    """
    manifest = folder.read_manifest()
    record = next(record for record in manifest.phases if record.name == name)
    scenario = from_plain(manifest.scenario)
    plan = next(phase for phase in scenario.phases if phase.name == record.phase)
    data = read_run(folder, manifest, (0,) * len(manifest.node_ids), [record])
    samples = data.phases[0]
    row = build_row("all", samples)
    everything = np.ones(len(samples), np.bool_) & samples.in_window
    conditions = [parse_threshold(condition) for condition in plan.slo]
    findings = [judge_condition(condition, row, samples, everything) for condition in conditions]
    broken = [finding.sentence for finding in findings if finding.state == "broken"]
    undecided = [finding.sentence for finding in findings if finding.state == "undecided"]
    limit = scenario.max_error_rate
    says_nothing_of_errors = all(condition.metric != "error_rate" for condition in conditions)
    if says_nothing_of_errors and row.error_rate is not None and row.error_rate > limit:
        broken.append(f"error_rate<={limit:g} (max_error_rate) is broken: {row.error_rate:g}")
    lost = lost_in(manifest, record)
    sent = open_load(samples, record, worker_lost=bool(lost))
    if sent is not None and sent.achieved_share is not None and sent.achieved_share < ACHIEVED_BELOW:
        broken.append(f"achieved_share>={ACHIEVED_BELOW:g} is broken: {sent.achieved_share:g} of what was due was sent")
    sender = sender_over(data.sender, samples.window_began_ns, samples.window_ended_ns)
    if sender is not None and sender.cpu_share_max > SATURATED_ABOVE:
        broken.append(f"the client itself was saturated: {sender.cpu_share_max:.0%} of a core")
    if lost:
        # Nothing follows from a load that was there in part.
        broken, undecided = [], [f"worker {lost[0].worker} was there for a part of the phase only"]
    return Judgement(
        holds=False if broken else None if undecided else True,
        more_decides=all(finding.value is not None for finding in findings),
        against=tuple(broken or undecided),
        throughput_rps=row.request_throughput_rps,
    )
