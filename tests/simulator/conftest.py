from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from simulator.simulated import Simulator, SimulatorProcess


@pytest.fixture
def simulate() -> Iterator[Callable[..., Simulator]]:
    """Start simulators in threads; each is ended after the test, and nothing went wrong in it."""
    started: list[Simulator] = []

    def start(*flags: str, latency: str | None = "constant:0") -> Simulator:
        started.append(Simulator(*flags, *(["--latency", latency] if latency else [])))
        return started[-1]

    yield start
    assert [simulator.close() for simulator in started] == [[]] * len(started)


@pytest.fixture
def start_process() -> Iterator[Callable[..., SimulatorProcess]]:
    """Start simulators in processes; each is ended after the test and has printed nothing on standard error."""
    started: list[SimulatorProcess] = []

    def start(*flags: str, latency: str = "constant:0") -> SimulatorProcess:
        started.append(SimulatorProcess("--latency", latency, *flags))
        return started[-1]

    yield start
    assert [simulator.close() for simulator in started] == [""] * len(started)


@pytest.fixture(scope="module")
def quick() -> Iterator[Simulator]:
    """One simulator of today's generation at latency 0 for a whole module."""
    simulator = Simulator("--latency", "constant:0")
    yield simulator
    assert simulator.close() == []


@pytest.fixture
def tame(quick: Simulator) -> Iterator[Simulator]:
    """The module's simulator, without faults before and after the test."""
    quick.call("DELETE", "/_sim/faults")
    yield quick
    quick.call("DELETE", "/_sim/faults")
