"""The metrics: families, buckets, and what is counted when."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contract.contract_runtime import Runtime

BUCKETS = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
HISTOGRAM = "aether_execution_time_seconds"
BOTH = {
    "aether_executed_nodes_total": "counter",
    "aether_token_cost_total": "counter",
    "aether_errors_total": "counter",
    HISTOGRAM: "histogram",
}
ONLY_V2 = {
    "aether_cache_hits_total": "counter",
    "aether_cache_misses_total": "counter",
    "aether_parallel_nodes": "gauge",
}


def bucket(bound: str) -> str:
    return f'{HISTOGRAM}_bucket{{le="{bound}"}}'


def difference(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in after.items() if value != before[name]}


def test_the_families_and_their_types(runtime: Runtime) -> None:
    """The exposition has exactly the contract's families, each with its type, in plain text."""
    reply = runtime.call("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    types = [line.split()[2:] for line in reply.text.splitlines() if line.startswith("# TYPE ")]
    assert dict(types) == (BOTH if runtime.generation == "v1" else BOTH | ONLY_V2)
    assert reply.text.endswith("\n")


def test_the_buckets(runtime: Runtime) -> None:
    """The histogram has the contract's buckets in order, cumulative, and +Inf is the count."""
    runtime.run(runtime.function("f"))
    text = runtime.call("GET", "/metrics").text
    lines = [line for line in text.splitlines() if line.startswith(f"{HISTOGRAM}_bucket")]
    assert [line.split(" ")[0] for line in lines] == [bucket(bound) for bound in BUCKETS]
    counts = [float(line.split(" ")[1]) for line in lines]
    assert counts == sorted(counts)
    assert counts[-1] == runtime.metrics()[f"{HISTOGRAM}_count"] > 0


def test_what_succeeds_is_counted_exactly(runtime: Runtime) -> None:
    """Counters, sum and buckets grow by exactly what the answer says, in whole milliseconds."""
    before = runtime.metrics()
    answer = runtime.run(runtime.llm("a"), runtime.function("f"), runtime.llm("b"))
    after = runtime.metrics()
    times = [result["execution_time_ms"] for result in answer["results"]]
    grown = {name: after[name] - before[name] for name in after}
    assert len(times) == 3
    assert grown["aether_executed_nodes_total"] == 3
    assert grown["aether_token_cost_total"] == answer["total_token_cost"]
    assert grown["aether_errors_total"] == 0
    assert grown[f"{HISTOGRAM}_count"] == 3
    assert round(grown[f"{HISTOGRAM}_sum"] * 1000, 6) == sum(times)
    for bound in BUCKETS:
        assert grown[bucket(bound)] == sum(time / 1000 <= float(bound) for time in times)


def test_what_fails_is_only_an_error(runtime: Runtime) -> None:
    """A failed node counts as an error, and stands neither in the histogram nor among the executed."""
    before = runtime.metrics()
    answer = runtime.run(runtime.llm("a", "a jailbreak"))
    grown = difference(before, runtime.metrics())
    grown.pop("aether_parallel_nodes", None)
    assert len(answer["errors"]) == 1
    assert grown == {"aether_errors_total": 1}


def test_a_refused_body_is_not_counted(runtime: Runtime) -> None:
    """What is refused at the door changes no metric."""
    before = runtime.metrics()
    runtime.post({})
    assert difference(before, runtime.metrics()) == {}


def test_a_cycle_is_an_error(v2: Runtime) -> None:
    """A DAG with a cycle counts as one error."""
    before = v2.metrics()
    v2.run(v2.function("a", dependencies=["b"]), v2.function("b", dependencies=["a"]))
    assert difference(before, v2.metrics()) == {"aether_errors_total": 1}


def test_a_panic_is_not_an_error(v2: Runtime) -> None:
    """A node that panics counts nowhere."""
    before = v2.metrics()
    answer = v2.run(v2.llm("a", "x" * 99 + "é jailbreak"))
    grown = difference(before, v2.metrics())
    grown.pop("aether_parallel_nodes", None)
    assert answer["errors"][0].startswith("Task execution panicked: ")
    assert grown == {}


def test_hits_and_misses_by_node(v2: Runtime) -> None:
    """Of the nodes that succeeded, the cached are hits, and all others misses, functions too."""
    node = v2.llm("a")
    v2.run(node)
    before = v2.metrics()
    v2.run(node, v2.function("f"), v2.llm("b"))
    grown = difference(before, v2.metrics())
    assert (grown["aether_cache_hits_total"], grown["aether_cache_misses_total"]) == (1, 2)


def test_the_width_of_the_last_level(v2: Runtime) -> None:
    """The gauge is the width of the level that began last, and 1 in sequential mode."""
    widths = []
    wide = [v2.function(name) for name in "abc"]
    for nodes, query in ((wide, ""), ([*wide, v2.function("d", dependencies=["a"])], ""), (wide, "?sequential=true")):
        v2.run(*nodes, query=query)
        widths.append(v2.metrics()["aether_parallel_nodes"])
    assert widths == [3, 1, 1]
