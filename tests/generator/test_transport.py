"""The transport against scripted peers on real sockets: every legal answer, and every way to break one."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent import socket as gsocket
from gevent import ssl as gssl
from gevent.event import Event
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aether_load.load.http import connection as transport
from aether_load.load.http.answer_parser import AnswerCutShort, MalformedAnswer, read_answer
from aether_load.load.http.common_head import common_head
from aether_load.load.http.connection import Connection
from aether_load.load.http.connection_stats import ConnectionStats
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.http.errors import ConnectError, ConnectionLost, NotHttp, TimedOut, TransportError
from aether_load.tls import tls_context
from generator.peer import CLOSE, RESET, Peer
from property_tests import examples

if TYPE_CHECKING:
    from hypothesis.strategies._internal.core import DataObject

COMMON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n" + b'{"answer": "A"}'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
    b'8;a=b\r\n{"answer\r\n7;c="d"\r\n": "A"}\r\n0\r\nX: y\r\n\r\n'
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
SECOND = b"HTTP/1.1 201 Created\r\nContent-Length: 6\r\n\r\nsecond"


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """Fail a test that hangs."""
    with gevent.Timeout(25):
        yield


@contextlib.contextmanager
def without_short_way() -> Iterator[None]:
    names = vars(transport)
    before, names["common_head"] = names["common_head"], lambda _data: None
    try:
        yield
    finally:
        names["common_head"] = before


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place for place in places if place < len(data)}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]


def in_packets(peer: Peer, packets: list[bytes]) -> list[Any]:
    steps = []
    for packet in packets:
        steps += [packet, peer.until_taken]
    return steps


def outcome_of(wire: bytes, places: Any, *, ends: bool = False) -> tuple[int, bytes, bool] | type[TransportError]:
    """Return what an exchange with these bytes in these packets gives, and whether the connection stays open."""
    with Peer([[]]) as peer:
        steps = in_packets(peer, cut(wire, places))
        peer._scripts = ([[*steps, CLOSE] if ends else steps],)
        try:
            return (*peer.ask(), peer.client._socket is not None)
        except TransportError as error:
            assert peer.client._socket is None
            return type(error)


# --- legal answers ---------------------------------------------------------------------------------------------


def test_the_common_answer() -> None:
    """Status and body come back, and the connection is kept."""
    with Peer([[COMMON]]) as peer:
        assert peer.ask() == (200, b'{"answer": "A"}')
        assert peer.client._socket is not None


@pytest.mark.parametrize(
    "wire", [COMMON, CHUNKED, *(pytest.param(INTERIM + wire, marks=pytest.mark.slow) for wire in (COMMON, CHUNKED))]
)
def test_an_answer_cut_at_every_place(wire: bytes) -> None:
    """The same bytes cut in two packets at any place are the same answer."""
    for place in range(1, len(wire)):
        assert outcome_of(wire, [place]) == (200, b'{"answer": "A"}', True), place


def test_an_answer_a_byte_at_a_time() -> None:
    """Packets of one byte each are the same answer, in both ways."""
    for wire in (COMMON, INTERIM + CHUNKED):
        assert outcome_of(wire, range(len(wire))) == (200, b'{"answer": "A"}', True)


@pytest.mark.parametrize("size", [65535, 65536, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body(size: int, chunked: bool) -> None:
    """A body of many packets comes back whole."""
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    if chunked:
        wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, body)
    else:
        wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, body)
    with Peer([[wire], [SECOND]]) as peer:
        assert peer.ask() == (200, body)
        assert peer.ask() == (201, b"second")


def random_case(text: str) -> st.SearchStrategy[bytes]:
    return st.lists(st.booleans(), min_size=len(text), max_size=len(text)).map(
        lambda ups: "".join(c.upper() if up else c.lower() for c, up in zip(text, ups, strict=True)).encode()
    )


SPACES = st.sampled_from([b"", b" ", b"\t", b"  \t "])
TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12).map(
    lambda text: text.encode("latin-1")
)
NAMES = st.sampled_from(
    [
        b"Server",
        b"date",
        b"X-Content-Length",
        b"Content-Length-X",
        b"Content",
        b"connectio",
        b"T",
        b"a_b",
        b"X.y~",
        b"Te",
    ]
)


@st.composite
def headers(draw: st.DrawFn, name: str, value: bytes) -> bytes:
    answer: bytes = draw(random_case(name)) + b":" + draw(SPACES) + value + draw(SPACES)
    return answer


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, tuple[int, bytes, bool] | None, bool]:
    """Draw an answer: its bytes, what it must give (status, body, connection kept), whether the close ends it."""
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
    status = draw(st.sampled_from([200, 200, 201, 299, 301, 400, 429, 500, 502, 503, 599, 204, 304]))
    body = draw(st.one_of(st.binary(max_size=40), st.just(b""), st.just(b"x" * 70_000)))
    lines = draw(st.lists(st.tuples(NAMES, SPACES, TEXT, SPACES).map(lambda p: b"%b:%b%b%b" % p), max_size=4))
    framing = draw(
        st.sampled_from(
            ["length", "length", "length", "chunked", "close", "equal lengths", "different lengths", "both"]
        )
    )
    legal = framing in {"length", "chunked", "close"}
    if status in {204, 304}:
        framing, legal, body = "none", True, b""
    if version == b"1.0" and framing in {"chunked", "both"}:
        framing, legal = "length", True
    digits = b"0" * draw(st.integers(0, 2)) + b"%d" % len(body)
    wire_body = body
    if framing in {"length", "equal lengths", "different lengths", "both"}:
        lines.append(draw(headers("Content-Length", digits)))
    if framing == "equal lengths":
        lines.append(draw(headers("Content-Length", digits)))
    if framing == "different lengths":
        lines.append(draw(headers("Content-Length", b"%d" % (len(body) + 1))))
    if framing in {"chunked", "both"}:
        lines.append(draw(random_case("Transfer-Encoding")) + b": " + draw(random_case("chunked")) + b" ")
        extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b c"']))
        places = draw(st.lists(st.integers(1, max(1, len(body) - 1)), max_size=3))
        chunks = [b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in cut(body, places)]
        trailers = draw(st.sampled_from([b"", b"X-Sum: 1\r\n", b"A:\r\nB: c\r\n"]))
        wire_body = b"".join(chunks) + b"0%b\r\n%b\r\n" % (extension, trailers)
    keep = draw(st.sampled_from(["", "", "keep-alive", "close"]))
    if keep:
        lines.append(draw(headers("Connection", draw(random_case(keep)))))
    lines = draw(st.permutations(lines))
    reason = draw(st.sampled_from([b" OK", b" ", b" Bad  Gateway", b" \xe9t\xe9"]))
    head = b"HTTP/%b %d%b\r\n" % (version, status, reason) + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    interim = draw(st.sampled_from([b"", b"", b"", INTERIM])) if version == b"1.1" else b""
    kept = keep != "close" and framing != "close" and (version == b"1.1" or keep == "keep-alive")
    return interim + head + wire_body, (status, body, kept) if legal else None, framing == "close"


@settings(max_examples=examples(60), deadline=None)
@given(st.data(), answers())
def test_both_ways_agree_however_an_answer_is_cut(
    data: DataObject, answer: tuple[bytes, tuple[int, bytes, bool] | None, bool]
) -> None:
    """The short way and the C parser give the same, which is right, whatever the packets."""
    wire, expected, ends = answer
    # Cuts near the head's end matter most, and a large body has few other places of interest.
    place = st.integers(1, max(1, min(len(wire) - 1, 400)))
    first = outcome_of(wire, data.draw(st.lists(place, max_size=4)), ends=ends)
    whole = outcome_of(wire, [], ends=ends)
    with without_short_way():
        parsed = outcome_of(wire, data.draw(st.lists(place, max_size=4)), ends=ends)
    assert first == parsed == whole
    # Two Content-Lengths and a Content-Length beside chunks may be refused, but must not be guessed at.
    assert first == (expected if expected is not None else NotHttp)


@settings(max_examples=examples(500), deadline=None)
@given(answers(), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 2), st.binary(max_size=3)), max_size=3))
@example((b"HTTP/1.1 200 OK\r\nContent-Length: \x0b1\r\n\r\nx", None, False), [])
@example((b"HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\nx", None, False), [])
@example((b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\nx", None, False), [])
@example((b"HTTP/1.1 200 OK\r\nA: b\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\nx", None, False), [])
@example((b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive, close\r\n\r\nx", None, False), [])
@example((b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nProxy-Connection: close\r\n\r\nx", None, False), [])
@example((b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx", None, False), [])
def test_the_short_way_takes_nothing_that_the_parser_reads_otherwise(
    answer: tuple[bytes, tuple[int, bytes, bool] | None, bool], damages: list[tuple[int, int, bytes]]
) -> None:
    """Damaged or not, a head that the short way takes means the same to the C parser."""
    wire = answer[0]
    for place, gone, new in damages:
        wire = wire[:place] + new + wire[place + gone :]
    start = wire.find(b"\r\n\r\n") + 4
    head = common_head(wire[:start])
    if head is None:
        return
    status, length = head
    wire = wire[: start + length]
    if len(wire) < start + length <= 100_000:
        wire += b"x" * (start + length - len(wire))
    elif len(wire) < start + length:
        return
    assert read_answer(wire, bytes, 1 << 20) == (status, wire[start:], True)


@settings(max_examples=examples(400), deadline=None)
@given(
    answers() | st.binary(max_size=60).map(lambda noise: (noise, None, False)),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 5), st.binary(max_size=5)), max_size=4),
    st.lists(st.integers(1, 300), max_size=4),
)
def test_damage_never_raises_anything_else(
    answer: tuple[bytes, tuple[int, bytes, bool] | None, bool], damages: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    """Whatever comes, the C parser's way gives an answer or one of its two errors."""
    wire = answer[0]
    for place, gone, new in damages:
        wire = wire[:place] + new + wire[place + gone :]
    packets = [*cut(wire, [place for place in places if place < len(wire)]), b""]
    first, *rest = packets
    with contextlib.suppress(MalformedAnswer, AnswerCutShort):
        status, body, _ = read_answer(first, iter(rest).__next__, 1 << 20)
        assert 200 <= status <= 999
        assert isinstance(body, bytes)


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", (200, b"x", True)),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", (200, b"x", True)),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", (200, b"x", False)),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\nx", (200, b"x", True)),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", (304, b"", True)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"", True)),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", (200, b"x", True)),
        (b"HTTP/1.1 150 Odd\r\n\r\n" + COMMON, (200, b'{"answer": "A"}', True)),
    ],
)
def test_forms_that_are_rare(wire: bytes, expected: tuple[int, bytes, bool]) -> None:
    """Legal forms that few servers send."""
    assert outcome_of(wire, []) == expected


