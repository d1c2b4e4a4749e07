"""Execute one node of generation v2: render, guard, look up, complete."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic_ns

from msgspec import UNSET, UnsetType

from aether_load.simulator.engine.cache import Cache, cache_key
from aether_load.simulator.engine.provider import Provider
from aether_load.simulator.engine.templates import Renderer
from aether_load.simulator.wire import NodeV2, ResultV2

_DEFAULT_MODEL = "gpt-4o-mini"


async def run_node(
    node: NodeV2, level: int, renderer: Renderer, outputs: Mapping[str, str], provider: Provider, cache: Cache
) -> ResultV2:
    """Run a node in a slot; raises NodeFailedError or PanicError when it does not succeed."""
    began = monotonic_ns()
    prompt: str | UnsetType = UNSET
    is_cached, input_tokens, output_tokens = False, 0, 0
    async with provider.slot:
        template = node.prompt if node.prompt_template is None else node.prompt_template
        if node.node_type != "llm_fn" or template is None:
            await provider.function()
            text = f"Function {node.id} executed"
        else:
            prompt = renderer.render(template, node, outputs)
            await provider.check(prompt)
            # The runtime keys a node without a model apart from one that names the default model.
            key = cache_key(prompt, "default" if node.model is None else node.model, node.temperature, node.max_tokens)
            cached = cache.get(key)
            is_cached = cached is not None
            if cached is None:
                input_tokens = len(prompt.encode()) // 4
                output_tokens = 50 + input_tokens // 4
                model = _DEFAULT_MODEL if node.model is None else node.model
                cached = await provider.complete(prompt, model, output_tokens)
                cache.put(key, cached)
            text = cached
    took = (monotonic_ns() - began) // 1_000_000
    tokens = input_tokens + output_tokens
    return ResultV2(node.id, text, took, tokens, is_cached, prompt, input_tokens, output_tokens, level)
