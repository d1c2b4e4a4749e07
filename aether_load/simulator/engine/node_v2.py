"""One node of today's generation: render, guard, look up, complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aether_load.simulator.engine.cache import Cache, CacheKey
from aether_load.simulator.engine.templates import Renderer

if TYPE_CHECKING:
    from aether_load.simulator.engine.provider import Provider
    from aether_load.simulator.wire import NodeV2

DEFAULT_MODEL = "gpt-4o-mini"


class NodeOutput(NamedTuple):
    """What a node that succeeded gave; tokens are 0 when the cache answered."""

    text: str
    prompt: str | None
    cached: bool
    input_tokens: int
    output_tokens: int


async def run_node(
    node: NodeV2, renderer: Renderer, outputs: dict[str, str], provider: Provider, cache: Cache
) -> NodeOutput:
    """Run a node in a slot; NodeFailedError or PanicError when it does not succeed."""
    await provider.slots.take()
    try:
        template = node.prompt_template if node.prompt_template is not None else node.prompt
        if node.node_type != "llm_fn" or template is None:
            await provider.function()
            return NodeOutput(f"Function {node.id} executed", None, cached=False, input_tokens=0, output_tokens=0)
        prompt = renderer.render(template, node, outputs)
        await provider.check(prompt)
        # The runtime keys a node without a model apart from one that names the default model.
        key = CacheKey(prompt, "default" if node.model is None else node.model, node.temperature, node.max_tokens)
        cached = cache.get(key)
        if cached is not None:
            return NodeOutput(cached, prompt, cached=True, input_tokens=0, output_tokens=0)
        input_tokens = len(prompt.encode()) // 4
        output_tokens = 50 + input_tokens // 4
        model = DEFAULT_MODEL if node.model is None else node.model
        text = await provider.complete(prompt, model, output_tokens)
        cache.put(key, text)
        return NodeOutput(text, prompt, cached=False, input_tokens=input_tokens, output_tokens=output_tokens)
    finally:
        provider.slots.give_back()
