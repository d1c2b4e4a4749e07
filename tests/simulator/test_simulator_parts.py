from __future__ import annotations

import pytest

from aether_load.simulator.engine.cache import Cache, CacheKey
from aether_load.simulator.engine.dag import CycleError, DuplicateIdError, levels_of
from aether_load.simulator.engine.metrics import Metrics
from aether_load.simulator.engine.templates import render
from aether_load.simulator.http.fiber import Fiber, gather, suspend
from aether_load.simulator.refusals import BodyReader, BodyRefusedError
from aether_load.simulator.wire import NodeV2, RequestV1, RequestV2, TemplateRef

V1_TEXT = """\
# HELP aether_errors_total Total number of errors
# TYPE aether_errors_total counter
aether_errors_total 0
# HELP aether_executed_nodes_total Total number of executed nodes
# TYPE aether_executed_nodes_total counter
aether_executed_nodes_total 3
# HELP aether_execution_time_seconds Node execution time in seconds
# TYPE aether_execution_time_seconds histogram
aether_execution_time_seconds_bucket{le="0.005"} 1
aether_execution_time_seconds_bucket{le="0.01"} 1
aether_execution_time_seconds_bucket{le="0.025"} 1
aether_execution_time_seconds_bucket{le="0.05"} 2
aether_execution_time_seconds_bucket{le="0.1"} 2
aether_execution_time_seconds_bucket{le="0.25"} 2
aether_execution_time_seconds_bucket{le="0.5"} 2
aether_execution_time_seconds_bucket{le="1"} 2
aether_execution_time_seconds_bucket{le="2.5"} 2
aether_execution_time_seconds_bucket{le="5"} 2
aether_execution_time_seconds_bucket{le="10"} 2
aether_execution_time_seconds_bucket{le="+Inf"} 3
aether_execution_time_seconds_sum 12.05
aether_execution_time_seconds_count 3
# HELP aether_token_cost_total Total simulated token cost
# TYPE aether_token_cost_total counter
aether_token_cost_total 70
"""


def key(prompt):
    return CacheKey(prompt, "m", None, None)


def node(name, *needs):
    return NodeV2(name, "compute", dependencies=needs)


def test_the_exposition():
    """The text is that of the runtime's library: families by name, bounds inclusive, no bare `.0`, no exponent."""
    metrics = Metrics()
    metrics.succeeded(0, 10, cached=False)
    metrics.succeeded(50, 60, cached=True)
    metrics.succeeded(12_000, 0, cached=False)
    assert metrics.exposition(cache=False) == V1_TEXT
    metrics.clear()
    assert metrics.exposition(cache=True) == Metrics().exposition(cache=True)


def test_the_least_recently_used_goes():
    """A look-up and a second put are uses; counts survive clearing and not a restart."""
    cache = Cache(capacity=2)
    cache.put(key("a"), "A")
    cache.put(key("b"), "B")
    assert cache.get(key("a")) == "A"
    cache.put(key("c"), "C")
    assert [cache.get(key(name)) for name in "abc"] == ["A", None, "C"]
    cache.put(key("a"), "A2")
    cache.put(key("d"), "D")
    assert [cache.get(key(name)) for name in "acd"] == ["A2", None, "D"]
    cache.clear()
    assert cache.stats() == {"entries": 0, "hits": 5, "misses": 2, "hit_rate": 5 / 7}
    cache.restart()
    assert cache.stats() == {"entries": 0, "hits": 0, "misses": 0, "hit_rate": 0.0}


def test_levels():
    """A node lies below the deepest of those it needs; the order within a level is the request's."""
    nodes = [node("d", "c", "a"), node("a"), node("c", "a", "a"), node("b", "nowhere")]
    levels, depth = levels_of(nodes)
    assert [[each.id for each in level] for level in levels] == [["a", "b"], ["c"], ["d"]]
    assert depth == {"d": 2, "a": 0, "c": 1, "b": 0}
    assert levels_of([]) == ([], {})


def test_deep_dags_need_no_stack():
    """A chain of ten thousand nodes has ten thousand levels."""
    nodes = [node("0"), *(node(str(n), str(n - 1)) for n in range(1, 10_000))]
    assert len(levels_of(nodes)[0]) == 10_000


@pytest.mark.parametrize(
    ("nodes", "named"),
    [
        ([node("a", "a")], {"a"}),
        ([node("below", "a"), node("a", "b"), node("b", "a")], {"a", "b"}),
        ([node("a"), node("x", "y"), node("y", "z", "a"), node("z", "x"), node("z")], {"x", "y", "z"}),
    ],
)
def test_a_circle_names_a_node_that_lies_on_it(nodes, named):
    """The node that is named is on the circle and not only below it; a circle comes before an id used twice."""
    with pytest.raises(CycleError) as raised:
        levels_of(nodes)
    assert str(raised.value) in {f"Cycle detected in DAG involving node '{name}'" for name in named}


