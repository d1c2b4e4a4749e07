"""Endpoints, refusals and HTTP itself, of both generations."""

from __future__ import annotations

import http.client
import re
import socket
from typing import Any

import msgspec
import pytest

from contract.contract_runtime import JSON_TYPE, Runtime

LIMIT = 2 * 1024 * 1024


def body_of(runtime: Runtime, **fields: Any) -> bytes:
    nodes = [runtime.function("f")]
    return msgspec.json.encode({"nodes": nodes} if runtime.generation == "v1" else {"dag": {"nodes": nodes}, **fields})


def head(body: bytes, *lines: str, version: str = "1.1", path: str = "/execute") -> bytes:
    start = [f"POST {path} HTTP/{version}", "host: x", "content-type: application/json", f"content-length: {len(body)}"]
    return ("\r\n".join([*start, *lines]) + "\r\n\r\n").encode()


def test_health(runtime: Runtime) -> None:
    """GET /health is OK in plain text."""
    reply = runtime.call("GET", "/health")
    assert (reply.status, reply.body) == (200, b"OK")
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.headers["content-length"] == "2"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", reply.headers["date"])


def test_head_of_a_get_route(runtime: Runtime) -> None:
    """HEAD answers with GET's headers and no body."""
    reply = runtime.call("HEAD", "/health")
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "2")


@pytest.mark.parametrize("path", ["/", "/nowhere", "/execute/", "/Health"])
def test_unknown_paths_are_404_and_empty(runtime: Runtime, path: str) -> None:
    """A path that is not there is 404 with an empty body."""
    reply = runtime.call("GET", path)
    assert (reply.status, reply.body) == (404, b"")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/execute", "POST"),
        ("HEAD", "/execute", "POST"),
        ("POST", "/health", "GET,HEAD"),
        ("PUT", "/metrics", "GET,HEAD"),
    ],
)
def test_wrong_methods_are_405_and_empty(runtime: Runtime, method: str, path: str, allowed: str) -> None:
    """A method that a path does not know is 405 with an empty body and the methods that it knows."""
    reply = runtime.call(method, path)
    assert (reply.status, reply.body, reply.headers["allow"]) == (405, b"", allowed)


def test_v1_has_no_cache(v1: Runtime) -> None:
    """A v1 runtime answers 404 on the cache's paths."""
    assert [v1.call("GET", "/cache/stats").status, v1.call("POST", "/cache/clear").status] == [404, 404]


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"", {400}),
        (b"{", {400}),
        (b"nothing", {400}),
        (b'{"nodes": [}', {400}),
        (b'{"dag": NaN}', {400}),
        (b'{"dag": "\xff"}', {400, 422}),
        (b"[" * 10_000, {400, 422}),
    ],
)
def test_a_body_that_is_not_json_is_400(runtime: Runtime, body: bytes, statuses: set[int]) -> None:
    """A body that is not JSON is 400, or 422 where its shape is wrong before the JSON is; in plain text."""
    reply = runtime.call("POST", "/execute", body, JSON_TYPE)
    assert reply.status in statuses
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.text.startswith("Failed to ")


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/xml", "application/jsonx"])
def test_another_content_type_is_415(runtime: Runtime, content_type: str | None) -> None:
    """A body that is not announced as JSON is 415, whatever it is."""
    headers = {"content-type": content_type} if content_type else {}
    reply = runtime.call("POST", "/execute", b"{", headers)
    assert (reply.status, reply.text) == (415, "Expected request with `Content-Type: application/json`")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/dag+json"]
)
def test_other_ways_to_announce_json(runtime: Runtime, content_type: str) -> None:
    """Parameters, capitals and a +json suffix are JSON too."""
    assert runtime.call("POST", "/execute", body_of(runtime), {"content-type": content_type}).status == 200


@pytest.mark.parametrize("value", [{}, {"other": 1}, 5, None, "dag"])
def test_json_of_another_shape_is_422(runtime: Runtime, value: Any) -> None:
    """JSON of another shape is 422 with a sentence in plain text, which names a field that is missing."""
    wanted = "nodes" if runtime.generation == "v1" else "dag"
    reply = runtime.post(value)
    assert reply.status == 422
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.text.startswith("Failed to deserialize the JSON body into the target type: ")
    assert f"missing field `{wanted}`" in reply.text or not isinstance(value, dict)


def test_the_other_generations_body_is_422(runtime: Runtime) -> None:
    """Each generation refuses the other's body and names the field that it misses."""
    if runtime.generation == "v1":
        reply, field = runtime.post({"dag": {"nodes": []}}), "nodes"
    else:
        reply, field = runtime.post({"nodes": []}), "dag"
    assert reply.status == 422
    assert f"missing field `{field}`" in reply.text


