"""Measure how many requests a second the simulator answers for each core that it uses itself, at latency 0.

One process simulates, another sends from a few kept-alive connections, one request at a time on each. The figure is
from the server process's own CPU time: a client that is slower than the server does not change it.
"""

from __future__ import annotations

import argparse
import json
import platform
import select
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

BAR = 5000.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One measurement; `requests_per_core_second` is requests over seconds of the server's CPU."""

    generation: str
    prompt_bytes: int
    cached: bool
    requests: int
    wall_seconds: float
    server_cpu_seconds: float
    requests_per_second: float
    requests_per_core_second: float
    cpu_microseconds_per_request: float
    server_core_share: float


class Client:
    """One kept-alive connection that sends a body again and again, and counts whole answers."""

    def __init__(self, port: int, bodies: list[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = [
            b"POST /execute HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
            for body in bodies
        ]
        self._received = b""
        self._expected: int | None = None
        self.answered = 0

    def send(self) -> None:
        self.socket.sendall(self._requests[self.answered % len(self._requests)])

    def receive(self) -> bool:
        """Read what is there; tell whether an answer is whole."""
        self._received += self.socket.recv(65536)
        if self._expected is None:
            head, found, _ = self._received.partition(b"\r\n\r\n")
            if not found:
                return False
            if not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(self._received[:500].decode(errors="replace"))
            length = head[head.index(b"content-length: ") + 16 :].partition(b"\r\n")[0]
            self._expected = len(head) + 4 + int(length)
        if len(self._received) < self._expected:
            return False
        self._received = self._received[self._expected :]
        self._expected = None
        self.answered += 1
        return True


def body_of(generation: str, prompt: str) -> bytes:
    """Return a request of one LLM node."""
    node: dict[str, object] = {"id": "llm", "node_type": "llm_fn", "model": "gpt-4o-mini", "dependencies": []}
    if generation == "v1":
        return json.dumps({"nodes": [{**node, "prompt": prompt}]}).encode()
    return json.dumps({"dag": {"nodes": [{**node, "prompt_template": prompt}]}}).encode()


def drive(clients: list[Client], seconds: float) -> int:
    """Send for a time; return how many answers came."""
    poll = select.epoll()
    by_fd = {client.socket.fileno(): client for client in clients}
    for fd, client in by_fd.items():
        poll.register(fd, select.EPOLLIN)
        client.send()
    before = sum(client.answered for client in clients)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for fd, _ in poll.poll(1.0):
            client = by_fd[fd]
            if client.receive():
                client.send()
    answered = sum(client.answered for client in clients) - before
    for client in clients:  # the last answers, so that a next drive begins with none under way
        while not client.receive():
            pass
    poll.close()
    return answered


def measure(generation: str, prompt_bytes: int, *, cached: bool, seconds: float, connections: int) -> Figures:
    """Start a simulator, load it, and read its CPU time."""
    command = [sys.executable, "-m", "aether_load.simulator", "--port", "0", "--generation", generation]
    with subprocess.Popen(
        [*command, "--latency", "constant:0", "--exit-with-parent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rsplit(b":", 1)[1])
            # More prompts than the cache keeps, so that every look-up misses.
            prompts = ["x" * prompt_bytes] if cached else [f"{n:08d}".ljust(prompt_bytes, "x") for n in range(2000)]
            clients = [Client(port, [body_of(generation, prompt) for prompt in prompts]) for _ in range(connections)]
            for number, client in enumerate(clients):
                client.answered = 0 if cached else number * len(prompts) // connections
            drive(clients, min(0.5, seconds))
            times = psutil.Process(process.pid).cpu_times
            before, began = times(), time.monotonic()
            answered = drive(clients, seconds)
            after, ended = times(), time.monotonic()
        finally:
            process.terminate()
    cpu = after.user + after.system - before.user - before.system
    wall = ended - began
    return Figures(
        generation=generation,
        prompt_bytes=prompt_bytes,
        cached=cached,
        requests=answered,
        wall_seconds=round(wall, 3),
        server_cpu_seconds=round(cpu, 3),
        requests_per_second=round(answered / wall, 1),
        requests_per_core_second=round(answered / cpu, 1),
        cpu_microseconds_per_request=round(cpu / answered * 1e6, 2),
        server_core_share=round(cpu / wall, 3),
    )


def main() -> int:
    """Measure; exit 1 when a figure is below the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="time of each measurement (default: 3)")
    parser.add_argument("--connections", type=int, default=16, help="kept-alive connections (default: 16)")
    parser.add_argument("--prompt-bytes", type=int, default=500, help="length of each prompt (default: 500)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    figures = [
        measure(
            generation,
            arguments.prompt_bytes,
            cached=cached,
            seconds=arguments.seconds,
            connections=arguments.connections,
        )
        for generation, cached in (("v2", False), ("v2", True), ("v1", False))
    ]
    print(f"{'':>14} {'req/s':>9} {'req/s/core':>11} {'CPU µs/req':>11} {'core share':>11}")
    for row in figures:
        name = f"{row.generation}{' cached' if row.cached else ''}"
        print(
            f"{name:>14} {row.requests_per_second:9,.0f} {row.requests_per_core_second:11,.0f}"
            f" {row.cpu_microseconds_per_request:11.1f} {row.server_core_share:11.2f}"
        )
    slowest = min(row.requests_per_core_second for row in figures)
    print(f"slowest: {slowest / BAR:.1f} times the bar of {BAR:,.0f} requests a second for each core")
    if arguments.json is not None:
        document = {"python": platform.python_version(), "bar": BAR, "figures": [asdict(row) for row in figures]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0 if slowest >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
