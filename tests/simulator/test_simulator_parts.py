from __future__ import annotations

import msgspec
import pytest

from aether_load.simulator.engine.cache import Cache, cache_key
from aether_load.simulator.engine.dag import CycleError, DuplicateIdError, levels_of
from aether_load.simulator.engine.metrics import Metrics
from aether_load.simulator.engine.templates import Renderer
from aether_load.simulator.refusals import BodyRefusedError, read_body
from aether_load.simulator.wire import NodeV2, RequestV2, TemplateRef

DECODE_V2 = msgspec.json.Decoder(RequestV2).decode
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


def key(prompt: str) -> bytes:
    return cache_key(prompt, "m", None, None)


def node(name: str, *needs: str) -> NodeV2:
    return NodeV2(name, "compute", dependencies=needs)


def test_the_exposition() -> None:
    """The text is that of the runtime's library: families by name, bounds inclusive, no bare `.0`, no exponent."""
    metrics = Metrics()
    metrics.succeeded(0, 10, cached=False)
    metrics.succeeded(50, 60, cached=True)
    metrics.succeeded(12_000, 0, cached=False)
    assert metrics.exposition(is_v2=False) == V1_TEXT


def test_the_least_recently_used_goes() -> None:
    """A look-up and a second put are uses; counts survive clearing."""
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
    assert Cache().stats() == {"entries": 0, "hits": 0, "misses": 0, "hit_rate": 0.0}


def test_levels() -> None:
    """A node lies below the deepest of those it needs; the order within a level is the request's."""
    nodes = [node("d", "c", "a"), node("a"), node("c", "a", "a"), node("b", "nowhere")]
    levels, depth = levels_of(nodes)
    assert [[each.id for each in level] for level in levels] == [["a", "b"], ["c"], ["d"]]
    assert depth == {"d": 2, "a": 0, "c": 1, "b": 0}
    assert levels_of([]) == ([], {})


def test_deep_dags_need_no_stack() -> None:
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
def test_a_circle_names_a_node_that_lies_on_it(nodes: list[NodeV2], named: set[str]) -> None:
    """The node that is named is on the circle and not only below it; a circle comes before an id used twice."""
    with pytest.raises(CycleError) as raised:
        levels_of(nodes)
    assert str(raised.value) in {f"Cycle detected in DAG involving node '{name}'" for name in named}


def test_an_id_twice() -> None:
    """Two nodes of one id are an error of their own, with dependencies and without."""
    for nodes in ([node("a"), node("a")], [node("a"), node("b", "a"), node("b")]):
        with pytest.raises(DuplicateIdError):
            levels_of(nodes)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b'{"dag":', 400),
        (b'{"dag": NaN}', 400),
        (b'{"dag": {"nodes": []}} x', 400),
        (b'{"dag": {"nodes": []}, "context": {"a": "\xff"}}', 400),
        (b'{"dag": {"nodes": []}, "context": {"a": "\\ud800"}}', 400),
        (b'{"dag": {"nodes": []}, "context": {"a": 1e999}}', 400),
        (b'{"dag": {"nodes": []}, "context": {"a": %b}}' % (b"9" * 5000), 400),
        (b'{"dag": {"nodes": []}, "context": {"a": %b' % (b"[" * 100_000), 400),
        (b"null", 422),
        (b'{"dag": []}', 422),
        (b'{"dag": {"nodes": [], "metadata": {"constants": {"a": 1}}}}', 422),
        (b'{"dag": {"nodes": []}, "context": []}', 422),
    ],
)
def test_refused_bodies(body: bytes, status: int) -> None:
    """What is no JSON is 400, and JSON of another shape is 422."""
    with pytest.raises(BodyRefusedError) as raised:
        read_body(DECODE_V2, body)
    assert raised.value.status == status


def test_integers_beyond_64_bits_are_floats() -> None:
    """A context may hold any integer; a long one loses its last digits when it is filled in, as in the runtime."""
    body = b'{"dag": {"nodes": []}, "context": {"a": [123456789012345678901234567890, 18446744073709551615]}}'
    ref = TemplateRef("{{a}}", "context", path=("a",))
    context = DECODE_V2(body).context
    assert context is not None
    shown = Renderer(context).render("{{a}}", NodeV2("n", "llm_fn", template_refs=(ref,)), {})
    assert shown == "[1.2345678901234568e29,18446744073709551615]"
