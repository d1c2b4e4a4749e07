"""One reading of /metrics on the wire: within its limits, or a reason."""

from __future__ import annotations

import gzip

import gevent
import pytest

from aether_load.load.http.metrics_source import MOST_METRICS_BYTES, MetricsSource
from aether_load.scenario.duration import Seconds
from aether_load.scenario.scenario import Target
from folders import counted
from peer import Peer

TEXT = counted([3, 70])


def answered(body):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def read(*steps, timeout=5.0):
    """What one reading brings, of a peer that answers in these steps."""
    with Peer([[*steps]]) as peer, gevent.Timeout(25):
        source = MetricsSource(peer.endpoint, Target(server_metrics_timeout=Seconds(timeout)))
        try:
            return source.read()
        finally:
            source.close()


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([answered(gzip.compress(TEXT.encode()))], "GET /metrics: the answer is gzip-encoded, which was not asked for"),
        ([b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"], "GET /metrics answered 503"),
        (
            [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MOST_METRICS_BYTES + 1)],
            f"the answer has {MOST_METRICS_BYTES + 1} bytes, and the limit is {MOST_METRICS_BYTES}",
        ),
        ([b"HTTP/1.1 200 OK\r\n\r\x1b[2J"], "not HTTP: Expected LF after headers"),
    ],
)
def test_what_is_no_reading_has_a_reason(steps, reason):
    """It is named for what it is, in characters that can be printed."""
    assert read(*steps) == (None, reason)


def test_a_slow_reading_has_the_time_that_the_scenario_gives():
    """Beyond it there is a reason, within it the text."""
    slowly = [answered(TEXT.encode())[:40], lambda: gevent.sleep(0.3), answered(TEXT.encode())[40:]]
    assert read(*slowly, timeout=0.1) == (None, "no answer within 0.1 s")
    assert read(*slowly, timeout=5) == (TEXT, None)


def test_bytes_that_are_not_utf_8_do_not_spoil_a_reading():
    """They are replaced; what is read of the text stands elsewhere in it."""
    text, reason = read(answered(b"# \xff\n" + TEXT.encode()))
    assert (text, reason) == ("# \ufffd\n" + TEXT, None)
