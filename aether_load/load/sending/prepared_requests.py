"""Hold every request's bytes, built before the load: by prompt, in each variant that a stage needs."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw

from aether_load.dag.unique import MARK, mark_of, with_mark
from aether_load.load.http.endpoint import Endpoint
from aether_load.protocol import EXECUTE_PATH, SEQUENTIAL_QUERY
from aether_load.response import sent_prompt
from aether_load.scenario.stage import Stage


class PreparedRequests:
    """The requests of a run; `use` turns to the variant of a stage.

    A variant is a path (one node at a time or not) and whether prompts bear a mark that is another one in every
    request; the mark is of one length, so that only it has to be written when the request goes out.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        bodies: Sequence[bytes],
        stages: Sequence[Stage],
        mark_seed: str,
        prompt_nodes: Sequence[str | None] = (),
    ) -> None:
        """Make the variants that `stages` need; `prompt_nodes` are those whose prompt the answer to a body repeats."""
        self._seed = mark_seed
        self._variants = {
            variant: _write(endpoint, bodies, *variant)
            for variant in {(stage.sequential, stage.unique_prompts) for stage in stages} or {(False, False)}
        }
        self._requests, self._unique = next(iter(self._variants.values())), False
        self._prompts: dict[bool, tuple[Raw | None, ...]] = {}
        if any(node is not None for node in prompt_nodes):
            self._prompts = {
                sequential: tuple(
                    None if node is None else sent_prompt(request, node)
                    for request, node in zip(requests, prompt_nodes, strict=False)
                )
                for (sequential, unique), requests in self._variants.items()
                if not unique
            }
        self._sent_prompts = self._prompts.get(False)

    def use(self, stage: Stage) -> None:
        """Give out the requests of this stage's variant from now on."""
        self._requests = self._variants[stage.sequential, stage.unique_prompts]
        self._unique = stage.unique_prompts
        self._sent_prompts = None if stage.unique_prompts else self._prompts.get(stage.sequential)

    def request_of(self, request: int, prompt: int) -> tuple[bytes, Raw | None]:
        """Return what goes out, as `bytes_of` does, and what its answer repeats, as `prompt_of`: in one call."""
        if self._unique:
            return self.bytes_of(request, prompt), None
        sent = self._sent_prompts
        return self._requests[prompt], None if sent is None else sent[prompt]

    def bytes_of(self, request: int, prompt: int) -> bytes:
        """Return what goes out for a prompt in the run's request of that index."""
        if self._unique:
            return self._requests[prompt].replace(MARK, mark_of(self._seed, request))
        return self._requests[prompt]

    def prompt_of(self, prompt: int) -> Raw | None:
        """Return the JSON text that the answer to a prompt repeats; None where it differs from request to request."""
        return None if self._sent_prompts is None else self._sent_prompts[prompt]


def _write(endpoint: Endpoint, bodies: Sequence[bytes], sequential: bool, unique: bool) -> tuple[bytes, ...]:
    path = EXECUTE_PATH + SEQUENTIAL_QUERY if sequential else EXECUTE_PATH
    return tuple(endpoint.request_bytes("POST", path, with_mark(body) if unique else body) for body in bodies)
