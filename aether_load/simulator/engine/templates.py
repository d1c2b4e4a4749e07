"""Fill in prompt templates as the runtime does, with its errors and panics, in bounded memory and time."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from aether_load.simulator.engine.outcomes import NodeFailedError, PanicError, check_cut
from aether_load.simulator.wire import NodeV2, RenderPolicy, TemplateRef

RENDER_LIMIT = 32 * 1024 * 1024
"""Characters that the templates of one request may write; the runtime has no such limit."""

_LONG_INTEGER = re.compile(r"\d{19}")
_PREVIEW_OVER = 50
_PREVIEW_CUT = 47


class Renderer:
    """Renders the templates of one request, from its context and from the outputs of its nodes."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._context = context
        self._left = RENDER_LIMIT

    def render(self, template: str, node: NodeV2, outputs: Mapping[str, str]) -> str:
        """Return the prompt; raises NodeFailedError or PanicError where the runtime does, and beyond the limit."""
        self._spend(len(template))
        prompt = template
        allowed = frozenset(node.render_policy.allowed_context_keys)
        for ref in node.template_refs:
            value = self._value(ref, outputs, node.render_policy, allowed)
            if value is None and ref.required:
                path = json.dumps(ref.path, ensure_ascii=False)
                kind = ref.kind.title().replace("_", "")
                raise _failed(f"Missing required {kind} reference '{ref.raw}' (path: {path})")
            if value is not None:
                prompt = self._fill_in(prompt, ref.raw, self._fit(value, ref, node.render_policy))
        for placeholder, name in dict(_placeholders(prompt)).items():
            output = outputs.get(name)
            if output is not None:
                prompt = self._fill_in(prompt, placeholder, output)
        return prompt

    def _value(
        self, ref: TemplateRef, outputs: Mapping[str, str], policy: RenderPolicy, allowed: frozenset[str]
    ) -> str | None:
        if ref.folded_value is not None:
            return ref.folded_value
        match ref.kind:
            case "context":
                key = ref.path[0] if ref.path else ""
                if allowed and key not in allowed:
                    keys = json.dumps(policy.allowed_context_keys, ensure_ascii=False)
                    raise _failed(f"Context key '{key}' not in allowed list: {keys}")
                return self._from_context(ref)
            case "node_output":
                if ref.node_id is None:
                    raise _failed(f"Invalid template syntax in '{ref.raw}': NodeOutput reference missing node_id")
                if ref.required and ref.node_id not in outputs:
                    raise _failed(f"Missing output from node '{ref.node_id}' for placeholder '{ref.raw}'")
                return outputs.get(ref.node_id)
            case "constant":
                return None  # the compiler folds constants; one that arrives here has no value
        return outputs.get(ref.path[0] if ref.path else ref.raw.strip("{}"))

    def _from_context(self, ref: TemplateRef) -> str | None:
        if not ref.path:
            return None
        value: Any = self._context
        for key in ref.path:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        if value is None or isinstance(value, str):
            return value or ""
        return self._as_json(value)

    def _as_json(self, value: object) -> str:
        """Return compact JSON with sorted keys; integers beyond 64 bits are floats in the runtime."""
        text = msgspec.json.encode(value, order="sorted").decode()
        self._spend(len(text))
        if _LONG_INTEGER.search(text):
            self._spend(8 * len(text))  # long integers are slow to read and to write
            text = msgspec.json.encode(json.loads(text, parse_int=_integer)).decode()
        return text

    def _fit(self, value: str, ref: TemplateRef, policy: RenderPolicy) -> str:
        """Apply the policy to a value: its longest length in bytes, and HTML."""
        self._spend(len(value))
        longest = policy.max_value_length
        if longest and len(data := value.encode()) > longest:
            if ref.required:
                raise _failed(f"Value for '{ref.raw}' exceeds max length ({len(data)} > {longest})")
            try:
                value = data[:longest].decode()
            except UnicodeDecodeError:
                raise PanicError("assertion failed: self.is_char_boundary(new_len)") from None
        return html.escape(value) if policy.escape_html else value

    def _fill_in(self, prompt: str, placeholder: str, value: str) -> str:
        """Replace a placeholder wherever it stands; a value over 50 bytes is cut for the runtime's log."""
        grown = len(prompt) + prompt.count(placeholder) * (len(value) - len(placeholder))
        self._spend(max(len(prompt), grown))
        if not value.isascii() and len(value.encode()) > _PREVIEW_OVER:
            check_cut(value, _PREVIEW_CUT)
        return prompt.replace(placeholder, value)

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise _failed(f"the simulator writes no more than {RENDER_LIMIT} characters for one request")


def _failed(reason: str) -> NodeFailedError:
    return NodeFailedError(f"Template rendering failed: {reason}")


def _integer(digits: str) -> int | float:
    value = int(digits[:21])  # with more digits it is a float in any case
    return value if -(2**63) <= value < 2**64 else float(digits)


def _placeholders(prompt: str) -> Iterator[tuple[str, str]]:
    r"""Yield each match of `\{\{([^}]+)\}\}` and the name in it, in linear time, which `re` does not take."""
    for piece in prompt.split("}}")[:-1]:
        start = piece.find("{{", piece.rfind("}") + 1)
        if start >= 0 and (inside := piece[start + 2 :]):
            yield f"{{{{{inside}}}}}", inside.strip()
