"""Define `aether_stub`, the model by which lm-eval asks an Aether runtime; only this file imports lm-eval."""

from __future__ import annotations

import atexit
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any

import numpy as np
from lm_eval.api.model import LM
from lm_eval.api.task import Task
from tqdm import tqdm

from aether_load.datasets.prompt import Prompt
from aether_load.errors import AetherLoadError, ExitCode, UsageError
from aether_load.evaluation.command_line import learn_headers, read_command_line
from aether_load.evaluation.evaluation import Evaluation
from aether_load.evaluation.generation import GenerationPlan, read_generation
from aether_load.evaluation.options import hide_header, read_options
from aether_load.evaluation.questions import CHOSEN, NOT_CHOSEN, Asked, UnsupportedTask, document_id, questions_of
from aether_load.evaluation.session import DocumentRequest
from aether_load.redaction import sentence_of
from aether_load.text import shorten

NAME = "aether_stub"
_HUB_PACKAGES = {"datasets", "huggingface_hub"}
_LONGEST_REASON = 200
_NO_TEMPLATE = "--apply_chat_template: a runtime takes a plain prompt and no turns; leave it away."


class AetherStub(LM):
    """An Aether runtime as a model of lm-eval.

    It generates texts, and answers multiple choice by the letter of the option.
    """

    def __init__(
        self, batch_size: object = None, max_batch_size: object = None, device: object = None, **model_args: Any
    ) -> None:
        """Find the runtime; `model_args` are those of `StubOptions`, sizes and device come as texts or numbers.

        A batch size is a number of requests in flight. lm-eval chooses a device when none was given, so the
        command line tells whether there is a wish that cannot be met.
        """
        super().__init__()
        del max_batch_size, device
        wishes = read_command_line(sys.argv[1:])
        warnings = wishes.check()
        self.options = read_options(model_args, batch_size)
        self.evaluation = Evaluation(self.options)
        for warning in warnings:
            self.evaluation.warn(warning)
        self._wanted: Path | None = wishes.file
        _end_with_a_sentence()
        _check_tasks_first()
        _models.append(self)
        atexit.register(self.end)

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> AetherStub:
        """Return the model, and put its name into the arguments.

        lm-eval names the folder of the results by `model` in these arguments, and draws a random name without it. It
        also writes them into the results, so headers are taken out of them.
        """
        _end_with_a_sentence()
        more = {key: value for key, value in (additional_config or {}).items() if value is not None}
        model = cls(**arg_dict, **more)
        arg_dict["model"] = model.options.model_name
        hide_header(arg_dict)
        return model

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[Any, bool]]:
        """Return a number for each request: 0.0 for the option that the runtime named, a large negative one else."""
        questions = questions_of(_asked(requests))
        documents = [requests[question.places[0]].doc for question in questions]
        with _progress(len(questions), disabled=disable_tqdm) as advance:
            chosen = self.evaluation.choose(questions, documents, advance)
        answers: list[tuple[Any, bool]] = [(CHOSEN, False)] * len(requests)
        for question, choice in zip(questions, chosen, strict=True):
            for place, answer in zip(question.places, _answers(choice, len(question.places)), strict=True):
                answers[place] = answer
        return answers

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:  # noqa: ARG002 -- lm-eval's own signature
        """Raise NotImplementedError: a runtime that only generates knows no likelihood of a text."""
        raise _unsupported(_identity(requests[0])[0], "loglikelihood_rolling")

    def check(self, requests: Sequence[Any]) -> None:
        """Raise UsageError, before anything is sent, for requests of a task that cannot be answered.

        lm-eval sends one kind of request after the other, and would find out that the last kind is refused when the
        others have been paid for. Warn of generation arguments that are not sent.
        """
        likelihoods = []
        for request in requests:
            if request.request_type == "loglikelihood":
                likelihoods.append(request)
            elif request.request_type == "generate_until":
                task, _ = _identity(request)
                self.evaluation.check_generation(task, self._plan(task, request.args[1]))
            else:
                raise _unsupported(_identity(request)[0], request.request_type)
        questions_of(_asked(likelihoods))

    def _plan(self, task: str, arguments: dict[str, Any]) -> GenerationPlan:
        return read_generation(
            task, arguments, max_tokens=self.options.max_gen_toks, temperature=self.options.temperature
        )

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Return a text for each request, cut off at the first of its end marks."""
        asked = []
        repeats: defaultdict[int, count[int]] = defaultdict(count)
        for request in requests:
            task, doc_id = _identity(request)
            context, arguments = request.args[:2]
            prompt = Prompt(document_id(task, doc_id, next(repeats[id(request)])), task, context)
            asked.append(DocumentRequest(prompt, self._plan(task, arguments), request.doc))
        with _progress(len(requests), disabled=disable_tqdm) as advance:
            return self.evaluation.generate(asked, advance)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Raise UsageError when a template is asked for: the runtime puts its prompt before the model by itself."""
        if chat_template:
            raise UsageError(_NO_TEMPLATE)
        return None

    @property
    def tokenizer_name(self) -> str:
        """Raise UsageError: only the name of a chat template's cache is made of this."""
        raise UsageError(_NO_TEMPLATE)

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Refuse a cache of answers: its key knows neither the model nor the document."""
        if cache_hook.dbdict is not None:
            raise UsageError(
                "--use_cache: lm-eval's cache takes the answers of one model for another's, and can know a part of a "
                "document's options only; leave it away (a v2 runtime has a cache of its own)."
            )
        super().set_cache_hook(cache_hook)

    def get_model_info(self) -> dict[str, Any]:
        """Return what goes into the results file: calls, latencies, refusals, and what accuracy means."""
        return self.evaluation.finish()

    def end(self) -> int:
        """Write the run's results, if that has not been done, and print them; return the run's exit code."""
        atexit.unregister(self.end)
        return self.evaluation.end(self._wanted)


def _asked(requests: Sequence[Any]) -> list[Asked]:
    # lm-eval asks for repetitions by repeating a request in its list.
    repeats: defaultdict[int, count[int]] = defaultdict(count)
    return [
        Asked(*_identity(request), next(repeats[id(request)]), request.idx, *request.args[:2]) for request in requests
    ]


def _unsupported(task: str, kind: str) -> UnsupportedTask:
    what = {"loglikelihood_rolling": "the likelihood of whole texts (loglikelihood_rolling)"}.get(kind, kind)
    return UnsupportedTask(
        f"Task {task} asks for {what}, which a runtime that only generates cannot give; choose a task of multiple "
        "choice or of generate_until."
    )


@contextmanager
def _progress(total: int, *, disabled: bool) -> Iterator[Callable[[], None]]:
    """Show a bar over documents on a terminal, and yield the function to call once a document."""
    with tqdm(total=total, desc="Asking the runtime", unit="doc", disable=disabled or None) as bar:
        yield bar.update


def _identity(request: Any) -> tuple[str, int]:
    """Return task and document of a request; raises UsageError where lm-eval did not say them."""
    if request.task_name is None or request.doc_id is None:
        raise UsageError(
            "A request of lm-eval names no task or no document, which tell the options that belong together; have "
            "lm-eval make the requests itself."
        )
    return request.task_name, request.doc_id


def _answers(choice: int | None, count: int) -> list[tuple[Any, bool]]:
    """Return the numbers of a document's options.

    lm-eval takes the first of the largest numbers for the answer, so equal numbers would turn no answer into option
    A. It flattens them into one array: with a row of numbers for each option, and the largest in the last row, the
    largest stands behind the last option, where no gold label is. No label is read for that.
    """
    if choice is not None:
        return [(CHOSEN if place == choice else NOT_CHOSEN, place == choice) for place in range(count)]
    rows = np.full((count, count), NOT_CHOSEN)
    rows[-1] = CHOSEN
    return [(row, False) for row in rows]


def run_lm_eval(arguments: Sequence[str]) -> int:
    """Run lm-eval's own command with our model registered, and return the exit code of its run."""
    import lm_eval.models  # noqa: F401, PLC0415 -- fills the registry
    from lm_eval.__main__ import cli_evaluate  # noqa: PLC0415
    from lm_eval.api.registry import model_registry  # noqa: PLC0415

    if NAME not in model_registry:
        model_registry.register(NAME, target=f"{__name__}:AetherStub")
    sys.argv = ["lm_eval", *arguments]
    learn_headers(arguments)
    try:
        cli_evaluate()
    except BaseException as error:
        mistake = _mistake_in(error)
        _fail(mistake)
        if mistake is error:
            raise
        raise mistake from None
    return next((code for model in _models if (code := model.end())), int(ExitCode.PASSED))