@pytest.mark.parametrize("coding", [b"gzip", b"chunked, gzip", b"gzip\r\nX:"])
def test_a_coding_that_is_not_chunked_ends_with_the_connection(coding: bytes) -> None:
    """A body in another coding comes back as it is, up to the close."""
    wire = b"HTTP/1.1 200 OK\r\nA:\r\nTransfer-Encoding: " + coding + b"\r\n\r\nabc"
    assert outcome_of(wire, [], ends=True) == (200, b"abc", False)


# --- broken answers --------------------------------------------------------------------------------------------

NOT_HTTP = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "noise": b"\x00\xff\x15\x03\x01",
    "a word as status": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of zero": b"HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 No\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\nx",
    "an empty length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nx",
    "a length beyond counting": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nx",
    "a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
    "a folded length": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\nx",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nnothing\r\nContent-Length: 1\r\n\r\nx",
    "a zero byte in a header": b"HTTP/1.1 200 OK\r\nA: \x00\r\nContent-Length: 1\r\n\r\nx",
    "a chunk size that is no number": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a negative chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n",
    "a chunk size beyond counting": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n",
    "a chunk longer than its size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a tab after the coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"X-Long: y\r\n" * 10_000,
    "an endless header": b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 100_000,
    "endless interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000,
    "more than the length": COMMON + b"X",
    "a second answer": COMMON + SECOND,
    "more than the chunks": CHUNKED + b"X",
    "a second answer after chunks": CHUNKED + SECOND,
    "a body where there is none": b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nsecond",
    "more than a closing answer": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nxy",
}

