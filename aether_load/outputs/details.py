"""Write the rest of a report as text: each phase with datasets, nodes, parts of latency and counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO

import msgspec

from aether_load.analysis.latency.decomposition import parts_of
from aether_load.analysis.latency.part_names import PART_NAMES
from aether_load.outputs import formatting as cells
from aether_load.outputs.probes import probe_header, probe_rows
from aether_load.outputs.table import filled, write_table
from aether_load.text import terminal_text

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.report import Report
    from aether_load.analysis.server.reconciliation import Reconciliation
    from aether_load.analysis.server.server_nodes import ServerNodes
    from aether_load.analysis.statistics.histogram import QuantileInterval
    from aether_load.analysis.verdict.warnings import Warning_

_HEADER = (
    "dataset", "requests", "per s", "p50 ms", "p95 ms", "p99 ms (95 % interval)", "failed", "accuracy", "server",
)  # fmt: skip
_OPEN_HEADER = (
    "dataset", "due", "per s", "service p50", "response p50", "service p99", "response p99 (95 %)", "failed",
    "accuracy", "server",
)  # fmt: skip
_PARTS_HEADER = ("part of response latency", "mean ms", "p50 ms", "p99 ms", "of mean", "of tail", "of variance")
_NODES_HEADER = (
    "node", "level", "succeeded", "other", "mean ms", "p50 ms", "p99 ms", "cached", "of path", "of tail path",
)  # fmt: skip


def write_details(report: Report, out: TextIO) -> None:
    """Write all of a report that its summary leaves out."""
    if report.verdict.reasons:
        out.write("\nreasons for the verdict\n")
        out.writelines(_filled(reason) for reason in report.verdict.reasons)
    write_warnings(_one_of_each_search(report), out)
    if report.self_check is not None:
        check = report.self_check
        out.write(
            f"\nself-check: this client alone takes {check.latency_p50_ms:.2f} ms for an exchange (p99 "
            f"{check.latency_p99_ms:.2f}) and sends up to {check.most_rps:.0f}/s, with its null server on one machine\n"
        )
    for search in report.searches:
        out.write(f"\nsearch {search.name}: the largest load under which {' and '.join(search.slo)}\n")
        write_table([probe_header(search), *probe_rows(search)], out)
    for phase in report.phases:
        if phase.search is None:
            _write_phase(phase, out)
    if report.comparisons:
        out.write("\nrepeated in turns: each repetition's ratio, its median and 95 % interval\n")
        write_table([cells.REPEATS_HEADER, *map(cells.repeat_cells, report.comparisons)], out)
    if rows := cells.worker_rows(report.workers):
        out.write("\nworkers\n")
        write_table([cells.WORKER_HEADER, *rows], out)
    if report.thresholds:
        out.write("\nthresholds\n")
        write_table([cells.THRESHOLD_HEADER, *cells.threshold_rows(report.thresholds)], out)


def _one_of_each_search(report: Report) -> list[Warning_]:
    """Return the warnings, of each code only the first among the probes of a search, with how many more there are."""
    searches = {phase.name: phase.search for phase in report.phases if phase.search is not None}
    found: dict[object, list[Warning_]] = {}
    for place, warning in enumerate(report.warnings):
        search = searches.get(warning.phase or "")
        found.setdefault(place if search is None else (search, warning.code), []).append(warning)
    ending = "{} more of the search's probes have a warning of this code."
    return [
        first if not more else msgspec.structs.replace(first, message=f"{first.message} {ending.format(len(more))}")
        for first, *more in found.values()
    ]


def write_warnings(warnings: Sequence[Warning_], out: TextIO) -> None:
    """Write each code's warnings together, with what to do; nothing where there are none."""
    if not warnings:
        return
    several = len({warning.phase for warning in warnings if warning.phase}) > 1
    out.write("\nwarnings\n")
    for code, mine in sorted(by_code(warnings).items()):
        out.writelines(_filled(f"{code}: {said}") for said in _by_message(mine, several=several))
        out.writelines(_filled(f"  {advice}") for advice in dict.fromkeys(one.advice for one in mine))


def by_code(warnings: Iterable[Warning_]) -> dict[str, list[Warning_]]:
    """Return the warnings of each code together, in the order of the first of them."""
    found: dict[str, list[Warning_]] = {}
    for warning in warnings:
        found.setdefault(warning.code, []).append(warning)
    return found


def _by_message(warnings: Sequence[Warning_], *, several: bool) -> Iterator[str]:
    """Yield each message once, behind the phases that it is of."""
    phases: dict[str, list[str]] = {}
    for warning in warnings:
        phases.setdefault(warning.message, []).extend([warning.phase] if warning.phase else [])
    for message, named in phases.items():
        yield f"({', '.join(named)}) {message}" if several and named else message


_filled = partial(filled, deeper=4)


