from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aether_load.simulator import clock
from aether_load.simulator.clock import Clock
from aether_load.simulator.durations import parse_duration
from aether_load.simulator.engine.engine_v2 import execute_v2
from aether_load.simulator.engine.latency import Latency, parse_latency
from aether_load.simulator.engine.outcomes import NodeFailedError
from aether_load.simulator.engine.provider import Provider, choose_timings
from aether_load.simulator.options import Generation, Options
from aether_load.simulator.runtime_state import RuntimeState
from aether_load.simulator.wire import AnswerV2, Dag, NodeV2, RequestV2
from simulator.simulated import Simulator, llm, raw_request, wait_for

RUN_V1 = {"nodes": [{"id": "a", "node_type": "llm_fn", "prompt": "x", "dependencies": []}]}


def has_in_flight(simulator: Simulator, requests: int) -> bool:
    return bool(simulator.summary()["in_flight"] == requests)


@pytest.mark.parametrize(
    ("text", "seconds"), [("50ms", 0.05), ("1.5s", 1.5), ("2m", 120.0), ("0", 0.0), ("0.0", 0.0), (" 3s ", 3.0)]
)
def test_durations(text: str, seconds: float) -> None:
    """Durations have a unit; only a nought may go without."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1h", "1e3s", "1 s 2", "nan"])
def test_what_is_no_duration(text: str) -> None:
    """Everything else is refused with a sentence that shows the form."""
    with pytest.raises(ValueError, match=r"is no duration; write it like 50ms, 1\.5s or 2m"):
        parse_duration(text)


def test_the_grammar_of_latencies(tmp_path: Path) -> None:
    """Each kind has its parameters, in seconds."""
    trace = tmp_path / "trace"
    trace.write_text("# measured yesterday\n52\n\n0.06s\n 48.5 \n")
    texts = ["constant:50ms", "uniform:10ms,90ms", "normal:50ms, 10ms", "lognormal:50ms,0.5", f"trace:{trace}"]
    assert [parse_latency(text) for text in texts] == [
        Latency("constant", (0.05,)),
        Latency("uniform", (0.01, 0.09)),
        Latency("normal", (0.05, 0.01)),
        Latency("lognormal", (0.05, 0.5)),
        Latency("trace", (0.052, 0.06, 0.0485)),
    ]


@pytest.mark.parametrize(("content", "part"), [("", "has no times"), ("5ms\nsoon\n", "line 2: 'soon' is no duration")])
def test_bad_traces(tmp_path: Path, content: str, part: str) -> None:
    """A trace that is wrong is named with the line."""
    trace = tmp_path / "trace"
    trace.write_text(content)
    with pytest.raises(ValueError, match=part):
        parse_latency(f"trace:{trace}")


@pytest.mark.parametrize("text", ["uniform:10ms,90ms", "normal:50ms,10ms", "lognormal:50ms,0.5"])
def test_draws_are_seeded(text: str) -> None:
    """One seed gives the same draws each time, another gives others; none is below 0."""
    latency = parse_latency(text)

    def draws(seed: int) -> list[float]:
        sampler = latency.sampler(seed)
        return [sampler() for _ in range(1000)]

    assert draws(1) == draws(1) != draws(2)
    assert min(draws(1)) >= 0


def test_the_distributions_are_what_they_are_called() -> None:
    """The median of the lognormal, the bounds of the uniform and the mean of the normal are those given."""
    samples = {}
    for text in ("uniform:10ms,90ms", "normal:50ms,10ms", "lognormal:50ms,0.5"):
        sampler = parse_latency(text).sampler(7)
        samples[text.partition(":")[0]] = sorted(sampler() for _ in range(20_001))
    assert 0.01 <= samples["uniform"][0] <= samples["uniform"][-1] <= 0.09
    assert sum(samples["normal"]) / 20_001 == pytest.approx(0.05, abs=0.001)
    assert samples["lognormal"][10_000] == pytest.approx(0.05, rel=0.03)


def test_a_trace_is_replayed_in_order_over_and_over() -> None:
    """The times come in the order of the file, whatever the seed."""
    sampler = Latency("trace", (0.1, 0.2)).sampler(3)
    assert [sampler() for _ in range(5)] == [0.1, 0.2, 0.1, 0.2, 0.1]


def test_pauses_never_end_early() -> None:
    """A pause lasts at least as long as was asked for, in the clock that times nodes."""

    async def main() -> list[int]:
        clock = Clock()

        async def pause(seconds: float) -> int:
            began = time.monotonic_ns()
            await clock.pause(seconds)
            return time.monotonic_ns() - began - round(seconds * 1e9)

        draws = random.Random(5)
        return await asyncio.gather(*(pause(draws.uniform(0, 0.05)) for _ in range(300)))

    took = asyncio.run(main())
    assert len(took) == 300
    assert min(took) >= 0


def test_a_latency_of_ones_own_is_the_whole_time_of_a_completion(simulate: Callable[..., Simulator]) -> None:
    """With --latency nothing else takes any time: not the guard, which a cached answer waits for, not a function."""
    simulator = simulate(latency="constant:40ms")
    assert simulator.run(llm("a"))["node_execution_times_ms"]["a"] >= 40
    timings = choose_timings(Options(latency=parse_latency("constant:40ms"), token_latency=0.1))
    assert (timings.guard, timings.completion(), timings.function, timings.per_token) == (0.0, 0.04, 0.0, 0.1)


@pytest.mark.parametrize(("generation", "wanted"), [("v1", (0.01, 0.1, 0.1, 0.0)), ("v2", (0.01, 0.05, 0.01, 0.0))])
def test_the_runtimes_own_timing(generation: Generation, wanted: tuple[float, ...]) -> None:
    """Without --latency, guard, completion and function take what they take in the runtime."""
    timings = choose_timings(Options(generation=generation))
    assert (timings.guard, timings.completion(), timings.function, timings.per_token) == wanted


def test_time_for_each_token(simulate: Callable[..., Simulator]) -> None:
    """--token-latency is added for each output token: 50 and a quarter of the input's."""
    simulator = simulate("--token-latency", "1ms")
    (row,) = simulator.run(llm("a", "x" * 160))["results"]
    assert row["output_tokens"] == 60
    assert row["execution_time_ms"] >= 60


