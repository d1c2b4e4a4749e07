"""What it costs to read and check one answer of a DAG of one node, beside decoding and classifying it alone.

In a tight loop, where everything is warm, and once after half a second of idling, as it is in a load of few requests.
Cold figures vary by a factor of two from one moment to the next; take the medians of several runs.

    python benchmarks/reading_answers.py [--rounds 200] [--cold 20] [--prompt-bytes 1500] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from support.setting import write_json

from aether_load.protocol import DagRequest, Generation, LlmNode, NodeShape, Outcome, encode_request
from aether_load.response import SentDag, read_answer, sent_prompt

_LOOP = 500
_IDLE_S = 0.5


class _Result(msgspec.Struct, gc=False):
    node_id: str
    execution_time_ms: int
    output: Any = None
    token_cost: int = 0
    cache_hit: bool | None = None


class _Status(msgspec.Struct, gc=False):
    state: str


class _Execution(msgspec.Struct):
    execution_id: str
    total_execution_time_ms: int
    total_token_cost: int = 0
    results: list[_Result] = []
    errors: list[str] = []
    aborted: bool = False
    node_status: dict[str, _Status] = {}
    level_execution_times_ms: list[int] | None = None


_READABLE = (Outcome.OK, Outcome.REJECTED, Outcome.NODE_ERROR, Outcome.ABORTED)
_decode = msgspec.json.Decoder(_Execution).decode


def main() -> None:
    """Measure and print; with --json write the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--cold", type=int, default=20)
    parser.add_argument("--prompt-bytes", type=int, default=1500)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.cold, arguments.prompt_bytes) < 1:
        parser.error("--rounds, --cold and --prompt-bytes must be above zero")
    ways = _ways(arguments.prompt_bytes)
    warm = _warm(ways, arguments.rounds)
    cold = {name: _cold(read, arguments.cold) for name, read in ways.items()}
    first = next(iter(ways))
    print(f"{'':34} {'warm, ns':>9} {'ratio':>6} {'cold, us':>9}")
    for name in ways:
        print(f"{name:34} {warm[name]:9.0f} {warm[name] / warm[first]:6.2f} {cold[name]:9.1f}")
    write_json(arguments.json, {"warm_ns": warm, "cold_us": cold})


def _ways(prompt_bytes: int) -> dict[str, Callable[[], object]]:
    prompt = ("Which ending completes the text best?\n" * (prompt_bytes // 38 + 1))[:prompt_bytes]
    body = encode_request(DagRequest("f", (LlmNode("answer", prompt, "gpt-4o-mini"),)), Generation.V2)
    request = b"POST /execute HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + body
    answer = _answer(prompt)
    repeating, plain = SentDag.of([NodeShape("answer")], "answer"), SentDag.of([NodeShape("answer")])
    known = sent_prompt(request, "answer")

    return {
        "decoded and classified": lambda: _read_unchecked(200, answer, 1),
        "read_answer, no prompt compared": lambda: read_answer(200, answer, plain),
        "read_answer, prompt prepared": lambda: read_answer(200, answer, repeating, request, known),
        "read_answer, prompt looked up": lambda: read_answer(200, answer, repeating, request),
    }


def _read_unchecked(status: int, body: bytes, nodes_sent: int) -> tuple[Outcome, str | None, _Execution | None]:
    """Read an answer as it was read before its numbers, nodes and prompt were checked."""
    if status != 200:
        return Outcome.HTTP_ERROR, "", None
    try:
        execution = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Outcome.INVALID_RESPONSE, str(error), None
    outcome, reason = _classified(execution, nodes_sent)
    return outcome, reason, execution if outcome in _READABLE else None


def _classified(execution: _Execution, nodes_sent: int) -> tuple[Outcome, str | None]:
    if not execution.errors and not execution.aborted:
        if len(execution.results) == nodes_sent:
            return Outcome.OK, None
        return Outcome.INVALID_RESPONSE, "results"
    return Outcome.NODE_ERROR, execution.errors[0]


def _answer(prompt: str) -> bytes:
    latencies = {f"{of}_latency_{rank}_ms": 60 for of in ("node", "level") for rank in ("p50", "p95", "p99")}
    result = {
        "node_id": "answer", "output": "C", "execution_time_ms": 60, "token_cost": 116, "cache_hit": False,
        "rendered_prompt": prompt, "input_tokens": 115, "output_tokens": 1, "level": 0,
    }  # fmt: skip
    whole = {
        "execution_id": "8713cebc-c88a-4c98-b20a-ac931f35eea3", "results": [result], "total_execution_time_ms": 60,
        "total_token_cost": 116, "parallelization_factor": 1.0, "cache_hit_rate": 0.0, "errors": [],
        "level_execution_times_ms": [60], "max_concurrency_used": 1, "node_execution_times_ms": {"answer": 60},
        "node_levels": {"answer": 0}, "node_status": {"answer": {"state": "succeeded", "attempts": 1}},
        "aborted": False, "tokens_saved": 0, **latencies, "sequential_mode": False,
    }  # fmt: skip
    return json.dumps(whole, separators=(",", ":")).encode()


def _warm(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the ns of each way in the fastest of many short loops, which take turns."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, read in ways.items():
            began = time.perf_counter_ns()
            for _ in range(_LOOP):
                read()
            best[name] = min(best[name], (time.perf_counter_ns() - began) / _LOOP)
    return best


def _cold(read: Callable[[], object], times: int) -> float:
    """Return the median us of one call after idling."""
    found = []
    for _ in range(times):
        time.sleep(_IDLE_S)
        began = time.perf_counter_ns()
        read()
        found.append((time.perf_counter_ns() - began) / 1000)
    return statistics.median(found)


if __name__ == "__main__":
    main()
