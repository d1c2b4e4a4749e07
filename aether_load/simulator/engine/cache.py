"""Cache answers by exact match; the least recently used of 1,000 entries goes first."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import msgspec

CAPACITY = 1000


class Cache:
    """Outputs by key, with counts of look-ups; clearing keeps the counts."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self._outputs: OrderedDict[bytes, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._outputs)

    def get(self, key: bytes) -> str | None:
        """Return the stored output and make it the most recently used, or None; both are counted."""
        output = self._outputs.get(key)
        if output is None:
            self.misses += 1
            return None
        self._outputs.move_to_end(key)
        self.hits += 1
        return output

    def put(self, key: bytes, output: str) -> None:
        """Store an output as the most recently used."""
        self._outputs[key] = output
        self._outputs.move_to_end(key)
        if len(self._outputs) > self.capacity:
            self._outputs.popitem(last=False)

    def clear(self) -> None:
        """Drop the entries and keep the counts, as `POST /cache/clear` does."""
        self._outputs.clear()

    def stats(self) -> dict[str, int | float]:
        """Return the answer to `GET /cache/stats`."""
        looked_up = self.hits + self.misses
        hit_rate = self.hits / looked_up if looked_up else 0.0
        return {"entries": len(self), "hits": self.hits, "misses": self.misses, "hit_rate": hit_rate}


def cache_key(prompt: str, model: str, temperature: float | None, max_tokens: int | None) -> bytes:
    """Return a digest of what two LLM nodes must share to share an answer; prompts are too large to keep."""
    return hashlib.sha256(msgspec.msgpack.encode((prompt, model, temperature, max_tokens))).digest()
