"""Serve fixed answers without any work: an exchange with it costs what the client itself costs.

It runs as a child (`python -m aether_load.load.http.null_server`), which reads one answer from standard input, writes
its port to standard output, and ends when standard input does.
"""

from __future__ import annotations

import os
import select
import socket
import sys

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"


def main() -> int:
    """Serve one connection after the other's turn, each request with the same bytes."""
    length = int(sys.stdin.buffer.readline() or 0)
    answer = sys.stdin.buffer.read(length)
    if not answer or len(answer) < length:
        # Whoever started it has ended before it had said what to serve.
        return 0
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    try:
        os.write(sys.stdout.fileno(), f"{listener.getsockname()[1]}\n".encode())
    except BrokenPipeError:
        return 0
    watch = select.poll()
    watch.register(listener, select.POLLIN)
    watch.register(sys.stdin, select.POLLIN | select.POLLHUP)
    connections: dict[int, socket.socket] = {}
    begun: dict[int, bytes] = {}
    while True:
        for number, _ in watch.poll():
            if number == sys.stdin.fileno():
                return 0
            if number == listener.fileno():
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[connection.fileno()] = connection
                watch.register(connection, select.POLLIN)
                continue
            try:
                data = connections[number].recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                watch.unregister(number)
                connections.pop(number).close()
                begun.pop(number, None)
                continue
            data = begun.pop(number, b"") + data
            if is_whole(data):
                connections[number].sendall(answer)
            else:
                begun[number] = data


def is_whole(request: bytes) -> bool:
    """Tell whether a request's head and all of its body are there."""
    head, end, body = request.partition(_HEAD_END)
    if not end:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(_LENGTH):
            return len(body) >= int(line[len(_LENGTH) :])
    return True


if __name__ == "__main__":
    sys.exit(main())