CUT_SHORT = {
    "no answer": b"",
    "a part of the status line": COMMON[:10],
    "a part of the head": COMMON[:40],
    "a head without its body": COMMON[:-15],
    "a part of the body": COMMON[:-1],
    "a part of a chunk's size": CHUNKED[:62],
    "a part of a chunk": CHUNKED[:75],
    "chunks without an end": CHUNKED[:-10],
    "trailers without an end": CHUNKED[:-2],
    "only interim answers": INTERIM,
    "an interim answer and a part of a head": INTERIM + b"HTTP/1.1 200 OK\r\n",
}


@pytest.mark.parametrize("wire", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_not_http(wire: bytes) -> None:
    """Bytes that are no HTTP/1.1 answer are told from it, and never reach the next exchange."""
    with Peer([[wire]], [[SECOND]]) as peer:
        with pytest.raises(NotHttp) as raised:
            peer.ask()
        assert len(str(raised.value)) > 8
        assert peer.ask() == (201, b"second")
        assert [number for number, _ in peer.requests] == [0, 1]


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("wire", CUT_SHORT.values(), ids=CUT_SHORT.keys())
def test_a_connection_lost_in_an_answer(wire: bytes, end: str) -> None:
    """A close or reset where an answer is due is a lost connection; the request is not sent again."""
    with Peer([[]], [[SECOND]]) as peer:
        peer._scripts[0][0].extend([*([wire, peer.until_taken] if wire else []), end])
        with pytest.raises(ConnectionLost, match=r"^connection (lost: .|closed (without|in the middle|after))"):
            peer.ask()
        assert [number for number, _ in peer.requests] == [0]
        assert peer.counts.stale_reopened == 0
        assert peer.ask() == (201, b"second")


IDLE_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("late", [b"\r\n", IDLE_TIMEOUT])
@pytest.mark.parametrize("wire", [COMMON, CHUNKED, b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_a_connection_that_ends_between_two_exchanges(wire: bytes, late: bytes) -> None:
    """An empty line, or a word on the connection's own end, makes it stale, and the next request has a new one."""
    with Peer([[]], [[SECOND]]) as peer:
        peer._scripts[0][0].extend([wire, peer.until_taken, late])
        peer.ask()
        peer.until_news()
        assert peer.ask() == (201, b"second")
        assert (peer.counts.opened, peer.counts.stale_reopened) == (2, 1)


@pytest.mark.parametrize("late", [b"X", SECOND, COMMON + SECOND])
@pytest.mark.parametrize("wire", [COMMON, CHUNKED, b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_an_answer_that_comes_before_its_request(wire: bytes, late: bytes) -> None:
    """It belongs to another request: this one is not sent, and the next one has a connection of its own."""
    with Peer([[]], [[SECOND]]) as peer:
        peer._scripts[0][0].extend([wire, peer.until_taken, late])
        peer.ask()
        peer.until_news()
        with pytest.raises(NotHttp, match=r"^answer of another request: it came before this one was sent: (X|HTTP/1)"):
            peer.ask()
        assert peer.ask() == (201, b"second")
        assert [number for number, _ in peer.requests] == [0, 1]
        assert (peer.counts.opened, peer.counts.stale_reopened) == (2, 0)


CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = itertools.chain([CHUNKED_HEAD], itertools.repeat(b"5\r\nabcde\r\n" * 100))
TINY_CHUNKS = itertools.chain([CHUNKED_HEAD], itertools.repeat(b"1;" + b"e" * 500 + b"\r\nx\r\n"))
UNTIL_CLOSE = itertools.chain([b"HTTP/1.0 200 OK\r\n\r\n"], itertools.repeat(b"x" * 1000))


@pytest.mark.parametrize(
    ("packets", "reason"),
    [
        (ENDLESS, "the answer goes on beyond the limit of 2000 bytes"),
        (UNTIL_CLOSE, "the answer goes on beyond the limit of 2000 bytes"),
        (TINY_CHUNKS, "the answer is 81"),
    ],
)
def test_a_body_without_end(packets: Iterator[bytes], reason: str) -> None:
    """It is read up to the limit, however it is framed."""
    with pytest.raises(MalformedAnswer) as raised:
        read_answer(next(packets), packets.__next__, 2000)
    assert str(raised.value).startswith(reason)


@pytest.mark.parametrize("limit", [transport.MOST_RESPONSE_BYTES, 3])
def test_a_body_beyond_the_limit(limit: int) -> None:
    """A length above the limit is refused before a byte of the body is read, and the connection is closed."""
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    with Peer([[wire % (limit + 1)]], [[wire % 3 + b"abc"]]) as peer:
        peer.client._most_response_bytes = limit
        with pytest.raises(NotHttp, match=f"^the answer has {limit + 1} bytes, and the limit is {limit}$"):
            peer.ask()
        assert peer.ask() == (200, b"abc")


@pytest.mark.parametrize("wire", [CHUNKED, b"HTTP/1.1 204 No Content\r\n\r\n", INTERIM + COMMON])
def test_an_empty_line_after_an_answer_of_the_parsers_way(wire: bytes) -> None:
    """The C parser passes over an empty line; what follows on the connection is right."""
    with Peer([[wire + b"\r\n"], [SECOND]]) as peer:
        peer.ask()
        assert peer.ask() == (201, b"second")


# --- the life of a connection ----------------------------------------------------------------------------------


def test_many_requests_on_one_connection() -> None:
    """A connection is kept from answer to answer, whatever their forms."""
    wires = [COMMON, CHUNKED, INTERIM + COMMON, b"HTTP/1.1 204 No Content\r\n\r\n", COMMON] * 10
    with Peer([[wire] for wire in wires]) as peer:
        statuses = [peer.ask()[0] for _ in wires]
        assert statuses == [200, 200, 200, 204, 200] * 10
        assert (peer.counts.opened, peer.counts.stale_reopened, peer.connections) == (1, 0, 1)
        assert [request for _, request in peer.requests] == [peer.request] * 50


def test_an_answer_that_closes_is_followed_by_a_new_connection() -> None:
    """After `Connection: close` the next exchange opens anew, which is not a stale connection."""
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
    with Peer([[closing, CLOSE]], [[SECOND]]) as peer:
        assert peer.ask() == (200, b"x")
        assert peer.ask() == (201, b"second")
        assert (peer.counts.opened, peer.counts.stale_reopened) == (2, 0)


@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_a_connection_closed_while_idle_is_opened_again_once(end: str) -> None:
    """A stale connection costs no request, and is counted."""
    with Peer([[COMMON, end]], [[SECOND], [COMMON]]) as peer:
        peer.ask()
        peer.until_news()
        assert peer.ask() == (201, b"second")
        assert peer.ask()[0] == 200
        assert (peer.counts.opened, peer.counts.stale_reopened) == (2, 1)
        assert [number for number, _ in peer.requests] == [0, 1, 1]


def test_a_stale_connection_whose_server_is_gone() -> None:
    """When it cannot be opened again, that is a connect error, and the next exchange tries once more."""
    with Peer([[COMMON, CLOSE]]) as peer:
        peer.ask()
        peer.until_news()
        peer._listener.close()
        for _ in range(2):
            with pytest.raises(ConnectError, match=r"refused"):
                peer.ask()
        assert (peer.counts.opened, peer.counts.stale_reopened) == (1, 1)


def test_open_and_close_are_idempotent() -> None:
    """Opening an open connection and closing a closed one do nothing."""
    with Peer([[COMMON]]) as peer:
        peer.client.open()
        peer.client.open()
        assert peer.ask()[0] == 200
        assert peer.counts.opened == 1
        peer.client.close()
        peer.client.close()


def test_a_killed_exchange_leaves_nothing_to_the_next() -> None:
    """A greenlet killed in the middle of an exchange closes: the old answer is read by nobody."""
    asked, go = Event(), Event()
    with Peer([[asked.set, COMMON[:30], go.wait, COMMON[30:]]], [[SECOND]]) as peer:
        exchange = gevent.spawn(peer.ask)
        asked.wait()
        exchange.kill()
        go.set()
        assert peer.client._socket is None
        assert peer.ask() == (201, b"second")


def test_a_killed_open_leaves_no_connection() -> None:
    """A greenlet killed while it connects leaves no half-open connection."""
    with silent_listener() as port:
        counts = ConnectionStats()
        connection = Connection(
            Endpoint.of(f"https://127.0.0.1:{port}"), counts, connect_timeout_s=5, answer_timeout_s=5
        )
        opening = gevent.spawn(connection.open)
        gevent.sleep(0)
        opening.kill()
        assert (connection._socket, counts.opened) == (None, 0)


# --- limits of time --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def silent_listener(backlog: int = 5) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        yield listener.getsockname()[1]


def timed(call: Callable[..., Any]) -> tuple[float, str]:
    began = monotonic()
    with pytest.raises(TimedOut) as raised:
        call()
    return monotonic() - began, str(raised.value)


def test_nobody_listens() -> None:
    """A refused connection is a connect error, at once."""
    with silent_listener() as port:
        pass
    connection = Connection(
        Endpoint.of(f"http://127.0.0.1:{port}"), ConnectionStats(), connect_timeout_s=5, answer_timeout_s=5
    )
    with pytest.raises(ConnectError, match=r"^no connection: Connection refused$"):
        connection.exchange(b"GET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "a..b"])
def test_a_name_that_does_not_resolve(host: str) -> None:
    """A name without an address, or that is no name, is a connect error with a reason."""
    connection = Connection(Endpoint(host, 80, False, ""), ConnectionStats(), connect_timeout_s=5, answer_timeout_s=5)
    with pytest.raises((ConnectError, TimedOut), match=r"^no connection(: .{8}| within)"):
        connection.open()


def test_a_connection_that_is_not_accepted_in_time() -> None:
    """A full backlog costs the connect limit, not the answer's."""
    with silent_listener(0) as port, contextlib.ExitStack() as stack:
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.1)
            try:
                filler.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        else:
            pytest.skip("this system completes connections beyond a listener's backlog")
        connection = Connection(
            Endpoint.of(f"http://127.0.0.1:{port}"), ConnectionStats(), connect_timeout_s=0.1, answer_timeout_s=5
        )
        took, text = timed(connection.open)
        assert (took < 2, text) == (True, "no connection within 0.1 s")


def test_a_tls_handshake_that_never_ends() -> None:
    """The connect limit is for the handshake too."""
    with silent_listener() as port:
        connection = Connection(
            Endpoint.of(f"https://127.0.0.1:{port}"), ConnectionStats(), connect_timeout_s=0.1, answer_timeout_s=5
        )
        took, text = timed(connection.open)
        assert (took < 2, text) == (True, "no connection within 0.1 s")


def test_no_answer_in_time() -> None:
    """A server that stays silent costs the answer limit; the late answer is not the next one's."""
    late = Event()
    with Peer([[late.wait, COMMON]], [[SECOND]]) as peer:
        peer.client = peer.connection(answer_timeout_s=0.1)
        took, text = timed(peer.ask)
        late.set()
        assert (0.09 < took < 2, text) == (True, "no answer within 0.1 s")
        assert peer.ask() == (201, b"second")
        assert [number for number, _ in peer.requests] == [0, 1]


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nX-Endless: " + b"y" * 1000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"y" * 1000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\ny\r\n" * 200,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 1000,
    ],
    ids=["head", "length", "chunked", "until close"],
)
def test_a_server_that_dribbles(wire: bytes) -> None:
    """A byte now and then does not keep an exchange alive beyond its limit."""
    steps: list[Any] = []
    for at in range(len(wire)):
        steps += [wire[at : at + 1], lambda: gevent.sleep(0.02)]
    # A head that comes at once takes the short way, so that its loop over the body is tried as well.
    head = wire.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in wire else 1
    with Peer([[wire[:head], *steps[2 * head :]]]) as peer:
        peer.client = peer.connection(answer_timeout_s=0.2)
        took, text = timed(peer.ask)
        assert (0.19 < took < 1.5, text) == (True, "no answer within 0.2 s")


def test_a_server_that_does_not_read() -> None:
    """The time that the request waits to be sent counts: the limit is for the whole exchange."""
    with silent_listener() as port:
        connection = Connection(
            Endpoint.of(f"http://127.0.0.1:{port}"), ConnectionStats(), connect_timeout_s=5, answer_timeout_s=0.2
        )
        took, text = timed(lambda: connection.exchange(b"x" * 50_000_000))
        assert (0.19 < took < 1.5, text) == (True, "no answer within 0.2 s")


def test_a_request_larger_than_the_buffers() -> None:
    """A request that goes out in many pieces arrives whole, and its answer comes back."""
    with Peer([[COMMON]]) as peer:
        request = peer.endpoint.request_bytes("POST", "/execute", bytes(range(256)) * 40_000)
        assert peer.client.exchange(request)[0] == 200
        assert peer.requests == [(0, request)]


# --- TLS, addresses and names ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    options = ["-days", "2", "-subj", "/CN=aether-load", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run([*command, *options], cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl command to make a certificate with")
    return folder


@pytest.fixture
def tls(certificate: Path) -> Iterator[Any]:
    context = gssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    tls_context.cache_clear()
    yield context
    tls_context.cache_clear()


@pytest.fixture
def trusted_tls(tls: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    return tls


def test_a_certificate_that_nobody_vouches_for(tls: Any) -> None:
    """A self-signed certificate is refused, in a sentence that says so."""
    with Peer([[COMMON]], tls=tls) as peer:
        with pytest.raises(ConnectError, match=r"^no connection: the certificate is not trusted: self.signed"):
            peer.ask()
        assert peer.requests == []


def test_a_certificate_for_another_name(trusted_tls: Any) -> None:
    """A trusted certificate of another host is refused."""
    with Peer([[COMMON]], tls=trusted_tls) as peer:
        endpoint = Endpoint("localhost", peer.port, True, "")
        connection = Connection(endpoint, ConnectionStats(), connect_timeout_s=5, answer_timeout_s=5)
        with pytest.raises(ConnectError, match=r"not trusted: .*(mismatch|not valid)"):
            connection.open()


def test_tls_with_trust(trusted_tls: Any) -> None:
    """With the certificate in SSL_CERT_FILE, answers of any form come back on one connection."""
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"y" * 300_000
    with Peer([[COMMON], [CHUNKED], [large], [COMMON[:20], COMMON[20:]]], tls=trusted_tls) as peer:
        assert [len(peer.ask()[1]) for _ in range(4)] == [15, 15, 300_000, 15]
        assert (peer.counts.opened, peer.counts.stale_reopened) == (1, 0)
        assert tls_context.cache_info().misses == 1


@pytest.mark.parametrize("end", [CLOSE, SECOND])
def test_a_stale_tls_connection(trusted_tls: Any, end: str | bytes) -> None:
    """A TLS connection closed while idle is opened again as well, and an answer that nobody asked for is found."""
    with Peer([[COMMON, end]] if end == CLOSE else [[]], [[SECOND]], tls=trusted_tls) as peer:
        if end != CLOSE:
            peer._scripts[0][0].extend([COMMON, peer.until_taken, end])
        peer.ask()
        # A session ticket may lie in wait too: only what can be read of the stream itself is news.
        while (news := peer.client._unread()) is None:
            gevent.sleep(0)
        peer.client._unread = lambda: news  # type: ignore[method-assign]
        if end == SECOND:
            with pytest.raises(NotHttp, match=r"^answer of another request: "):
                peer.ask()
        assert peer.ask() == (201, b"second")
        assert (peer.counts.opened, peer.counts.stale_reopened) == (2, int(end == CLOSE))


def test_limits_of_time_in_tls(trusted_tls: Any) -> None:
    """Silence and dribbling in TLS end as they do without."""
    dribble: list[Any] = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"]
    for _ in range(100):
        dribble += [b" ", lambda: gevent.sleep(0.02)]
    for steps in ([Event().wait], dribble):
        with Peer([steps], tls=trusted_tls) as peer:
            peer.client = peer.connection(answer_timeout_s=0.2)
            peer.client.open()
            took, text = timed(peer.ask)
            assert (0.19 < took < 1.5, text) == (True, "no answer within 0.2 s")


def test_plain_http_from_a_tls_port() -> None:
    """A server that speaks no TLS is a connect error with a reason."""
    with Peer([[]]) as peer:
        talking = gevent.spawn(lambda: peer._listener.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        peer._greenlets.kill()
        endpoint = Endpoint("127.0.0.1", peer.port, True, "")
        connection = Connection(endpoint, ConnectionStats(), connect_timeout_s=5, answer_timeout_s=5)
        with pytest.raises(ConnectError, match=r"^no connection: .{8}"):
            connection.open()
        talking.join()


def test_ipv6() -> None:
    """An IPv6 address in the URL is connected to, and stands in brackets in the Host header."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"there is no IPv6 here: {error}")
    with Peer([[COMMON]], host="::1") as peer:
        assert peer.ask()[0] == 200
        assert f"\r\nHost: [::1]:{peer.port}\r\n".encode() in peer.requests[0][1]


def test_the_base_path_of_the_url() -> None:
    """The path of the base URL comes before every request's own."""
    with Peer([[COMMON]], path="/proxy/aether/") as peer:
        peer.ask()
        assert peer.requests[0][1].startswith(b"POST /proxy/aether/execute HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://example.org", "example.org"),
        ("http://example.org:80", "example.org"),
        ("http://example.org:443", "example.org:443"),
        ("https://example.org", "example.org"),
        ("https://example.org:443/", "example.org"),
        ("https://example.org:80", "example.org:80"),
        ("http://EXAMPLE.org:8080/x", "example.org:8080"),
        ("http://[::1]", "[::1]"),
        ("http://[2001:DB8::1]:8080", "[2001:db8::1]:8080"),
    ],
)
def test_the_host_header(url: str, host: str) -> None:
    """The Host header names the port only where it is not the scheme's own."""
    request = Endpoint.of(url).request_bytes("GET", "/health")
    assert f"\r\nHost: {host}\r\n".encode() in request
    assert request.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in request


def test_the_length_of_an_empty_body() -> None:
    """A POST says its length even when it is zero."""
    assert b"\r\nContent-Length: 0\r\n" in Endpoint.of("http://h").request_bytes("POST", "/execute", b"")


def test_errors_have_one_root() -> None:
    """Every error of an exchange is a TransportError."""
    for error in (ConnectError, TimedOut, ConnectionLost, NotHttp):
        assert issubclass(error, TransportError)
    assert gsocket.timeout is TimeoutError
