"""What lm-eval would score, turned into one question a document."""

import pytest

from aether_load.errors import UsageError
from aether_load.evaluation.questions import Asked, Question, UnsupportedTask, questions_of


def asked(task: str, doc_id: int, *pairs: tuple[str, str], repeat: int = 0) -> list[Asked]:
    return [Asked(task, doc_id, repeat, index, *pair) for index, pair in enumerate(pairs)]


def test_options_of_one_context_are_lettered_under_it() -> None:
    """A task's "Answer:" cue goes, since a letter is asked for behind the options."""
    requests = asked(
        "piqa", 3, ("Question: cut paper\nAnswer:", " scissors"), ("Question: cut paper\nAnswer:", " soup")
    )
    assert questions_of(requests) == [
        Question(
            "piqa",
            3,
            0,
            "Which option is the best answer?\n\nQuestion: cut paper",
            ("scissors", "soup"),
            places=(0, 1),
        )
    ]


def test_a_text_without_a_question_is_continued() -> None:
    """HellaSwag's contexts break off: the option that goes on best is asked for."""
    (question,) = questions_of(asked("hellaswag", 0, ("A man", " runs"), ("A man", " sings\nloud")))
    assert (question.text, question.options) == (
        "Which option continues the text best?\n\nA man",
        ("runs", "sings loud"),
    )


@pytest.mark.parametrize(
    ("rest", "text"),
    [
        (" got the easier cases.", "Ann is a better surgeon than Amy so _ got the easier cases."),
        (" 's cases were easy.", "Ann is a better surgeon than Amy so _'s cases were easy."),
    ],
)
def test_contexts_that_differ_leave_a_blank(rest: str, text: str) -> None:
    """WinoGrande puts its options into the context, where they may begin alike; what differs is the option."""
    begin = "Ann is a better surgeon than Amy so "
    (question,) = questions_of(asked("winogrande", 0, (begin + "Ann", rest), (begin + "Amy", rest)))
    assert (question.text, question.options) == (
        f"Which option belongs in the blank, marked _?\n\n{text}",
        ("Ann", "Amy"),
    )


@pytest.mark.parametrize(
    "pairs", [(("", "It rains."), ("", "It barks.")), (("It", " rains."), ("It ", "barks.")), (("", "x"), ("a", "x"))]
)
def test_whole_texts_are_compared_where_nothing_else_fits(pairs: tuple[tuple[str, str], tuple[str, str]]) -> None:
    """Sentences without a context, and pairs that differ throughout, are options as they are."""
    (question,) = questions_of(asked("blimp", 0, *pairs))
    assert question.text == "Which of these texts is the most plausible?"
    assert question.options == tuple((context + continuation).strip() for context, continuation in pairs)


def test_documents_are_told_apart_by_their_number_and_never_by_their_text() -> None:
    """Two documents with the same texts, and two repetitions of one, are questions of their own."""
    pairs = (("Q\nAnswer:", " a"), ("Q\nAnswer:", " b"))
    first, second = asked("piqa", 0, *pairs), asked("piqa", 1, *pairs)
    again = asked("piqa", 0, *pairs, repeat=1)
    mixed = [first[0], again[0], first[1], again[1], second[1], second[0]]
    found = [(question.doc_id, question.repeat, question.places) for question in questions_of(mixed)]
    assert found == [(0, 0, (0, 2)), (0, 1, (1, 3)), (1, 0, (5, 4))]


def test_options_asked_again_without_their_text_are_no_further_options() -> None:
    """Tasks of mutual information add each option alone; one question stands for both halves."""
    (question,) = questions_of(asked("m", 0, ("Q\nAnswer:", " a"), ("Q\nAnswer:", " b"), ("", " a"), ("", " b")))
    assert (question.options, question.places, question.unconditional) == (("a", "b"), (0, 1), (2, 3))


def test_what_a_runtime_cannot_answer_is_refused_by_the_tasks_name() -> None:
    """The likelihood of one text, and more options than letters, are NotImplementedErrors; a part of a group is not."""
    with pytest.raises(NotImplementedError, match="Task lambada asks how likely one given text is"):
        questions_of(asked("lambada", 0, ("a", "b")))
    with pytest.raises(UnsupportedTask, match="Task wide, document 4 has 11 options, and no more than 10"):
        questions_of(asked("wide", 4, *[("Q", f" {number}") for number in range(11)]))
    with pytest.raises(UsageError, match="Task piqa, document 2: lm-eval handed over only a part of its options"):
        questions_of(asked("piqa", 2, ("Q", " a"), ("Q", " b"))[1:])