def test_a_refusal_waits_for_nothing() -> None:
    """The guard's time is taken after a prompt has passed, and not when it is refused."""
    pauses = []

    class Watch:
        async def pause(self, seconds: float) -> None:
            pauses.append(seconds)

    class NoFaults:
        def on_node(self, _kind: type[Any]) -> None:
            return None

    provider = Provider(Options(), Watch(), NoFaults())  # type: ignore[arg-type]
    asyncio.run(provider.check("harmless"))
    with pytest.raises(NodeFailedError):
        asyncio.run(provider.check("jailbreak"))
    assert pauses == [0.01]


def test_at_latency_0_a_level_does_not_see_its_own_outputs(simulate: Callable[..., Simulator]) -> None:
    """Also where a node is done before the next one begins, its output is there for later levels only."""
    function = {"id": "f", "node_type": "compute"}
    answer = simulate().run(function, llm("a", "{{f}}"), llm("b", "{{f}}", dependencies=["f"]))
    prompts = {row["node_id"]: row.get("rendered_prompt") for row in answer["results"]}
    assert prompts == {"f": None, "a": "{{f}}", "b": "Function f executed"}


def test_in_sequence_a_level_is_taken_in_the_requests_order(simulate: Callable[..., Simulator]) -> None:
    """Nodes behind a failed one are not reached, and see the outputs of those before them."""
    nodes = [{"id": "f", "node_type": "compute"}, llm("a", "{{f}}"), llm("bad", "jailbreak"), llm("c")]
    answer = simulate().run(*nodes, query="?sequential=true")
    assert {row["node_id"]: row.get("rendered_prompt") for row in answer["results"]} == {
        "f": None,
        "a": "Function f executed",
    }
    assert (list(answer["node_status"]), "skipped_nodes" in answer) == (["f", "a", "bad"], False)


