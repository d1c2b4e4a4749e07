"""Drive a search: one probe after the other, each judged before the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic_ns

from aether_load.load.observer_client import JUDGE_LIMIT_S, CommandFailed
from aether_load.load.run import Run
from aether_load.observer import messages as say
from aether_load.rundata.manifest import ProbeRecord, SearchRecord
from aether_load.scenario.stage import SearchPlan, Stage
from aether_load.schedule.probe import Judgement, Probe
from aether_load.schedule.search import Found, Search


def drive_search(run: Run, plan: SearchPlan, drive: Callable[[Sequence[Stage]], None]) -> None:
    """Drive the probes of a search within its time, and keep what comes of it in the manifest."""
    slo = tuple(condition.text for condition in plan.plan.slo)
    record = SearchRecord(name=plan.name, kind=plan.plan.kind, slo=slo, tolerance=plan.plan.tolerance)
    run.manifest.searches.append(record)
    try:
        record.found = _probe(run, plan, record, drive)
    finally:
        run.save_manifest()


def _probe(run: Run, plan: SearchPlan, record: SearchRecord, drive: Callable[[Sequence[Stage]], None]) -> Found:
    search = Search(plan)
    probes = search.probes()
    deadline = monotonic_ns() + plan.plan.time_limit * 1e9
    try:
        probe = next(probes)
        while not record.probes or monotonic_ns() + probe.duration_s * 1e9 <= deadline:
            name = f"{plan.name}-{len(record.probes) + 1}-{probe.load:g}"
            drive([plan.stage(name, probe.load, probe.duration_s)])
            if run.ending.is_set():
                return search.result("stopped")
            judgement = _judge(run, name)
            record.probes.append(_record_of(name, probe, judgement))
            probe = probes.send(judgement)
    except StopIteration as end:
        result: Found = end.value
        return result
    return search.result("out_of_time")


def _judge(run: Run, phase: str) -> Judgement:
    """Have a probe judged; one that could not be judged is undecided. Raises ObserverLost."""
    try:
        judged: say.Judged = run.observer.call(say.Judge(phase=phase), JUDGE_LIMIT_S)
    except CommandFailed as error:
        return Judgement(holds=None, against=(f"the phase could not be judged: {error}",))
    return judged.judgement


def _record_of(phase: str, probe: Probe, judgement: Judgement) -> ProbeRecord:
    return ProbeRecord(
        phase=phase,
        purpose=probe.purpose,
        load=probe.load,
        duration_s=probe.duration_s,
        holds=judgement.holds,
        against=judgement.against,
        limited_by=judgement.limited_by,
        measured=judgement.measured,
    )
