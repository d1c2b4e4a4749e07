"""Run one evaluation, from its first call to its report: what lm-eval asks, as documents sent and recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aether_load.datasets.answer import LETTERS, parse_letter
from aether_load.datasets.prompt import Prompt
from aether_load.datasets.question import question_text
from aether_load.errors import AetherLoadError, ExitCode
from aether_load.evaluation.account import SentArguments, TaskAccount, meaningless, model_info, nothing_succeeded
from aether_load.evaluation.asking import Asking, Reply
from aether_load.evaluation.generation import GenerationPlan, truncate
from aether_load.evaluation.gold import gold_of
from aether_load.evaluation.options import StubOptions, hidden_model_args
from aether_load.evaluation.output import copy_results
from aether_load.evaluation.plan import NAME, Sent, identity_of, plain_scenario
from aether_load.evaluation.questions import Question
from aether_load.evaluation.run import EvaluationRun
from aether_load.evaluation.target import ANSWER_NODE, Target
from aether_load.outputs.summary import check_summary
from aether_load.protocol import DagRequest, Generation, LlmNode, Outcome, encode_request
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import Ended
from aether_load.runtime_client import probe
from aether_load.scenario.command_line.headers import filled_in

Document = Mapping[str, Any]


class NothingSucceeded(AetherLoadError):
    """No document of a call was answered, so there is nothing to score."""

    exit_code = ExitCode.FAILED


class Evaluation:
    """Asks a runtime, counts what became of the documents, and writes a run folder, made with the first request."""

    def __init__(self, options: StubOptions) -> None:
        """Find the runtime; raises TargetError when none is there, UsageError for options that do not work."""
        headers = filled_in(options.headers)
        results = Path(options.results_dir)
        RunFolder.check_room(results)
        check_summary(results / "summary.csv")
        facts = probe(options.aether_url, headers, tls=options.tls, option="--model_args aether_url=")
        self.options = options
        self.target = Target(
            facts,
            headers,
            tls=options.tls,
            connect_timeout_s=options.connect_timeout,
            request_timeout_s=options.request_timeout,
        )
        self._results = results
        self._run: EvaluationRun | None = None
        self._calls: list[Sent] = []
        self._tasks: dict[str, TaskAccount] = {}
        self._interrupted = False
        self._failed_with: int | None = None
        self._warnings: dict[str, None] = {}
        self._info: dict[str, Any] | None = None
        self._ending: Callable[[], int] | None = None

    def choose(
        self, questions: Sequence[Question], documents: Sequence[Document], on_reply: Callable[[], None]
    ) -> list[int | None]:
        """Return for each question the index of the option that was named, None where none was.

        The requests are made from the questions alone; the documents serve for scoring and for their digest.
        """
        options = self.options
        sent = self._sent_arguments(options.max_tokens, options.temperature, {})
        asked = [Prompt(_id(question), question.task, question.text, question.options) for question in questions]
        bodies = [self._body(prompt, options.max_tokens, options.temperature) for prompt in asked]
        prompts = [
            Prompt(prompt.id, prompt.dataset, prompt.text, prompt.options, gold_of(document, prompt.options))
            for prompt, document in zip(asked, documents, strict=True)
        ]
        replies = self._ask("loglikelihood", prompts, bodies, documents, [sent], on_reply)
        chosen = []
        for prompt, reply in zip(prompts, replies, strict=True):
            letter = None if reply.text is None or reply.mock else parse_letter(reply.text, len(prompt.options))
            unanswered = reply.outcome is Outcome.OK and letter is None
            self._tasks[prompt.dataset].add(reply, sent, unanswered=unanswered)
            chosen.append(None if letter is None else LETTERS.index(letter))
        self._refuse_nothing(replies)
        return chosen

    def generate(
        self,
        texts: Sequence[tuple[str, str, str]],
        plans: Sequence[GenerationPlan],
        documents: Sequence[Document],
        on_reply: Callable[[], None],
    ) -> list[str]:
        """Return what was generated for each (task, id, text), cut off at its end marks; "" where nothing came."""
        prompts = [Prompt(identifier, task, text) for task, identifier, text in texts]
        bodies = [
            self._body(prompt, plan.max_tokens, plan.temperature) for prompt, plan in zip(prompts, plans, strict=True)
        ]
        sent = [self._sent_arguments(plan.max_tokens, plan.temperature, plan.not_sent) for plan in plans]
        replies = self._ask("generate_until", prompts, bodies, documents, sent, on_reply)
        for prompt, arguments, reply in zip(prompts, sent, replies, strict=True):
            unanswered = reply.outcome is Outcome.OK and not reply.text
            self._tasks[prompt.dataset].add(reply, arguments, unanswered=unanswered)
        self._refuse_nothing(replies)
        return [truncate(reply.text or "", plan.until) for reply, plan in zip(replies, plans, strict=True)]

    def warn(self, sentence: str) -> None:
        """Say once that something that was asked for is not sent; the run's notes keep it."""
        if sentence not in self._warnings:
            self._warnings[sentence] = None
            sys.stderr.write(f"aether-load: warning: {sentence}\n")

    def check_generation(self, task: str, plan: GenerationPlan) -> None:
        """Warn of the arguments of a task that its requests have no place for."""
        if plan.not_sent:
            keys = ", ".join(sorted(plan.not_sent))
            self.warn(f"Task {task}: generation_kwargs {keys}: not sent; a request to the runtime has no place for it.")

    def _warn_of_v1(self) -> None:
        if self.target.facts.generation is Generation.V1:
            self.warn("temperature and max_tokens are not sent: a v1 runtime has no place for them.")

    def _sent_arguments(self, max_tokens: int, temperature: float, not_sent: dict[str, Any]) -> SentArguments:
        if self.target.facts.generation is Generation.V1:
            return SentArguments(None, None, {"temperature": temperature, "max_tokens": max_tokens, **not_sent})
        return SentArguments(temperature, max_tokens, not_sent)

    def _body(self, prompt: Prompt, max_tokens: int, temperature: float) -> bytes:
        node = LlmNode(
            id=ANSWER_NODE,
            prompt=question_text(prompt),
            model=self.options.model_name,
            temperature=temperature,
            max_tokens=max_tokens,
        )
        return encode_request(DagRequest(f"{NAME}_{prompt.dataset}", (node,)), self.target.facts.generation)

    def _ask(
        self,
        phase: str,
        prompts: Sequence[Prompt],
        bodies: Sequence[bytes],
        documents: Sequence[Document],
        sent: Sequence[SentArguments],
        on_reply: Callable[[], None],
    ) -> list[Reply]:
        by_task: dict[str, list[Document]] = {}
        for prompt, document in zip(prompts, documents, strict=True):
            by_task.setdefault(prompt.dataset, []).append(document)
            self._tasks.setdefault(prompt.dataset, TaskAccount())
        known = {task for call in self._calls for task in call.tasks}
        identities = [identity_of(task, rows) for task, rows in by_task.items() if task not in known]
        users = min(self.options.num_concurrent, len(bodies))
        repeats = sum(call.phase.split(".")[0] == phase for call in self._calls)
        name = f"{phase}.{repeats + 1}" if repeats else phase
        self._calls.append(
            Sent(
                name,
                users,
                tuple(by_task),
                frozenset(each.max_tokens for each in sent),
                frozenset(each.temperature for each in sent),
            )
        )
        self._warn_of_v1()
        scenario = plain_scenario(self.options, self._calls)
        if self._run is None:
            command = ["lm_eval", *hidden_model_args(sys.argv[1:])]
            self._run = EvaluationRun(RunFolder.create(self._results, NAME), scenario, self.target, command)
        first = self._run.begin_phase(name, users, prompts, identities, scenario)
        asking = Asking(self.target, self._run, in_flight=users, max_retries=self.options.max_retries)
        try:
            replies = asking.ask(bodies, first, on_reply)
        except BaseException:
            self._interrupted = True
            self._run.end_phase("interrupted")
            raise
        self._run.end_phase("passes")
        return replies

    def _refuse_nothing(self, replies: Sequence[Reply]) -> None:
        reason = nothing_succeeded(replies)
        if reason is not None:
            raise NothingSucceeded(f"The evaluation has no result: {reason}.")

    def finish(self) -> dict[str, Any]:
        """Close the run and return our part of lm-eval's results file; {} when nothing was sent."""
        if self._info is not None or self._run is None:
            return self._info or {}
        # The last answer is in: now there is time for the half second of pyarrow.
        from aether_load.analysis.report import analyse  # noqa: PLC0415
        from aether_load.outputs.results import write_results  # noqa: PLC0415

        self._info = {}
        ended: Ended = "interrupted" if self._interrupted or self._failed_with is not None else "completed"
        self._run.manifest.notes += self._warnings
        self._run.close(ended)
        folder = self._run.folder
        analysis = analyse(folder)
        report = analysis.report
        files = write_results(report, folder, analysis.series)
        self._info = model_info(report, self._tasks, str(folder.path), self.options.model_name)

        def say() -> int:
            from aether_load.outputs.terminal import write_summary  # noqa: PLC0415

            if self._failed_with not in {None, report.verdict.exit_code}:
                # The verdict is the run's; the command has another one, and two would contradict each other.
                sys.stderr.write(
                    f"aether-load: there is no evaluation; what was sent is in {folder.path} (aether-load report "
                    f"{folder.path}).\n"
                )
                return int(self._failed_with or ExitCode.FAILED)
            write_summary(report, files, sys.stderr)
            mock = sum(task.mock for task in self._tasks.values())
            answers = sum(task.outcomes[Outcome.OK] for task in self._tasks.values())
            if (why := meaningless(mock, answers)) is not None:
                sys.stderr.write(f"  lm-eval's accuracy is {why}\n")
            return report.verdict.exit_code

        self._ending = say
        return self._info

    @property
    def is_over(self) -> bool:
        """Tell whether the run is closed, so that nothing more is sent."""
        return self._info is not None

    def fail(self, exit_code: int) -> None:
        """Note that the command ends with an error, so that the run shows no verdict as well."""
        self._failed_with = exit_code

    def end(self, wanted: Path | None) -> int:
        """Finish, copy lm-eval's results to where they were asked for, print the summary; return the exit code."""
        self.finish()
        if self._ending is None:
            return int(ExitCode.PASSED)
        say, self._ending = self._ending, None
        if wanted is not None and self._info:
            try:
                copy_results(wanted, self._info["aether_load"]["run_id"])
            except OSError as error:
                sys.stderr.write(f"aether-load: --output_path {wanted} could not be written: {error.strerror}.\n")
        return say()


def _id(question: Question) -> str:
    again = f"/{question.repeat}" if question.repeat else ""
    return f"{question.task}/{question.doc_id}{again}"
