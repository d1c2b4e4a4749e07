"""Run one evaluation, from its first call to its report: what lm-eval asks, as documents sent and recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aether_load.analysis.report import Report
from aether_load.datasets.prompt import Prompt
from aether_load.errors import ExitCode, ResultsError, explained
from aether_load.evaluation.account import meaningless, model_info
from aether_load.evaluation.asking import Reply, chosen
from aether_load.evaluation.generation import GenerationPlan, truncate
from aether_load.evaluation.gold import gold_of
from aether_load.evaluation.options import StubOptions
from aether_load.evaluation.output import copy_results
from aether_load.evaluation.questions import Question, document_id
from aether_load.evaluation.session import Document, DocumentRequest, EvaluationSession
from aether_load.protocol import Generation


class Evaluation:
    """Asks a runtime, counts what became of the documents, and writes a run folder, made with the first request."""

    def __init__(self, options: StubOptions) -> None:
        """Find the runtime; raises TargetError when none is there, UsageError for options that do not work."""
        self.options = options
        self.session = EvaluationSession(options)
        self._failed_with: int | None = None
        self._warnings: dict[str, None] = {}
        self._info: dict[str, Any] | None = None
        self._written: tuple[Report, list[Path]] | None = None

    def choose(
        self, questions: Sequence[Question], documents: Sequence[Document], on_reply: Callable[[], None]
    ) -> list[int | None]:
        """Return for each question the index of the option that was named, None where none was.

        The requests are made from the questions alone; the documents serve for scoring and for their digest.
        """
        plan = GenerationPlan((), self.options.max_tokens, self.options.temperature, {})
        asked = []
        for question, document in zip(questions, documents, strict=True):
            identifier = document_id(question.task, question.doc_id, question.repeat)
            gold = gold_of(document, question.options)
            prompt = Prompt(identifier, question.task, question.text, question.options, gold)
            asked.append(DocumentRequest(prompt, plan, document))
        replies = self._ask("loglikelihood", asked, on_reply)
        return [chosen(each.prompt, reply) for each, reply in zip(asked, replies, strict=True)]

    def generate(self, asked: Sequence[DocumentRequest], on_reply: Callable[[], None]) -> list[str]:
        """Return what was generated for each, cut off at its end marks; "" where nothing came."""
        replies = self._ask("generate_until", asked, on_reply)
        return [truncate(reply.text or "", each.plan.until) for each, reply in zip(asked, replies, strict=True)]

    def _ask(self, kind: str, asked: Sequence[DocumentRequest], on_reply: Callable[[], None]) -> list[Reply]:
        if self.session.generation is Generation.V1:
            self.warn("temperature and max_tokens are not sent: a v1 runtime has no place for them.")
        return self.session.ask(kind, asked, on_reply)

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

    def finish(self) -> dict[str, Any]:
        """Close the run and return our part of lm-eval's results file; {} when nothing was sent."""
        run = self.session.run
        if self._info is not None or run is None:
            return self._info or {}
        # The last answer is in: now there is time for the half second of pyarrow.
        from aether_load.observer.results import write_all  # noqa: PLC0415

        self._info = {}
        run.manifest.notes += self._warnings
        path = run.folder.path
        remedy = f"). Make room, then: aether-load report {path}"
        with explained(f"{path} could not be written to the end (", kind=ResultsError, end=remedy):
            run.close(failed=self._failed_with is not None)
            report, files = write_all(run.folder, None)
        self._written = report, files
        self._info = model_info(report, self.session.tasks, str(path), self.options.model_name)
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
        if self._written is None:
            return int(ExitCode.PASSED)
        (report, files), self._written = self._written, None
        if wanted is not None and self._info:
            try:
                copy_results(wanted, report.run.id)
            except OSError as error:
                sys.stderr.write(f"aether-load: --output_path {wanted} could not be written: {error.strerror}.\n")
        if self._failed_with not in {None, report.verdict.exit_code}:
            # The verdict is the run's; the command has another one, and two would contradict each other.
            folder = files[0]
            sys.stderr.write(
                f"aether-load: there is no evaluation; what was sent is in {folder} (aether-load report {folder}).\n"
            )
            return int(self._failed_with or ExitCode.FAILED)
        from aether_load.outputs.terminal import write_summary  # noqa: PLC0415

        write_summary(report, files, sys.stderr)
        if (why := meaningless(self.session.tasks.values())) is not None:
            sys.stderr.write(f"  lm-eval's accuracy is {why}\n")
        return report.verdict.exit_code
