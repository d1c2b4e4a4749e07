"""Measure what this client costs on this machine, with a short load on its own null server."""

from __future__ import annotations

import math
import subprocess
import sys
from time import monotonic_ns, process_time

import gevent
import msgspec
from gevent import subprocess as gsubprocess

from aether_load.dag.workload import Workload
from aether_load.load.http.connection import Connection
from aether_load.load.http.connection_stats import ConnectionStats
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.sending.prepared_requests import PreparedRequests
from aether_load.load.sending.sending import Sending
from aether_load.protocol import Generation
from aether_load.response import sent_prompt
from aether_load.rundata.process_usage import SelfCheck
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import REQUEST, RequestRecord
from aether_load.rundata.records.recorder import Recorder

_CHECK_S = 0.3
_USERS = 32
_LIMIT_S = 5.0


class SelfCheckFailed(Exception):
    """The check could not be made; the text says why."""


def check_self(workload: Workload, generation: Generation) -> SelfCheck:
    """Return what this process adds to a latency and how fast it can send; raises SelfCheckFailed.

    One user alone shows the least that an exchange takes, many at once show the most that can be sent. The null
    server's own time is in both, and it shares the machine, so that the truth is a little better.
    """
    one = _with_a_prompt_of_middling_length(workload)
    answer = _answer(one, generation)
    server = gsubprocess.Popen(
        [sys.executable, "-m", "aether_load.load.http.null_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        with gevent.Timeout(_LIMIT_S, SelfCheckFailed(f"it took more than {_LIMIT_S:g} s")):
            server.stdin.write(f"{len(answer)}\n".encode() + answer)
            server.stdin.flush()
            port = server.stdout.readline().strip()
            if not port.isdigit():
                raise SelfCheckFailed("the null server did not start")
            return _measure(one, f"http://127.0.0.1:{port.decode()}")
    except OSError as error:
        raise SelfCheckFailed(str(error)) from None
    finally:
        server.kill()
        server.stdin.close()
        server.stdout.close()
        server.wait()


def _with_a_prompt_of_middling_length(workload: Workload) -> Workload:
    places = sorted(range(len(workload.bodies)), key=lambda place: len(workload.bodies[place]))
    place = places[len(places) // 2]
    return Workload(
        prompts=(workload.prompts[place],),
        bodies=(workload.bodies[place],),
        dags=(workload.dag_of(place),),
        prompt_count=1,
    )


def _measure(workload: Workload, url: str) -> SelfCheck:
    alone, _, _ = _load(workload, url, 1)
    many, elapsed_s, cpu_s = _load(workload, url, _USERS)
    latencies_ms = sorted(latency_us / 1000 for latency_us in alone)
    return SelfCheck(
        latency_p50_ms=float(latencies_ms[(len(latencies_ms) - 1) // 2]),
        latency_p99_ms=float(latencies_ms[math.ceil(0.99 * len(latencies_ms)) - 1]),
        latency_samples_total=len(alone),
        most_rps=round(len(many) / elapsed_s, 1),
        cpu_us_per_request=round(cpu_s / len(many) * 1e6, 2),
    )


def _load(workload: Workload, url: str, users: int) -> tuple[list[int], float, float]:
    """Send for a short while; return the latencies in whole us, the seconds it took and the CPU seconds of it."""
    endpoint, pool = Endpoint.of(url), ConnectionStats()
    buffer = RecordBuffer([prompt.id for prompt in workload.prompts], [prompt.dataset for prompt in workload.prompts])
    buffer.phases.place("self-check")
    recorder = Recorder(buffer, workload)
    prepared = PreparedRequests(endpoint, workload.bodies, (), "", workload.prompt_nodes)
    senders = [
        Sending(Connection(endpoint, pool, connect_timeout_s=1.0, answer_timeout_s=1.0), prepared, recorder)
        for _ in range(users)
    ]
    for sender in senders:
        sender.open()
    began, cpu_began = monotonic_ns(), process_time()
    end = began + int(_CHECK_S * 1e9)
    try:
        gevent.joinall([gevent.spawn(_send_until, sender, end) for sender in senders], raise_error=True)
    finally:
        for sender in senders:
            sender.close()
    buffer.seal()
    blocks = []
    while (block := buffer.take()) is not None:
        # What a record takes to be made ready for its file is a part of what it costs.
        block.pieces()
        blocks.append(block)
    elapsed_s, cpu_s = (monotonic_ns() - began) / 1e9, process_time() - cpu_began
    if recorder.failed or not blocks:
        raise SelfCheckFailed(f"{recorder.failed} of {recorder.done} exchanges with the null server failed")
    records = (RequestRecord(*fields) for block in blocks for fields in REQUEST.iter_unpack(block.requests))
    return [(record.ended_ns - record.sent_ns) // 1000 for record in records], elapsed_s, cpu_s


def _send_until(sender: Sending, end_ns: int) -> None:
    request = 0
    while monotonic_ns() < end_ns:
        sender.send((request, 0, None, 0))
        request += 1


def _answer(workload: Workload, generation: Generation) -> bytes:
    """Return a whole HTTP answer of the size and shape that the runtime gives to the workload's first request."""
    body, dag = workload.bodies[0], workload.dags[0]
    results = []
    for node in dag.nodes:
        result = {"node_id": node.id, "output": "A", "execution_time_ms": 0, "token_cost": 18}
        if generation is Generation.V2:
            # The runtime repeats the prompt, so that its answers are as large as the requests.
            prompt = msgspec.json.decode(sent_prompt(body, node.id)) if node.id == dag.prompt_node else ""
            prompt = prompt or "x" * len(body)
            result |= {"cache_hit": False, "rendered_prompt": prompt, "input_tokens": 9, "level": 0}
        results.append(result)
    answer = msgspec.json.encode(
        {
            "execution_id": "00000000-0000-4000-8000-000000000001",
            "results": results,
            "total_execution_time_ms": 0,
            "total_token_cost": 18 * len(results),
            "errors": [],
        }
    )
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n\r\n"
    return head.encode() + answer
