"""Use a random core for a random time, rest, and begin again: a neighbour on the machine that comes and goes.

The program ends when its standard input ends, or after --seconds. Bursts last half a second and pauses one second on
average, both exponential, drawn from --seed.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import sys
import time

_BURST_S, _PAUSE_S = 0.5, 1.0


def main() -> None:
    """Use cores and rest until the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    cores = sorted(os.sched_getaffinity(0))
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        if select.select([sys.stdin], [], [], chance.expovariate(1 / _PAUSE_S))[0]:
            return
        os.sched_setaffinity(0, {chance.choice(cores)})
        burst_end = time.monotonic() + chance.expovariate(1 / _BURST_S)
        while time.monotonic() < burst_end:
            sum(range(1000))


if __name__ == "__main__":
    main()