_models: list[AetherStub] = []
_hooks_before: list[Callable[..., None]] = []


def _end_with_a_sentence() -> None:
    """Let a mistake that the user can mend end the process with its sentence and its exit code."""
    if sys.excepthook is not _say_and_exit:
        _hooks_before.append(sys.excepthook)
        sys.excepthook = _say_and_exit


def _say_and_exit(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    error = _mistake_in(error)
    _fail(error)
    if isinstance(error, AetherLoadError):
        sys.stderr.write(f"aether-load: {sentence_of(error)}\n")
        raise SystemExit(int(error.exit_code))
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("aether-load: interrupted.\n")
        raise SystemExit(int(ExitCode.INTERRUPTED))
    _hooks_before[-1](kind, error, trace)


def _mistake_in(error: BaseException) -> BaseException:
    """Return an exception of where the hub's datasets are read as one for lm-eval's user, any other as it is."""
    if not isinstance(error, Exception) or isinstance(error, AetherLoadError) or not _is_of_hub(error.__traceback__):
        return error
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return UsageError(
        f"lm-eval could not load a dataset: {shorten(first, _LONGEST_REASON).rstrip('.')}. Without the hub, set "
        "HF_HUB_OFFLINE=1 and give the dataset in a folder of its name; see docs/lm-eval.md."
    )


def _is_of_hub(trace: TracebackType | None) -> bool:
    """Tell whether an exception comes from where the hub's datasets are read."""
    modules = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(trace))
    return any(name.partition(".")[0] in _HUB_PACKAGES for name in modules)


