"""Make a stage's requests: their numbers in the run, their prompts, and in open load when each is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aether_load.load.sending.sender_context import SenderContext
from aether_load.load.sending.stage_work import StageWork
from aether_load.scenario.stage import Stage
from aether_load.schedule.arrivals import arrival_offsets
from aether_load.schedule.order import Work, prompt_order, prompts_of
from aether_load.schedule.shard import WHOLE
from aether_load.schedule.work_limit import work_limit


class RequestSource:
    """The requests of one process, which is to send a `share` of each stage's."""

    def __init__(self, sender_context: SenderContext, announce: Callable[[int], int]) -> None:
        """Call `announce` with the number of a request that is about to be taken on; it says from which on again."""
        self._sender_context = sender_context
        self._announce = announce
        self._announce_at = 0
        self.handed_out = 0
        """How many requests have a number so far."""
        self.share = WHOLE

    def limit(self, stage: Stage) -> tuple[int | None, str]:
        """Return how many requests the window of a stage sends in all processes, and what says so."""
        context = self._sender_context
        return work_limit(stage, context.workload.of_phase(stage.phase), context.traces)

    def closed_work(self, stage: Stage, place: int, limit: int | None) -> Iterator[Work]:
        """Return the requests of a closed load, which users take one after the other."""
        is_window = limit is not None or not stage.has_ramp
        work = StageWork(
            place,
            self._prompts(stage, limit),
            self._number,
            requests=self.share.count(stage.requests) if is_window else None,
            passes=stage.passes if is_window else None,
        )
        self._sender_context.work = work
        return _taken_from(work)

    def begin_arrivals(self, stage: Stage, place: int) -> None:
        """Have the first request of each arrival's task come with it; further ones of the task begin over."""
        self._sender_context.work = StageWork(place, self._prompts(stage, None), self._number)

    def ramp_arrivals(self, stage: Stage, place: int, began_ns: int) -> Iterator[Work]:
        """Return the requests of an open load's ramp and warm-up, in the order in which they are due."""
        return self._arriving(self._offsets(stage, "ramp", ramp=True), self._prompts(stage, None), began_ns, place)

    def window_arrivals(self, stage: Stage, place: int, limit: int | None, began_ns: int) -> Iterator[Work]:
        """Return the requests of an open load's window, in the order in which they are due."""
        prompts = self._prompts(stage, limit)
        if stage.trace:
            offsets: Iterator[int] = self.share.items(self._sender_context.traces[stage.phase].offsets_ns)
        else:
            offsets = self._offsets(stage, "window", ramp=False)
        return self._arriving(offsets, prompts, began_ns, place)

    def take_back(self, work: Work | None) -> None:
        """Give the number of a request that never became due to the next one."""
        if work is not None:
            self.handed_out = work[0]

    def each_prompt_once(self, stage: Stage) -> list[int]:
        """Return the places of the share's prompts, each once."""
        trace = self._sender_context.traces.get(stage.phase)
        if trace is not None and trace.prompts is not None:
            return list(self.share.items(list(dict.fromkeys(trace.prompts))))
        return list(self.share.items(prompts_of(self._sender_context.workload.of_phase(stage.phase))))

    def _number(self) -> int:
        """Return the number of the next request in the run."""
        request = self.handed_out
        self.handed_out += 1
        if request >= self._announce_at:
            self._announce_at = self._announce(request)
        return request

    def _prompts(self, stage: Stage, limit: int | None) -> Iterator[int]:
        """Return the places of the share's prompts from the first one on, pass after pass."""
        trace = self._sender_context.traces.get(stage.phase)
        if trace is not None and trace.prompts is not None:
            return self.share.items(trace.prompts[:limit])
        parts = self._sender_context.workload.of_phase(stage.phase)
        return prompt_order(parts, self._sender_context.scenario.seed, limit, self.share)

    def _offsets(self, stage: Stage, part: str, *, ramp: bool) -> Iterator[int]:
        assert stage.rate_rps is not None
        seed = f"{self._sender_context.scenario.seed} {stage.name} {part}"
        if not ramp or not stage.ramp_over_s:
            return arrival_offsets(stage.arrivals, stage.rate_rps, seed, share=self.share)
        return arrival_offsets(
            stage.arrivals,
            stage.rate_rps,
            seed,
            ramp_from_rps=stage.ramp_from,
            ramp_over_s=stage.ramp_over_s,
            share=self.share,
        )

    def _arriving(self, offsets: Iterator[int], prompts: Iterator[int], began_ns: int, place: int) -> Iterator[Work]:
        # The shorter one ends it; a prompt is drawn first, so that no due time is lost to a limit.
        for prompt, offset in zip(prompts, offsets, strict=False):
            yield self._number(), prompt, began_ns + offset, place


def _taken_from(work: StageWork) -> Iterator[Work]:
    for prompt in work.prompts:
        request = work.next_request()
        if request is None:
            return
        yield request, prompt, None, work.place