def test_v1_wants_dependencies(v1: Runtime) -> None:
    """A v1 node must have dependencies; prompt and model may be absent or null."""
    reply = v1.post({"nodes": [{"id": "a", "node_type": "fn"}]})
    assert (reply.status, "nodes[0]: missing field `dependencies`" in reply.text) == (422, True)
    assert v1.run({"id": "a", "node_type": "fn", "dependencies": [], "prompt": None, "model": None})["errors"] == []


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"node_type": ...}, ": missing field `node_type`"),
        ({"node_type": "LlmFn"}, ".node_type: "),
        ({"id": 5}, ".id: "),
        ({"max_tokens": -1}, ".max_tokens: "),
        ({"max_tokens": 1.5}, ".max_tokens: "),
        ({"max_tokens": 2**32}, ".max_tokens: "),
        ({"dependencies": None}, ".dependencies: "),
        ({"template_refs": [{"raw": "x", "kind": "no"}]}, ".template_refs[0].kind: "),
    ],
)
def test_v2_says_where_a_node_is_wrong(v2: Runtime, fields: dict[str, Any], place: str) -> None:
    """A v2 runtime names the path of the value that is wrong."""
    node = {name: value for name, value in {**v2.function("a"), **fields}.items() if value is not ...}
    reply = v2.post({"dag": {"nodes": [node]}})
    assert reply.status == 422
    assert f"target type: dag.nodes[0]{place}" in reply.text


def test_sequential_wants_true_or_false(v2: Runtime) -> None:
    """?sequential=1 is 400; true and false are not, and other parameters mean nothing."""
    queries = ["?sequential=1", "?sequential=", "?sequential=True", "?sequential=true", "?sequential=false", "?other=1"]
    statuses = [v2.call("POST", f"/execute{query}", body_of(v2), JSON_TYPE).status for query in queries]
    assert statuses == [400, 400, 400, 200, 200, 200]


def test_v1_ignores_sequential(v1: Runtime) -> None:
    """?sequential means nothing to a v1 runtime, not even a wrong one."""
    assert v1.call("POST", "/execute?sequential=1", body_of(v1), JSON_TYPE).status == 200


def test_a_body_over_two_mebibytes_is_413(runtime: Runtime) -> None:
    """A body of 2 MiB is read; one byte more is 413."""
    body = body_of(runtime)
    assert runtime.call("POST", "/execute", body.ljust(LIMIT), JSON_TYPE).status == 200
    reply = runtime.raw(head(b" " * (LIMIT + 1), "connection: close") + body.ljust(LIMIT + 1))
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert reply.endswith(b"length limit exceeded")


def test_a_chunked_body(runtime: Runtime) -> None:
    """A body in chunks is read."""
    body = body_of(runtime)
    pieces = iter([body[:10], body[10:]])
    reply = runtime.call("POST", "/execute", pieces, JSON_TYPE, encode_chunked=True)
    assert (reply.status, reply.json()["errors"]) == (200, [])


def test_expect_continue(runtime: Runtime) -> None:
    """A client that asks first is told to go on."""
    body = body_of(runtime)
    with socket.create_connection(runtime.address, timeout=60) as connection:
        connection.sendall(head(body, "expect: 100-continue", "connection: close"))
        first = connection.recv(65536)
        assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 200


def test_connections_stay_open(runtime: Runtime) -> None:
    """One connection serves many requests, refused ones too."""
    connection = http.client.HTTPConnection(*runtime.address, timeout=60)
    statuses = []
    for body in (body_of(runtime), b"{", b"{}", body_of(runtime)):
        connection.request("POST", "/execute", body, JSON_TYPE)
        first_socket = connection.sock
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
        assert connection.sock is first_socket
    connection.close()
    assert statuses == [200, 400, 422, 200]


def test_pipelined_requests_are_answered_in_order(runtime: Runtime) -> None:
    """Requests that are sent without waiting are answered one after the other."""
    body = body_of(runtime)
    sent = head(body) + body + b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" + head(b"{", "connection: close") + b"{"
    reply = runtime.raw(sent)
    assert re.findall(rb"HTTP/1.1 (\d+)", reply) == [b"200", b"200", b"400"]


def test_connection_close_is_honoured(runtime: Runtime) -> None:
    """A client that wants the connection closed gets it closed."""
    assert runtime.raw(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").endswith(b"\r\n\r\nOK")


def test_http_1_0(runtime: Runtime) -> None:
    """An HTTP/1.0 request is answered in HTTP/1.0, and its connection closed."""
    reply = runtime.raw(b"GET /health HTTP/1.0\r\n\r\n")
    assert reply.startswith(b"HTTP/1.0 200 OK\r\n")
    assert reply.endswith(b"\r\n\r\nOK")


def test_what_is_no_http_is_400(runtime: Runtime) -> None:
    """Bytes that are no HTTP are 400, and the connection is closed."""
    assert runtime.raw(b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
