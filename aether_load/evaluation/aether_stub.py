"""`aether_stub`, the model by which lm-eval asks an Aether runtime; the only file that imports lm-eval."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from lm_eval.api.model import LM
from tqdm import tqdm

from aether_load.errors import AetherLoadError, ExitCode, UsageError
from aether_load.evaluation.evaluation import Evaluation
from aether_load.evaluation.generation import read_generation
from aether_load.evaluation.options import hide_header, read_options
from aether_load.evaluation.output import wanted_file
from aether_load.evaluation.questions import CHOSEN, NOT_CHOSEN, Asked, UnsupportedTask, questions_of
from aether_load.redaction import sentence_of

NAME = "aether_stub"
_NO_TEMPLATE = "--apply_chat_template: a runtime takes a plain prompt and no turns; leave it away."


class AetherStub(LM):
    """An Aether runtime as a model of lm-eval: it generates, and answers multiple choice by the option's letter."""

    def __init__(
        self, batch_size: object = None, max_batch_size: object = None, device: object = None, **model_args: Any
    ) -> None:
        """Find the runtime; `model_args` are those of `StubOptions`, sizes and device come as texts or numbers.

        A batch size is a number of requests in flight. The device is the runtime's own business.
        """
        super().__init__()
        del max_batch_size, device
        self.options = read_options(model_args, batch_size)
        self.evaluation = Evaluation(self.options)
        self._wanted: Path | None = wanted_file(sys.argv[1:])
        _end_with_a_sentence()
        _models.append(self)
        atexit.register(self.end)

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> AetherStub:
        """Return the model, and tell lm-eval its name.

        lm-eval names the folder of the results by `model` in these very arguments, and draws a random name where it
        is missing; it also writes them into the results, where a secret header has no place.
        """
        _end_with_a_sentence()
        more = {key: value for key, value in (additional_config or {}).items() if value is not None}
        model = cls(**arg_dict, **more)
        arg_dict["model"] = model.options.model_name
        hide_header(arg_dict)
        return model

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[Any, bool]]:
        """Return a number for each request: 0.0 for the option that the runtime named, a large negative one else."""
        asked, repeats = [], _Repeats()
        for request in requests:
            task, doc_id = _identity(request)
            context, continuation = request.args[:2]
            asked.append(Asked(task, doc_id, repeats.of(request), request.idx, context, continuation))
        questions = questions_of(asked)
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
        task, _ = _identity(requests[0])
        raise UnsupportedTask(
            f"Task {task} asks for the likelihood of whole texts (loglikelihood_rolling), which a runtime that only "
            "generates cannot give; choose a task of multiple choice or of generate_until."
        )

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Return a text for each request, cut off at the first of its end marks."""
        texts, plans, repeats = [], [], _Repeats()
        for request in requests:
            task, doc_id = _identity(request)
            context, arguments = request.args[:2]
            again = repeats.of(request)
            texts.append((task, f"{task}/{doc_id}{f'/{again}' if again else ''}", context))
            plans.append(
                read_generation(
                    task, arguments, max_tokens=self.options.max_gen_toks, temperature=self.options.temperature
                )
            )
        with _progress(len(requests), disabled=disable_tqdm) as advance:
            return self.evaluation.generate(texts, plans, [request.doc for request in requests], advance)

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
        """Write the run's results, if that has not been done, and say them; return the exit code they deserve."""
        atexit.unregister(self.end)
        return self.evaluation.end(self._wanted)


class _Repeats:
    """Counts how often the same request came: lm-eval asks for repetitions by repeating it in its list."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def of(self, request: object) -> int:
        number = self._seen.get(id(request), 0)
        self._seen[id(request)] = number + 1
        return number


@contextmanager
def _progress(total: int, *, disabled: bool) -> Iterator[Callable[[], None]]:
    """Show a bar over documents on a terminal, and yield what is to be called once a document."""
    with tqdm(total=total, desc="Asking the runtime", unit="doc", disable=disabled or None) as bar:
        yield bar.update


def _identity(request: Any) -> tuple[str, int]:
    """Return task and document of a request; raises UsageError where lm-eval did not say them."""
    if request.task_name is None or request.doc_id is None:
        raise UsageError(
            "A request of lm-eval names no task or no document, so that nobody can tell which options belong together; "
            "have lm-eval make the requests itself."
        )
    return request.task_name, request.doc_id


def _answers(choice: int | None, count: int) -> list[tuple[Any, bool]]:
    """Return what the options of a document get.

    lm-eval takes the first of the largest numbers for the answer, so that numbers all alike would make option A of
    no answer. It looks at them as one flat array: a row of numbers for each option, the last row the largest, puts
    the largest behind the last option, where no gold label ever is. No label is read for that.
    """
    if choice is not None:
        return [(CHOSEN if place == choice else NOT_CHOSEN, place == choice) for place in range(count)]
    rows = np.full((count, count), NOT_CHOSEN)
    rows[-1] = CHOSEN
    return [(row, False) for row in rows]


def run_lm_eval(arguments: Sequence[str]) -> int:
    """Run lm-eval's own command with our model registered, and return the exit code that its run deserves."""
    import lm_eval.models  # noqa: F401, PLC0415 -- fills the registry
    from lm_eval.__main__ import cli_evaluate  # noqa: PLC0415
    from lm_eval.api.registry import model_registry  # noqa: PLC0415

    if NAME not in model_registry:
        model_registry.register(NAME, target=f"{__name__}:AetherStub")
    sys.argv = ["lm_eval", *arguments]
    cli_evaluate()
    return next((code for model in _models if (code := model.end())), int(ExitCode.PASSED))


_models: list[AetherStub] = []
_hooks_before: list[Callable[..., None]] = []


def _end_with_a_sentence() -> None:
    """Let a mistake that the user can mend end the process with its sentence and its exit code."""
    if sys.excepthook is not _say_and_exit:
        _hooks_before.append(sys.excepthook)
        sys.excepthook = _say_and_exit


def _say_and_exit(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, AetherLoadError):
        sys.stderr.write(f"aether-load: {sentence_of(error)}\n")
        raise SystemExit(int(error.exit_code))
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("aether-load: interrupted.\n")
        raise SystemExit(int(ExitCode.INTERRUPTED))
    _hooks_before[-1](kind, error, trace)