def _write_phase(phase: PhaseReport, out: TextIO) -> None:
    window = "no window" if phase.window_s is None else f"window of {phase.window_s:.2f} s"
    out.write(f"\nphase {phase.name}: {_load(phase)}, {window}, ended by {phase.ended_by or 'force'}\n\n")
    header = _OPEN_HEADER if phase.load == "open" else _HEADER
    rows = [cells.row_cells(row, header) for row in (*phase.datasets, phase.all)]
    write_table([header, *rows[:-1]], out, last=rows[-1])
    if failures := cells.failures_text(phase.all.outcomes):
        out.write(f"  failed: {failures}\n")
    out.writelines(
        _filled(f"  {error.requests_total} {error.outcome}: {terminal_text(error.text)}") for error in phase.errors
    )
    if phase.iterations:
        out.write("\n")
        write_table([cells.ITERATIONS_HEADER, *map(cells.iteration_cells, phase.iterations)], out)
        out.writelines(
            _filled(f"  {error.iterations_total} x {task.task}: {terminal_text(error.text)}")
            for task in phase.iterations
            for error in task.errors
        )
    if "accuracy" in phase.all.reasons:
        out.write(f"  accuracy: none; {phase.all.reasons['accuracy']}\n")
    if phase.decomposition.requests_total:
        out.write("\n")
        _write_decomposition(phase, out)
    if len(phase.nodes) > 1:
        out.write("\n")
        write_table([_NODES_HEADER, *map(cells.node_cells, phase.nodes)], out)
    out.write("\n")
    _write_server(phase.server, phase.reconciliation, out)
    _write_processes(phase, out)
    _write_holds(phase, out)


def _load(phase: PhaseReport) -> str:
    if phase.open_load is not None:
        target = phase.open_load.target_rps
        asked = "a changing rate" if target is None else f"{target:g} requests/s"
        return f"open load, {asked}, {phase.open_load.achieved_rps:.1f} sent"
    unknown = (
        "users as Locust decided" if "page" in phase.reasons.get("users", "") else "a worker's users gone meanwhile"
    )
    users = {None: unknown, 1: "1 user"}.get(phase.users, f"{phase.users} users")
    return f"{phase.load} load, {users}"


def _write_decomposition(phase: PhaseReport, out: TextIO) -> None:
    parts = phase.decomposition
    always = {"overhead", "node_path", *(["start_delay"] if phase.load == "open" else [])}
    rows = [
        cells.part_cells(name, part) for name, part in parts_of(parts) if part.mean_contribution_ms or name in always
    ]
    write_table([_PARTS_HEADER, *rows], out)
    if any((part.variance_share or 0) < -cells.LEAST_SHARE for _, part in parts_of(parts)):
        out.write("  a negative share of the variance: that part is smaller where latency is larger\n")
    why = phase.reasons.get("tail_sentence")
    out.write(f"  {phase.tail_sentence}\n" if phase.tail_sentence else f"  tail: none; {why}\n")
    if "node_path" in parts.reasons:
        out.write(f"  {PART_NAMES['node_path']}: none; {parts.reasons['node_path']}\n")
    if len(phase.nodes) > 1 and parts.parallel_speedup is not None and parts.parallel_speedup_bound is not None:
        out.write(
            f"  parallel speedup {parts.parallel_speedup:.2f} (all node time by the server's total), of "
            f"{parts.parallel_speedup_bound:.2f} that the dependencies allow\n"
        )


def _write_server(server: ServerNodes | None, reconciliation: Reconciliation, out: TextIO) -> None:
    if server is not None:
        mean = server.node_time_mean_ms
        quantiles = ", ".join(
            f"{name} {_quantile(getattr(server, f'node_time_{name}_ms'))}" for name in ("p50", "p95", "p99")
        )
        out.write(
            f"  server   {server.nodes_total} nodes; node time, ms: mean [{mean.low:.2f}, {mean.high:.2f}), "
            f"{quantiles}\n"
        )
    trust, reason = reconciliation.trust, reconciliation.reason
    counts = f"{reconciliation.answered_nodes_total} nodes answered"
    if reconciliation.counted_nodes_total is None:
        counts += f"; {trust}: {reason}"
    else:
        bounded = f"within bounds: {reason}" if trust == "trusted" and reason is not None else None
        rest = bounded or f"{reconciliation.unexplained_nodes_total} unexplained"
        counts += f", {reconciliation.counted_nodes_total} counted by the server: {trust}, {rest}"
    out.write(f"  counts   {counts}\n")
    for line in reconciliation.lines:
        if line.difference:
            causes = " or ".join(line.causes)
            out.write(
                f"           {line.name}: {line.ours} ours, {line.theirs} by {line.against} ({line.difference:+d}): "
                f"{causes}\n"
            )


def _write_processes(phase: PhaseReport, out: TextIO) -> None:
    sender = "sender" if phase.sender is None or phase.sender.processes_total == 1 else "busiest sender"
    for name, process in ((sender, phase.sender), ("server", phase.server_process)):
        if process is not None:
            out.write(
                f"  machine  {name} {process.cpu_share_mean:.0%} of a core, {process.cpu_share_max:.0%} in its busiest "
                f"second, {process.resident_max_bytes / 1e6:.0f} MB\n"
            )


def _write_holds(phase: PhaseReport, out: TextIO) -> None:
    holds = phase.sender_holds
    if holds.holds_total:
        out.write(
            f"  holds    the sender's event loop was held {holds.holds_total} times, {holds.held_ms_total:.1f} ms in "
            f"all and up to {holds.longest_ms:.1f} ms; {holds.late_requests_total} answers may have been read late, by "
            f"up to {holds.late_max_ms:.1f} ms\n"
        )


def _quantile(interval: QuantileInterval) -> str:
    high = "inf" if interval.high is None else f"{interval.high:g}"
    return f"[{interval.low:g}, {high})"