def test_an_id_twice():
    """Two nodes of one id are an error of their own, with dependencies and without."""
    for nodes in ([node("a"), node("a")], [node("a"), node("b", "a"), node("b")]):
        with pytest.raises(DuplicateIdError):
            levels_of(nodes)


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "EOF while parsing a value at line 1 column 1"),
        (b'{"dag":', 400, "EOF while parsing a value at line 1 column 8"),
        (b'{"dag"\n:]}', 400, "expected value at line 2 column 2"),
        (b'{"dag": NaN}', 400, "expected value at line 1 column 12"),
        (b'{"dag": "\xff"}', 400, "invalid unicode code point at line 1 column 12"),
        (b'{"dag": "\\ud800"}', 400, "invalid unicode code point at line 1 column 17"),
        (b'{"dag": 1e999}', 400, "number out of range at line 1 column 14"),
        (b"[" * 100_000, 400, "recursion limit exceeded at line 1 column 128"),
        (b"{}", 422, "missing field `dag` at line 1 column 2"),
        (b"null", 422, "invalid type: null, expected struct ExecuteRequest at line 1 column 4"),
        (b'{"dag": []}', 422, "dag: invalid type: sequence, expected struct Dag at line 1 column 10"),
        (b'{"dag": {"nodes": {}}}', 422, "dag.nodes: invalid type: map, expected a sequence at line 1 column 20"),
        (b'{"dag":\n {"nodes": [\n {"id": "a"}]}}', 422, "dag.nodes[0]: missing field `node_type` at line 3 column 12"),
        (
            b'{"dag": {"nodes": [{"id": "a", "node_type": "compute"}, {"id": true, "node_type": "compute"}]}}',
            422,
            "dag.nodes[1].id: invalid type: boolean `true`, expected a string at line 1 column 67",
        ),
        (
            b'{"dag": {"nodes": [], "metadata": {"constants": {"a": 1}}}}',
            422,
            "dag.metadata.constants.a: invalid type: integer `1`, expected a string at line 1 column 55",
        ),
        (
            b'{"dag": {"nodes": [{"id": "a", "node_type": "x"}]}}',
            422,
            (
                "dag.nodes[0].node_type: unknown variant `x`, expected one of "
                "`llm_fn`, `compute`, `conditional`, `input`, `output` at line 1 column 47"
            ),
        ),
        (
            b'{"dag": {"nodes": [{"id": "a", "node_type": "compute", "max_tokens": 4294967296}]}}',
            422,
            "dag.nodes[0].max_tokens: invalid value: integer `4294967296`, expected u32 at line 1 column 79",
        ),
        (
            b'{"dag": {"nodes": []}, "context": []}',
            422,
            "context: invalid type: sequence, expected a map at line 1 column 36",
        ),
    ],
)
def test_the_words_of_a_refusal(body, status, sentence):
    """A refusal is in the words of the runtime's JSON reader, with path and place."""
    start = {
        400: "Failed to parse the request body as JSON",
        422: "Failed to deserialize the JSON body into the target type",
    }
    with pytest.raises(BodyRefusedError) as raised:
        BodyReader(RequestV2).read(body)
    assert (raised.value.status, str(raised.value)) == (status, f"{start[status]}: {sentence}")


def test_the_words_of_a_refusal_v1():
    """The first generation's reader names the first generation's fields."""
    with pytest.raises(BodyRefusedError, match=r"target type: missing field `nodes` at line 1 column 11$"):
        BodyReader(RequestV1).read(b'{"dag": {}}')
    with pytest.raises(
        BodyRefusedError, match=r"target type: invalid type: integer `5`, expected struct Dag at line 1"
    ):
        BodyReader(RequestV1).read(b"5")


def test_integers_beyond_64_bits_are_floats():
    """A context may hold any integer; a long one loses its last digits when it is filled in, as in the runtime."""
    body = b'{"dag": {"nodes": []}, "context": {"a": [123456789012345678901234567890, 18446744073709551615]}}'
    ref = TemplateRef("{{a}}", "context", path=("a",))
    context = BodyReader(RequestV2).read(body).context
    shown = render("{{a}}", NodeV2("n", "llm_fn", template_refs=(ref,)), context, {})
    assert shown == "[1.2345678901234568e29,18446744073709551615]"


def test_a_fiber_runs_at_once_and_goes_on_when_it_is_resumed():
    """A coroutine runs up to its first wait inside the call that starts it; `done` hears its end."""
    seen, resumes = [], []

    def arm(resume):
        resumes.append(resume)
        return lambda: seen.append("called off")

    async def work(name):
        seen.append(f"{name} begins")
        await suspend(arm)
        seen.append(f"{name} ends")
        if name == "b":
            raise ValueError(name)

    fiber = Fiber(gather([work("a"), work("b"), work("c")]), lambda result, error: seen.append((result, repr(error))))
    fiber.step()
    assert seen == ["a begins", "b begins", "c begins"]
    resumes[0]()
    resumes[1]()
    assert seen[3:] == ["a ends", "b ends", "called off", (None, "ValueError('b')")]


def test_a_cancelled_fiber_is_not_heard_of():
    """Cancelling calls off every wait below, runs `finally`, and tells nobody."""
    seen = []

    async def work(name):
        try:
            await suspend(lambda _resume: lambda: seen.append(f"{name} called off"))
        finally:
            seen.append(f"{name} is over")

    fiber = Fiber(gather([work("a"), work("b")]), lambda *_end: seen.append("done"))
    fiber.step()
    fiber.cancel()
    assert seen == ["a called off", "a is over", "b called off", "b is over"]
