"""Read the head of the common answer, whose body is as long as its Content-Length says."""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST_HEAD = 2048
"""Bytes of the longest head that is worth remembering."""

# The head of the common answer, and nothing that the C parser would read in another way: no second
# Content-Length, no Transfer-Encoding, no Connection but keep-alive, no status that has no body.
_VALUE = rb"[\t -~\x80-\xff]*+\r\n"
_OTHER_HEADERS = (
    rb"(?:(?!(?i:content-length|transfer-encoding|(?:proxy-)?connection(?!:[ \t]*+keep-alive[ \t]*+\r)):)"
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:" + _VALUE + rb")*+"
)
_match = re.compile(
    rb"HTTP/1\.1 (?!204|304)([2-9][0-9][0-9]) "
    + _VALUE
    + _OTHER_HEADERS
    + rb"(?i:content-length):[ \t]*+([0-9]{1,15})[ \t]*+\r\n"
    + _OTHER_HEADERS
    + rb"\r\n"
).match


@lru_cache(maxsize=512)
def common_head(head: bytes) -> tuple[int, int] | None:
    """Return status and Content-Length of the common answer's head, None for any other.

    The heads of a server recur, but for the second in them, and to find one costs a third of reading it.
    """
    match = _match(head)
    if match is None:
        return None
    status, digits = match.groups()
    return int(status), int(digits)