def _fail(error: BaseException) -> None:
    """Tell every model with which exit code the command ends."""
    code = int(ExitCode.FAILED)
    if isinstance(error, AetherLoadError):
        code = int(error.exit_code)
    elif isinstance(error, KeyboardInterrupt):
        code = int(ExitCode.INTERRUPTED)
    elif isinstance(error, SystemExit):
        if error.code in {None, 0}:
            return
        code = error.code if isinstance(error.code, int) else code
    for model in _models:
        model.evaluation.fail(code)


def _check_tasks_first() -> None:
    """Have every task that lm-eval builds requests for checked by the models, before any request is sent.

    lm-eval has no hook there: it builds the requests of all tasks, then sends them.
    """
    if Task.build_all_requests is _build_and_check:
        return
    _builders_before.append(Task.build_all_requests)
    Task.build_all_requests = _build_and_check


def _build_and_check(task: Any, **options: Any) -> None:
    _builders_before[-1](task, **options)
    for model in _models:
        if not model.evaluation.is_over:
            model.check(task.instances)
    if _models:
        _hide_header_of_task(task)


def _hide_header_of_task(task: Any) -> None:
    """Hide the headers that lm-eval copies from the model's arguments into each task, and so into its results."""
    metadata = getattr(getattr(task, "config", None), "metadata", None)
    if isinstance(metadata, dict):
        hide_header(metadata)


_builders_before: list[Callable[..., None]] = []
