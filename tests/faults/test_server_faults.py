"""Servers that fail in every way that the simulator knows: the run ends, and each request is counted for what it was.

A line a case: the fault, and the outcomes that there may be beside ok.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aether_load.simulator.fault_kinds import parse_fault
from locust_forks import LocustFork
from misbehaving_runtime import misbehaving_runtime
from processes import Finished, running_simulator, wait_for

REQUESTS = 60
RUN = ("-u", "4", "--set", f"phases.0.requests={REQUESTS}", "--set", "target.request_timeout=1", "--stop-timeout", "2")

FAULTS = [
    ("close:share=0.5", {"connection_error"}),
    ("close:at=headers,share=0.5", {"connection_error", "invalid_response"}),
    ("close:at=after_headers,share=0.5", {"connection_error"}),
    ("close:at=body,share=0.5", {"connection_error"}),
    ("close:reset=true,share=0.5", {"connection_error"}),
    ("close:at=body,reset=true,share=0.5", {"connection_error"}),
    ("close", {"connection_error"}),
    ("truncate:share=0.5", {"invalid_response"}),
    ("garbage:share=0.5", {"invalid_response"}),
    ("empty:share=0.5", {"invalid_response"}),
    ("shape:share=0.5", {"invalid_response"}),
    ("shape:form=array,share=0.5", {"invalid_response"}),
    ("shape:form=null,share=0.5", {"invalid_response"}),
    ("shape:form=no_results,share=0.5", {"invalid_response"}),
    ("shape:form=results_object,share=0.5", {"invalid_response"}),
    ("shape:form=no_errors,share=0.5", {"invalid_response"}),
    ("shape:form=text_times,share=0.5", {"invalid_response"}),
    ("status:share=0.5", {"http_error"}),
    ("status:code=429,share=0.5", {"http_error"}),
    ("status:code=503", {"http_error"}),
    ("late:delay=200ms", set()),
    ("late:delay=5s,count=4", {"timeout"}),
    ("slow:chunk=64,every=10ms,count=4", set()),
    ("slow:chunk=1,every=100ms,count=4", {"timeout"}),
    ("node_failure:share=0.5", {"node_error"}),
    ("guard_refusal:share=0.5", {"rejected"}),
    ("panic:share=0.5", {"node_error"}),
    ("stall:for=500ms", set()),
    ("stall:for=3s", {"timeout", "connection_error"}),
    ("restart", {"connection_error"}),
    ("restart:down=500ms", {"connection_error"}),
    ("exit", {"connection_error"}),
    ("status:path=/metrics", set()),
    ("garbage:path=/metrics", set()),
    ("empty:path=/metrics", set()),
    ("close:path=/metrics", set()),
    ("close:path=/metrics,at=body", set()),
    ("late:path=/metrics,delay=5s", set()),
    ("slow:path=/metrics,chunk=1,every=100ms", set()),
    ("truncate:path=/metrics", set()),
]


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "outcomes"), FAULTS, ids=[fault for fault, _ in FAULTS])
def test_a_fault_of_a_server(start_fork: Callable[..., LocustFork], fault: str, outcomes: Any) -> None:
    """It begins with the load: a runtime that fails its probe is not sent to."""
    with running_simulator("--latency", "constant:50ms") as runtime:
        process = start_fork("--headless", "--host", runtime.url, *RUN)
        wait_for(lambda: runtime.record()["nodes"].get("succeeded", 0) > 0, "the first answer")
        runtime.order(msgspec.to_builtins(parse_fault(fault)))
        finished = process.finish()
    assert finished.code in {0, 1, 5}, finished.err
    assert "Traceback" not in finished.err
    (phase,) = json.loads(finished.nightly.read_bytes())["phases"]
    counts = phase["all"]["outcomes"]
    assert sum(counts.values()) == phase["all"]["requests_total"] == REQUESTS
    assert {name for name, count in counts.items() if count} <= {"ok", *outcomes}


PROBES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 422 No\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
    b"HTTP/1.1 422 No\r\nContent-Length: 4\r\n\r\n\xff\xfe\xfd\xfc",
    b"HTTP/1.1 422 No\r\nContent-Length: 2\r\n\r\nNo",
    b"HTTP/1.1 422 No\r\nContent-Length: 99999999999999999999\r\n\r\nmissing field `dag`",
    b"HTTP/1.1 422 No\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 422 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 999 \xff\r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"\x16\x03\x01\x00\x05hello",
    b"\x00" * 5000,
    b"HTTP/1.1 422 No\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    b"",
]


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(PROBES)))
def test_whatever_answers_a_probe_is_a_sentence(fork_locust: Callable[..., Finished], place: Any) -> None:
    """What is no runtime is exit code 3, deep and undecodable answers too; a 422 may be of a proxy before a v1 one."""
    answer = PROBES[place]
    with misbehaving_runtime({}, probed=answer) as url:
        finished = fork_locust("--host", url, *RUN)
    may_be_v1 = place in {1, 2, 3}
    assert finished.code == (1 if may_be_v1 else 3), finished.err
    assert "Traceback" not in finished.err
    said = [line for line in finished.err.splitlines() if line.startswith("aether-load: ")]
    assert len(said) == (0 if may_be_v1 else 1), finished.err
