"""Turn the log-likelihoods that a task asks for into one question a document, with lettered options.

A runtime only generates, and cannot say how likely a given text is. A task of multiple choice asks for one likelihood
an option; the question asks once for the letter of the right option instead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from os.path import commonprefix

import msgspec

from aether_load.datasets.answer import LETTERS
from aether_load.errors import UsageError

CHOSEN = 0.0
NOT_CHOSEN = -10_000.0

_ANSWER_CUE = re.compile(r"\s*\n\s*(?:Answer|A):\s*\Z")
_CLINGS = re.compile(r"[.,;:!?)\]%\u2019'\"]")
_CONTINUE = "Which option continues the text best?"
_BLANK = "Which option belongs in the blank, marked _?"
_PLAUSIBLE = "Which of these texts is the most plausible?"
_ANSWER = "Which option is the best answer?"


class UnsupportedTask(UsageError, NotImplementedError):
    """A task asks for what a runtime that only generates cannot give; the sentence names the task."""


class Asked(msgspec.Struct, frozen=True):
    """One request of lm-eval: of which task, document and repetition, the option's index, and both texts."""

    task: str
    doc_id: int
    repeat: int
    index: int
    context: str
    continuation: str


class Question(msgspec.Struct, frozen=True):
    """What is asked for one document: text and options, and where the requests it stands for came in the list.

    `places` has a place for each option; `unconditional` has those of the same options asked without the text,
    which tasks of mutual information add.
    """

    task: str
    doc_id: int
    repeat: int
    text: str
    options: tuple[str, ...]
    places: tuple[int, ...]
    unconditional: tuple[int, ...] = ()


def document_id(task: str, doc_id: int, repeat: int) -> str:
    """Return the name of a document among all that are asked; a task may ask for it again and again."""
    return f"{task}/{doc_id}/{repeat}" if repeat else f"{task}/{doc_id}"


def questions_of(requests: Sequence[Asked]) -> list[Question]:
    """Return a question a document, in the order of the first of its requests; raises UnsupportedTask.

    Requests belong together by task, document and repetition, never by their texts: in WinoGrande the options of
    one document differ in their contexts, and in PIQA two documents may share one.
    """
    groups: dict[tuple[str, int, int], list[int]] = {}
    for place, request in enumerate(requests):
        groups.setdefault((request.task, request.doc_id, request.repeat), []).append(place)
    return [_question(requests, sorted(places, key=lambda at: requests[at].index)) for places in groups.values()]


def _question(requests: Sequence[Asked], places: list[int]) -> Question:
    group = [requests[place] for place in places]
    task, doc_id = group[0].task, group[0].doc_id
    if [request.index for request in group] != list(range(len(group))):
        raise UsageError(
            f"Task {task}, document {doc_id}: lm-eval handed over only a part of its options "
            f"({len(group)} requests); run it without --use_cache."
        )
    count = len(group)
    if _repeats_without_text(group):
        count //= 2
    options = group[:count]
    if count < 2:
        raise UnsupportedTask(
            f"Task {task} asks how likely one given text is (loglikelihood), which a runtime that only generates "
            "cannot say; choose a task of multiple choice or of generate_until."
        )
    if count > len(LETTERS):
        raise UnsupportedTask(
            f"Task {task}, document {doc_id} has {count} options, and no more than {len(LETTERS)} can be lettered."
        )
    text, labels = _ask([request.context for request in options], [request.continuation for request in options])
    return Question(task, doc_id, group[0].repeat, text, labels, tuple(places[:count]), tuple(places[count:]))


def _repeats_without_text(group: list[Asked]) -> bool:
    """Tell whether the second half asks for the first half's options again, without their text."""
    half = len(group) // 2
    first, second = group[:half], group[half:]
    return (
        len(group) == 2 * half >= 4
        and any(request.context for request in first)
        and all(not request.context for request in second)
        and [request.continuation for request in first] == [request.continuation for request in second]
    )


def _ask(contexts: list[str], continuations: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return the question's text and its options from what lm-eval would have scored."""
    if len(set(contexts)) == 1:
        options = tuple(_one_line(continuation) for continuation in continuations)
        context = contexts[0].strip()
        if not context:
            return _PLAUSIBLE, options
        if without_cue := _ANSWER_CUE.sub("", context):
            asks = without_cue != context
            return f"{_ANSWER if asks else _CONTINUE}\n\n{without_cue}", options
        return f"{_CONTINUE}\n\n{context}", options
    if len(set(continuations)) == 1:
        blank = _with_blank(contexts, continuations[0])
        if blank is not None:
            return blank
    return _PLAUSIBLE, tuple(_one_line(a + b) for a, b in zip(contexts, continuations, strict=True))


def _with_blank(contexts: list[str], continuation: str) -> tuple[str, tuple[str, ...]] | None:
    """Return a text with a blank where the contexts differ, and what may fill it; None when one fills it with nothing.

    The contexts are alike up to their last words, so the blank begins behind the last space that all share.
    """
    shared = commonprefix(contexts)  # noqa: RUF071 -- character by character is what is wanted
    start = max((shared.rfind(space) for space in " \n\t"), default=-1) + 1
    options = tuple(_one_line(context[start:]) for context in contexts)
    if not all(options):
        return None
    rest = continuation.strip()
    gap = "" if not rest or _CLINGS.match(rest) else " "
    return f"{_BLANK}\n\n{shared[:start].strip()}{' ' if start else ''}_{gap}{rest}", options


def _one_line(text: str) -> str:
    """Return an option as it can stand on a line of its own."""
    return " ".join(text.split("\n")).strip()
