"""Mark prompts so that no cache knows them: a harmless remark at the end, another one in every request."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

MARK = b"00c5ae7be1f0ad00"
"""Stands in a request's bytes where its mark comes; of the same length as a mark, so that no length changes."""
_REMARK = "\n\n(Request " + MARK.decode() + ".)"


def with_mark(body: bytes) -> bytes:
    """Return a request body, of either generation, in which every prompt ends with a remark that holds `MARK`."""
    request: dict[str, Any] = msgspec.json.decode(body)
    nodes = request.get("dag", request)["nodes"]
    for node in nodes:
        for key in ("prompt_template", "prompt"):
            if isinstance(node.get(key), str):
                node[key] += _REMARK
                break
    return msgspec.json.encode(request)


def mark_of(seed: str, request: int) -> bytes:
    """Return the mark of a run's request: 16 hex digits, the same for the same seed and index."""
    return blake2b(request.to_bytes(8, "little"), digest_size=8, key=seed.encode()[:64]).hexdigest().encode()
