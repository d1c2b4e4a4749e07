"""Filling in prompt templates as the runtime does, with its errors and its panics."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from aether_load.simulator.engine.outcomes import NodeFailedError, PanicError, check_cut
from aether_load.simulator.refusals import read_integer

if TYPE_CHECKING:
    from aether_load.simulator.wire import NodeV2, RenderPolicy, TemplateRef

_PLACEHOLDER = re.compile(r"\{\{([^}]+)\}\}")
_LONG_INTEGER = re.compile(r"\d{19}")
_KIND_NAMES = {
    "context": "Context",
    "node_output": "NodeOutput",
    "parameter": "Parameter",
    "constant": "Constant",
    "variable": "Variable",
}
_PREVIEW_OVER = 50
_PREVIEW_CUT = 47


def render(template: str, node: NodeV2, context: dict[str, Any], outputs: dict[str, str]) -> str:
    """Return the prompt; NodeFailedError for a value that is missing or not allowed, PanicError where a cut breaks."""
    prompt = template
    for ref in node.template_refs:
        value = _resolve(ref, context, outputs, node.render_policy)
        if value is None:
            if ref.required:
                path = json.dumps(ref.path, ensure_ascii=False)
                kind = _KIND_NAMES[ref.kind]
                raise _failed(f"Missing required {kind} reference '{ref.raw}' (path: {path})")
            continue
        value = _limit(value, ref, node.render_policy)
        if node.render_policy.escape_html:
            value = _escape(value)
        prompt = prompt.replace(ref.raw, value)
        _preview(value)
    return _fill_bare(prompt, outputs) if "{{" in prompt else prompt


def _failed(reason: str) -> NodeFailedError:
    return NodeFailedError(f"Template rendering failed: {reason}")


def _resolve(ref: TemplateRef, context: dict[str, Any], outputs: dict[str, str], policy: RenderPolicy) -> str | None:
    if ref.folded_value is not None:
        return ref.folded_value
    match ref.kind:
        case "context":
            return _from_context(ref, context, policy)
        case "node_output":
            if ref.node_id is None:
                raise _failed(f"Invalid template syntax in '{ref.raw}': NodeOutput reference missing node_id")
            output = outputs.get(ref.node_id)
            if output is None and ref.required:
                raise _failed(f"Missing output from node '{ref.node_id}' for placeholder '{ref.raw}'")
            return output
        case "constant":
            return None  # the compiler folds constants; one that arrives here has no value
    return outputs.get(ref.path[0] if ref.path else ref.raw.strip("{}"))


def _from_context(ref: TemplateRef, context: dict[str, Any], policy: RenderPolicy) -> str | None:
    if policy.allowed_context_keys:
        key = ref.path[0] if ref.path else ""
        if key not in policy.allowed_context_keys:
            allowed = json.dumps(policy.allowed_context_keys, ensure_ascii=False)
            raise _failed(f"Context key '{key}' not in allowed list: {allowed}")
    if not ref.path:
        return None
    value: Any = context
    for key in ref.path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    if isinstance(value, str):
        return value
    return "" if value is None else _as_json(value)


def _as_json(value: object) -> str:
    """Return compact JSON with sorted keys; integers beyond 64 bits are floats in the runtime."""
    text = msgspec.json.encode(value, order="sorted").decode()
    if _LONG_INTEGER.search(text):
        text = msgspec.json.encode(json.loads(text, parse_int=read_integer)).decode()
    return text


def _limit(value: str, ref: TemplateRef, policy: RenderPolicy) -> str:
    longest = policy.max_value_length
    if not longest or len(data := value.encode()) <= longest:
        return value
    if ref.required:
        raise _failed(f"Value for '{ref.raw}' exceeds max length ({len(data)} > {longest})")
    try:
        return data[:longest].decode()
    except UnicodeDecodeError:
        raise PanicError("assertion failed: self.is_char_boundary(new_len)") from None


def _escape(value: str) -> str:
    for plain, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#x27;")):
        value = value.replace(plain, escaped)
    return value


def _preview(value: str) -> None:
    """Each value that is filled in is cut for the log when it is over 50 bytes."""
    if not value.isascii() and len(value.encode()) > _PREVIEW_OVER:
        check_cut(value, _PREVIEW_CUT)


def _fill_bare(prompt: str, outputs: dict[str, str]) -> str:
    """Fill in `{{X}}` where X is the id of a finished node; everything else stays as it stands."""
    result = prompt
    for match in _PLACEHOLDER.finditer(prompt):
        value = outputs.get(match[1].strip())
        if value is not None and match[0] in result:
            result = result.replace(match[0], value)
            _preview(value)
    return result
