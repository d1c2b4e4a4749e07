"""Print what `accuracy.py` found, and judge it by the bar."""

from __future__ import annotations

from typing import Any

BAR_MS = 2.0
HALF_LOAD = (0.4, 0.6)
"""CPU shares of the busier side that count as half."""
MOST_WAITED = 0.03
"""The largest share of waiting for a core of a load that is judged."""
STALL_STEP_MS = 20.0
"""How much later than its end the simulator's pauses may notice that a stall is over."""


def print_table(about: dict[str, Any], loads: list[dict[str, Any]], stall: dict[str, Any], wrong: list[str]) -> None:
    print(f"{about['server']}; load average before and after: {about['load_average']}, {about['load_average_after']}")
    if about["one_core"]:
        print("server and client share the machine's only core")
    print("added: our service latency less the server's own time (its record's end_ns - arrival_ns), ms")
    print(
        f"{'load':>10} {'samples':>8} {'record':>8} {'per s':>6} {'client CPU':>10} {'waiting':>7} "
        f"{'server CPU':>10} {'waiting':>7} "
        f"{'min':>6} {'p50':>6} {'p99 (95 % interval)':>22} {'max':>7} {'there p99':>9} {'back p99':>9} {'wrong':>6}"
    )
    for row in (*loads, stall):
        added = row["added_ms"]
        interval = f"{added['p99']:.2f} [{_ms(added['p99_low'])}, {_ms(added['p99_high'])}]"
        name = f"{row['users']} users" if row is not stall else "stall"
        print(
            f"{name:>10} {row['counts']['samples']:8d} {row['counts']['recorded']:8d} {row['requests_per_s']:6.0f} "
            f"{_share(row['client_cpu_share_mean']):>10} {_share(row['client_waited_share']):>7} "
            f"{_share(row['server_cpu_share']):>10} {_share(row['server_waited_share']):>7} {added['min']:6.3f} "
            f"{added['p50']:6.2f} {interval:>22} {added['max']:7.1f} {row['there_p99_ms']:9.2f} "
            f"{row['back_p99_ms']:9.2f} {len(row['wrong']):6d}"
        )
    _print_bar(loads)
    print(
        f"stall of {stall['stall_s']:g} s, {stall['users']} closed users: {stall['caught']} requests waited in it, "
        f"{stall['caught_there']} by the record ({stall['caught_share']:.2%} of all); "
        f"{stall['slower_than_half_the_stall']} slower than half of it"
    )
    print(
        f"  nothing ended for {stall['nothing_ended_for_ms']:.1f} ms; slowest {stall['max_ms']:.1f} ms here, "
        f"{stall['max_there_ms']:.1f} there; by theory up to {stall['stall_s'] * 1000 + stall['latency_ms']:.0f} ms, "
        f"and up to {STALL_STEP_MS:.0f} until the simulator's pauses notice; without it p50 "
        f"{stall['ordinary_p50_ms']:.1f} ms"
    )
    print(f"WRONG: {', '.join(wrong)}" if wrong else "every count, value and order is right")


def _print_bar(loads: list[dict[str, Any]]) -> None:
    """Judge the load in which the busier side's CPU share is nearest to a half by the bar."""
    judged = [(max(row["client_cpu_share_mean"], row["server_cpu_share"]), row) for row in loads if _is_judged(row)]
    if not judged:
        print("bar: not judged, because every load had to wait for a core or its CPU shares are not known")
        return
    share, nearest = min(judged, key=lambda pair: abs(pair[0] - 0.5))
    p99 = nearest["added_ms"]["p99"]
    verdict = "met" if p99 < BAR_MS else "missed"
    if not HALF_LOAD[0] <= share <= HALF_LOAD[1]:
        verdict += ", not at half load: choose other --users"
    print(
        f"bar: p99 of added below {BAR_MS:g} ms at half load: {p99:.2f} ms, of it back {nearest['back_p99_ms']:.2f}, "
        f"at {share:.0%} of the busier core ({nearest['users']} users): {verdict}"
    )


def _is_judged(row: dict[str, Any]) -> bool:
    """Tell whether the CPU shares of a load are known and neither side had to wait for a core."""
    waited = max(row["client_waited_share"] or 0.0, row["server_waited_share"] or 0.0)
    known = row["client_cpu_share_mean"] is not None and row["server_cpu_share"] is not None
    return known and waited < MOST_WAITED


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
