"""Measure how much of a tail each client adds: ours beside hey, oha, k6, vegeta and FastHttpUser, in turns.

The server answers a v2 answer after 10 ms, is compiled, and says itself how late each answer was; it is checked with
hey first. Closed rates are made by the number of users: 1, 10 and 50 at 10 ms. Open load is Poisson for ours, and at
a constant rate for vegeta and k6. Clients that are not installed are left out. Printed are medians over the rounds and
their ratios to hey in the same round. hey has no open load, so that open load is compared with hey's closed turn at the
same rate. CPU time is that of the sending process alone; that of a compiled program includes its start and end.

A turn in which the server itself was late by more than 0.5 ms at its p99 says more of the machine than of the client:
it is repeated, twice at most, and the quietest counts.

Whether a bar is met is printed beside the figures and decides nothing: the exit code is 0. 127.0.0.1 only; the default
run takes a quarter of an hour on a quiet machine, --quick under a minute.

    python benchmarks/tail.py [--quick] [--rates 100,1000,5000] [--rounds 5] [--seconds 6] [--only NAME,NAME]
        [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from support.fixed_latency import LATENCY_MS, FixedLatencyServer, fixed_latency_server
from support.latency_turns import Load, Turn, fast_http_user, hey, k6, load_of, oha, ours, vegeta
from support.setting import (
    BenchmarkFailed,
    Setting,
    allow_descriptors,
    cores,
    end_children_on_sigterm,
    environment,
    write_json,
    write_one_row,
)
from support.tail_table import HEY, OURS, print_bars, print_table

OPEN_ONLY_RPS = 10_000
"""A rate that is measured as open load only, where all rates are."""
_RATES = (100, 1000, 5000)
_QUICK = {"rates": [1000], "rounds": 1, "seconds": 4.0}
_CHECK_S = 1.0
_MOST_LATENESS_US = 500
_MOST_TRIES = 3


class Client(NamedTuple):
    """A client: how a turn of it is run, the program that must be installed, and the loads that it can make."""

    name: str
    run: Callable[[Setting, Load], Turn]
    program: str | None = None
    closed: bool = True
    open: bool = False

    @property
    def is_installed(self) -> bool:
        """Tell whether it can be run."""
        return self.program is None or shutil.which(self.program) is not None


CLIENTS = (
    Client(OURS, ours, open=True),
    Client(HEY, hey, "hey"),
    Client("oha", oha, "oha"),
    Client("k6", k6, "k6", open=True),
    Client("vegeta", vegeta, "vegeta", closed=False, open=True),
    Client("FastHttpUser", fast_http_user),
)


def main() -> None:
    """Measure and print; with --json write the rounds too."""
    arguments = _arguments()
    end_children_on_sigterm()
    clients = [client for client in CLIENTS if arguments.only is None or client.name in arguments.only]
    absent = [client.name for client in clients if not client.is_installed]
    clients = [client for client in clients if client.is_installed]
    loads = [load for load in _loads(arguments.rates) if any(_takes(client, load) for client in clients)]
    if not loads:
        raise BenchmarkFailed(f"not installed: {', '.join(absent)}; nothing was measured")
    allow_descriptors(2 * max(load.users for load in loads) + 500)
    turns: dict[Load, dict[str, list[Turn]]] = {
        load: {client.name: [] for client in clients if _takes(client, load)} for load in loads
    }
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        folder = Path(name)
        body = write_one_row(folder)
        with fixed_latency_server(folder, cores()[0]) as server:
            about = environment(server.name)
            print(f"server: {server.name}; load average {about['load_average']}", flush=True)
            setting = Setting(server.url, server.counts, body, folder, None, 1, arguments.seconds)
            checked = _check(setting, server)
            for number in range(arguments.rounds):
                # Another client begins each round, so that none always follows the same one.
                first = number % len(clients)
                for load, of_load in turns.items():
                    for client in (*clients[first:], *clients[:first]):
                        if client.name in of_load:
                            of_load[client.name].append(_turn(client, setting, load, server))
    about |= {"load_average_after": [round(load, 2) for load in os.getloadavg()], "not_installed": absent}
    print_table(turns)
    print(f"not installed: {', '.join(absent)}" if absent else "every client is installed")
    if any(client.name == OURS for client in clients):
        print_bars(turns)
    rounds = [{**load._asdict(), "turns": of_load} for load, of_load in turns.items()]
    write_json(arguments.json, about | {"check": checked, "loads": rounds})


def _arguments() -> argparse.Namespace:
    names = [client.name for client in CLIENTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of one rate, for CI")
    parser.add_argument(
        "--rates",
        type=lambda text: [int(part) for part in text.split(",")],
        default=list(_RATES),
        metavar="N,N",
        help="requests a second (default: 100,1000,5000, and 10000 as open load)",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--only", metavar="NAME,NAME", type=lambda text: text.split(","), help=", ".join(names))
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if unknown := set(arguments.only or ()) - set(names):
        parser.error(f"--only: no client {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if arguments.quick:
        vars(arguments).update(_QUICK)
    if min(arguments.rates) < 1 or arguments.rounds < 1 or arguments.seconds <= 0:
        parser.error("--rates, --rounds and --seconds must be above zero")
    return arguments


def _loads(rates: Sequence[int]) -> list[Load]:
    closed = [load_of(rate, LATENCY_MS, is_open=False) for rate in rates]
    open_rates = [*rates, OPEN_ONLY_RPS] if tuple(rates) == _RATES else rates
    # hey's turns at these rates are what open load is compared with.
    closed += [load_of(rate, LATENCY_MS, is_open=False) for rate in open_rates if rate not in rates]
    return closed + [load_of(rate, LATENCY_MS, is_open=True) for rate in open_rates]


def _takes(client: Client, load: Load) -> bool:
    if load.rate_rps == OPEN_ONLY_RPS and not load.is_open:
        return client.name == HEY
    return client.open if load.is_open else client.closed


def _check(setting: Setting, server: FixedLatencyServer) -> dict[str, Any]:
    """Print what hey, or our client where there is no hey, and the server itself say of an easy load."""
    name, run = (HEY, hey) if shutil.which("hey") else (OURS, ours)
    load = load_of(1000, LATENCY_MS, is_open=False)
    server.lateness()
    turn = run(replace(setting, seconds=_CHECK_S), load)
    lateness = server.lateness()
    p99 = "not known" if turn["p99_ms"] is None else f"{turn['p99_ms']:.1f} ms"
    print(
        f"check by {name}, {load.users} users: p50 {turn['p50_ms']:.1f} ms, p99 {p99}; the server's own lateness: p99 "
        f"{lateness.p99_us} us, at most {lateness.max_us} us",
        flush=True,
    )
    return {"client": name, **turn, "server_lateness": asdict(lateness)}


def _turn(client: Client, setting: Setting, load: Load, server: FixedLatencyServer) -> Turn:
    """Return a client's turn; one in which the machine held up the server itself is repeated, whoever's it is."""
    tries: list[tuple[int, Turn]] = []
    while len(tries) < _MOST_TRIES:
        server.lateness()
        turn = client.run(setting, load)
        if not turn["requests"]:
            raise BenchmarkFailed(f"{client.name} had no request answered ({load.name})")
        lateness = server.lateness()
        assert lateness.p99_us is not None  # it has answered
        tries.append((lateness.p99_us, turn | {"server_lateness": asdict(lateness)}))
        if lateness.p99_us <= _MOST_LATENESS_US:
            break
    _, quietest = min(tries, key=itemgetter(0))
    return quietest | {"tries": len(tries)}


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
