"""Send what lm-eval asks, each call as a phase of one run, which is made with the first request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from aether_load.datasets.prompt import Prompt
from aether_load.datasets.question import question_text
from aether_load.evaluation.account import TaskAccount, check_success
from aether_load.evaluation.asking import Asking, Reply, is_unanswered
from aether_load.evaluation.generation import GenerationPlan
from aether_load.evaluation.options import StubOptions, hidden_model_args
from aether_load.evaluation.plan import NAME, identity_of, plain_scenario
from aether_load.evaluation.run import EvaluationRun
from aether_load.evaluation.target import ANSWER_NODE, Target
from aether_load.outputs.summary import check_summary
from aether_load.protocol import DagRequest, Generation, LlmNode, encode_request
from aether_load.rundata.folder import RunFolder
from aether_load.runtime_client import probe
from aether_load.scenario.command_line.headers import filled_in
from aether_load.scenario.phase import Phase

Document = Mapping[str, Any]


class DocumentRequest(msgspec.Struct, frozen=True):
    """What is asked for a document of lm-eval, and how the answer is generated; the document itself is not sent."""

    prompt: Prompt
    plan: GenerationPlan
    document: Document


class EvaluationSession:
    """The runtime that is asked, the run that is written, and what became of each task's documents."""

    def __init__(self, options: StubOptions) -> None:
        """Find the runtime; raises TargetError when none is there, UsageError for options that do not work."""
        headers = filled_in(options.headers)
        self._results = Path(options.results_dir)
        RunFolder.check_room(self._results)
        check_summary(self._results / "summary.csv")
        facts = probe(options.aether_url, headers, tls=options.tls, option="--model_args aether_url=")
        self._options = options
        self._target = Target(
            facts,
            headers,
            tls=options.tls,
            connect_timeout_s=options.connect_timeout,
            request_timeout_s=options.request_timeout,
        )
        self._phases: list[Phase] = []
        self._plans: list[GenerationPlan] = []
        self.generation = facts.generation
        self.run: EvaluationRun | None = None
        self.tasks: dict[str, TaskAccount] = {}

    def ask(self, kind: str, asked: Sequence[DocumentRequest], on_reply: Callable[[], None]) -> list[Reply]:
        """Ask the documents of one call of lm-eval, count what became of them, and return a reply for each.

        `on_reply` is called after each. Raises NothingSucceeded.
        """
        if self.generation is Generation.V1:
            asked = [msgspec.structs.replace(each, plan=each.plan.for_v1()) for each in asked]
        bodies = [self.body(each.prompt, each.plan) for each in asked]
        run, users, first = self._begin_phase(kind, asked)
        asking = Asking(self._target, run.requests, in_flight=users, max_retries=self._options.max_retries)
        try:
            replies = asking.ask(bodies, first, on_reply)
        except BaseException:
            run.end_phase("interrupted")
            raise
        run.end_phase("passes")
        for each, reply in zip(asked, replies, strict=True):
            self.tasks[each.prompt.dataset].add(reply, each.plan, unanswered=is_unanswered(each.prompt, reply))
        check_success(replies)
        return replies

    def _begin_phase(self, kind: str, asked: Sequence[DocumentRequest]) -> tuple[EvaluationRun, int, int]:
        """Begin the phase of a call; return the run, how many requests go at a time, and the first prompt's index."""
        by_task: dict[str, list[Document]] = {}
        for each in asked:
            by_task.setdefault(each.prompt.dataset, []).append(each.document)
        identities = [identity_of(task, rows) for task, rows in by_task.items() if task not in self.tasks]
        self.tasks.update((identity.name, TaskAccount()) for identity in identities)
        users = min(self._options.num_concurrent, len(asked))
        repeats = sum(phase.name.split(".")[0] == kind for phase in self._phases)
        name = f"{kind}.{repeats + 1}" if repeats else kind
        self._phases.append(Phase(name=name, users=users, passes=1))
        self._plans += [each.plan for each in asked]
        scenario = plain_scenario(self._options, self._phases, self.tasks, self._plans)
        if self.run is None:
            command = ["lm_eval", *hidden_model_args(sys.argv[1:])]
            self.run = EvaluationRun(RunFolder.create(self._results, NAME), scenario, self._target, command)
        prompts = [each.prompt for each in asked]
        return self.run, users, self.run.begin_phase(name, users, prompts, identities, scenario)

    def body(self, prompt: Prompt, plan: GenerationPlan) -> bytes:
        """Return the request that asks a prompt."""
        node = LlmNode(
            id=ANSWER_NODE,
            prompt=question_text(prompt),
            model=self._options.model_name,
            temperature=plan.temperature,
            max_tokens=plan.max_tokens,
        )
        return encode_request(DagRequest(f"{NAME}_{prompt.dataset}", (node,)), self.generation)
