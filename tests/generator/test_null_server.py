"""The server of the self-check: it serves one answer, and ends with whoever started it, at any point, in silence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GIVEN = b"%d\n%s" % (len(ANSWER), ANSWER)
COMMAND = (sys.executable, "-m", "aether_load.load.http.null_server")


@pytest.mark.parametrize("given", [b"", b"4", b"40\nHTTP", GIVEN], ids=["nothing", "a digit", "a part", "all of it"])
def test_it_ends_when_its_input_does(given: bytes) -> None:
    done = subprocess.run(COMMAND, input=given, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_nobody_reads_its_port() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(COMMAND, input=GIVEN, stdout=writing, stderr=subprocess.PIPE, timeout=20, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_each_whole_request_gets_the_answer() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(GIVEN)
        process.stdin.flush()
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            for pieces in ([b"GET / HTTP/1.1\r\n\r\n"], [b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n", b"body"]):
                for piece in pieces:
                    client.sendall(piece)
                assert client.recv(len(ANSWER), socket.MSG_WAITALL) == ANSWER
        process.stdin.close()
        assert (process.wait(20), process.stderr.read() if process.stderr else b"") == (0, b"")