def test_slots_make_nodes_queue(simulate: Callable[..., Simulator]) -> None:
    """With one slot, three nodes at once take one, two and three latencies."""
    simulator = simulate("--slots", "1", latency="constant:30ms")
    answer = simulator.run(llm("a", "1"), llm("b", "2"), llm("c", "3"))
    times = [row["execution_time_ms"] for row in answer["results"]]
    assert [row["node_id"] for row in answer["results"]] == ["a", "b", "c"]
    assert all(time >= 30 * place for place, time in enumerate(times, start=1))


def test_a_client_that_goes_gives_its_slot_back(simulate: Callable[..., Simulator]) -> None:
    """A request whose client is gone is dropped, whether it holds a slot or waits for one."""
    simulator = simulate("--slots", "1", latency="constant:10s")
    clients = []
    for number in range(1, 4):
        clients.append(simulator.connect())
        clients[-1].sendall(raw_request({"dag": {"nodes": [llm("a", f"{number}")]}}))
        wait_for(partial(has_in_flight, simulator, number))
    for client in (clients[1], clients[0], clients[2]):
        client.close()
    wait_for(lambda: simulator.summary()["in_flight"] == 0)
    assert simulator.summary()["sent"] == {"client_gone": 3}
    assert simulator.metrics()["aether_executed_nodes_total"] == 0
    assert simulator.run({"id": "f", "node_type": "compute"})["errors"] == []


def test_many_that_take_no_time_can_queue(simulate: Callable[..., Simulator]) -> None:
    """A long queue at latency 0 runs off without end of stack."""
    simulator = simulate("--slots", "1")
    simulator.order({"kind": "stall", "for": "200ms"})
    answer = simulator.run(*(llm(f"n{number}", f"{number}") for number in range(3000)))
    assert (len(answer["results"]), answer["errors"]) == (3000, [])


NODES = 2_000
WIDE = [NodeV2(f"n{number}", "compute") for number in range(NODES)]
CHAIN = [NodeV2(f"n{number}", "compute", dependencies=(f"n{number - 1}",)) for number in range(NODES)]


@pytest.mark.parametrize(
    ("nodes", "sequential", "least_turns"),
    [(WIDE, False, NODES // 100), (WIDE, True, NODES), (CHAIN, False, NODES)],
    ids=["wide", "in sequence", "chain"],
)
def test_work_that_does_not_wait_lets_others_work(
    nodes: list[NodeV2], sequential: bool, least_turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At latency 0, other connections and signals get a turn when one is over, and within a level, every 100 nodes."""
    monkeypatch.setattr(clock, "_TURN_SECONDS", 0.0)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> AnswerV2:
        options = Options(latency=Latency("constant", (0.0,)))
        taking = asyncio.create_task(take_turns())
        state = RuntimeState(options, print, print)
        answer = await execute_v2(state, "id", RequestV2(Dag(tuple(nodes))), [], sequential=sequential)
        taking.cancel()
        return answer

    assert len(asyncio.run(main()).results) == NODES
    assert turns >= least_turns


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_requests_run_side_by_side(simulate: Callable[..., Simulator], generation: str) -> None:
    """Ten requests at once are all under way before the first is answered."""
    simulator = simulate("--generation", generation, latency="constant:60s")
    value = RUN_V1 if generation == "v1" else {"dag": {"nodes": [llm()]}}
    with contextlib.ExitStack() as clients:
        for _ in range(10):
            clients.enter_context(simulator.connect()).sendall(raw_request(value))
        wait_for(lambda: simulator.summary()["in_flight"] == 10)
