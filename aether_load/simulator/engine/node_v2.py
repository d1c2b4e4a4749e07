"""Execute one node of generation v2: render, guard, look up, complete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aether_load.simulator.engine.cache import Cache, cache_key
from aether_load.simulator.engine.provider import Provider
from aether_load.simulator.engine.templates import Renderer
from aether_load.simulator.wire import NodeV2

_DEFAULT_MODEL = "gpt-4o-mini"


class NodeOutput(NamedTuple):
    """What a node that succeeded gave; tokens are 0 when the cache answered, `prompt` is None for a function."""

    text: str
    prompt: str | None = None
    cached: bool = False
    input_tokens: int = 0
    output_tokens: int = 0


async def run_node(
    node: NodeV2, renderer: Renderer, outputs: Mapping[str, str], provider: Provider, cache: Cache
) -> NodeOutput:
    """Run a node in a slot; raises NodeFailedError or PanicError when it does not succeed."""
    async with provider.slot:
        template = node.prompt if node.prompt_template is None else node.prompt_template
        if node.node_type != "llm_fn" or template is None:
            await provider.function()
            return NodeOutput(f"Function {node.id} executed")
        prompt = renderer.render(template, node, outputs)
        await provider.check(prompt)
        # The runtime keys a node without a model apart from one that names the default model.
        key = cache_key(prompt, "default" if node.model is None else node.model, node.temperature, node.max_tokens)
        cached = cache.get(key)
        if cached is not None:
            return NodeOutput(cached, prompt, cached=True)
        input_tokens = len(prompt.encode()) // 4
        output_tokens = 50 + input_tokens // 4
        text = await provider.complete(prompt, _DEFAULT_MODEL if node.model is None else node.model, output_tokens)
        cache.put(key, text)
        return NodeOutput(text, prompt, cached=False, input_tokens=input_tokens, output_tokens=output_tokens)
