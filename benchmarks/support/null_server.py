"""Run a server that costs next to nothing, so that a benchmark sees the sender's own cost.

It is nginx as one process pinned to one core, where it is installed; else the simulated runtime at latency 0, which is
Python itself and limits the rate. Either runs as a child on a free port of 127.0.0.1.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.setting import BODY, BenchmarkFailed, pinned

from aether_load.protocol import (
    BUCKET_EDGES_MS,
    CACHE_HITS_TOTAL,
    CACHE_MISSES_TOTAL,
    ERRORS_TOTAL,
    EXECUTED_NODES_TOTAL,
    EXECUTION_TIME_SECONDS,
    TOKEN_COST_TOTAL,
)

_START_LIMIT_S = 15.0
REFUSAL = "Failed to deserialize the JSON body into the target type: missing field `dag` at line 1 column 2"
_COUNTERS = (CACHE_HITS_TOTAL, CACHE_MISSES_TOTAL, ERRORS_TOTAL, EXECUTED_NODES_TOTAL, TOKEN_COST_TOTAL)
EXECUTION_ID = "the same in every answer"
TOKENS = 116
"""What an answer says that its node cost."""


@dataclass(frozen=True)
class Server:
    """Where a server listens, what it is, and whether its /metrics count what it answers."""

    url: str
    name: str
    counts: bool


@contextmanager
def null_server(folder: Path, core: int) -> Iterator[Server]:
    """Run a null server pinned to `core`; `folder` takes its files, and holds those of `write_one_row`."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin")
    if nginx is None:
        process, server = _start_simulator(core)
    else:
        process, server = _start_nginx(nginx, folder, core)
    try:
        yield server
    finally:
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answer(request: bytes, time_ms: int = 0) -> bytes:
    """Return a v2 runtime's answer to a request of one node that took `time_ms`; its output is a letter."""
    (node,) = json.loads(request)["dag"]["nodes"]
    node_id = node["id"]
    latencies = {f"{of}_latency_{rank}_ms": time_ms for of in ("node", "level") for rank in ("p50", "p95", "p99")}
    whole = {
        # A UUID that comes twice would say that an answer was read twice.
        "execution_id": EXECUTION_ID,
        "results": [
            {
                "node_id": node_id,
                "output": "C",
                "execution_time_ms": time_ms,
                "token_cost": TOKENS,
                "cache_hit": False,
                "rendered_prompt": node["prompt_template"],
                "input_tokens": TOKENS - 1,
                "output_tokens": 1,
                "level": 0,
            }
        ],
        "total_execution_time_ms": time_ms,
        "total_token_cost": TOKENS,
        "parallelization_factor": 1.0,
        "cache_hit_rate": 0.0,
        "errors": [],
        "level_execution_times_ms": [time_ms],
        "max_concurrency_used": 1,
        "node_execution_times_ms": {node_id: time_ms},
        "node_levels": {node_id: 0},
        "node_status": {node_id: {"state": "succeeded", "attempts": 1}},
        "aborted": False,
        "tokens_saved": 0,
        **latencies,
        "sequential_mode": False,
    }
    return json.dumps(whole, separators=(",", ":")).encode()


def _start_nginx(nginx: str, folder: Path, core: int) -> tuple[subprocess.Popen[bytes], Server]:
    about = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=True).stderr
    version = re.search(r"nginx/(\S+)", about)
    # Which temporary folders there are depends on the build, and the default ones need root.
    temporary = [f"{name.replace('-', '_')} {name};" for name in re.findall(r"--http-([a-z-]+-temp-path)=", about)]
    port = _free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _nginx_configuration(port, temporary, answer((folder / BODY).read_bytes())), encoding="utf-8"
    )
    log = folder / "nginx.log"
    command = [nginx, "-p", str(folder), "-e", str(log), "-c", str(configuration)]
    with pinned(core):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    _wait_until_well(url, process, log)
    return process, Server(url, f"nginx {version.group(1) if version else ''}".strip(), counts=False)


def _nginx_configuration(port: int, temporary: list[str], answered: bytes) -> str:
    """Return a configuration that answers from memory, each time with an id of its own, and closes no connection."""
    return f"""
daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 60000; multi_accept on; }}
http {{
  access_log off;
  {" ".join(temporary)}
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  map $request_id $uuid {{ "~^(?<a>.{{8}})(?<b>.{{4}})(?<c>.{{4}})(?<d>.{{4}})(?<e>.{{12}})$" "$a-$b-$c-$d-$e"; }}
  map $content_length $is_empty_object {{ default 0; 2 1; }}
  server {{
    listen 127.0.0.1:{port} backlog=16384;
    default_type text/plain;
    location = /execute {{
      default_type application/json;
      if ($is_empty_object) {{ return 422 {_quoted(REFUSAL)}; }}
      return 200 {_quoted(answered.decode()).replace(EXECUTION_ID, "$uuid")};
    }}
    location = /health {{ return 200 OK; }}
    location = /metrics {{ return 200 {_quoted(_metrics())}; }}
    location = /cache/stats {{
      default_type application/json;
      return 200 {_quoted('{"entries":0,"hits":0,"misses":0,"hit_rate":0.0}')};
    }}
    location / {{ return 404; }}
  }}
}}
"""


def _quoted(text: str) -> str:
    """Return `text` as a string of nginx's configuration, in which a dollar cannot be written."""
    assert "$" not in text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _metrics() -> str:
    """Return a v2 runtime's metrics in which nothing was ever counted."""
    lines = []
    for name in _COUNTERS:
        lines += [f"# TYPE {name} counter", f"{name} 0"]
    lines.append(f"# TYPE {EXECUTION_TIME_SECONDS} histogram")
    edges = [*(f"{edge / 1000:g}" for edge in BUCKET_EDGES_MS), "+Inf"]
    lines += [f'{EXECUTION_TIME_SECONDS}_bucket{{le="{edge}"}} 0' for edge in edges]
    lines += [f"{EXECUTION_TIME_SECONDS}_sum 0", f"{EXECUTION_TIME_SECONDS}_count 0"]
    return "\n".join(lines) + "\n"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_until_well(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.02)
    process.kill()
    process.wait()
    words = log.read_text(encoding="utf-8", errors="replace").strip() if log.exists() else ""
    raise BenchmarkFailed(f"nginx did not start: {words or 'no word'}")


def _start_simulator(core: int) -> tuple[subprocess.Popen[bytes], Server]:
    command = [sys.executable, "-m", "aether_load", "simulate", "--port", "0", "--latency", "constant:0ms"]
    with pinned(core):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    words = process.stdout.readline().decode().split()
    if not words:
        process.wait()
        raise BenchmarkFailed("the simulated runtime did not start")
    return process, Server(words[-1], "simulated runtime, latency 0", counts=True)
