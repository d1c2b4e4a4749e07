import pytest

from aether_load.datasets.answer import parse_letter


@pytest.mark.parametrize(
    ("output", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(C)", "C"),
        ("B.", "B"),
        ("B)", "B"),
        ("**D**", "D"),
        ('"A"', "A"),
        (" A\n", "A"),
        ("Answer: B", "B"),
        ("The answer is C.", "C"),
        ("the correct answer is (a)", "A"),
    ],
)
def test_a_letter_in_its_usual_dress_is_an_answer(output: str, letter: str) -> None:
    """A lone letter, bracketed, emphasised or introduced, is read as that letter."""
    assert parse_letter(output, 4) == letter


@pytest.mark.parametrize(
    "output",
    [
        "",
        "TODO",
        "[Mock Response]\nModel: gpt-4o-mini\nA sentence with a letter.",
        "A dog",
        "I think B",
        "A or B",
        "AB",
        "Answer: none",
        "E",
        "1",
        "Because",
        "A\nB",
    ],
)
def test_anything_else_is_no_answer(output: str) -> None:
    """A text that merely holds a letter, or a letter that was not offered, answers nothing."""
    assert parse_letter(output, 4) is None


def test_the_letters_offered_depend_on_the_number_of_options() -> None:
    """E is an answer to five options and to no fewer."""
    assert (parse_letter("E", 5), parse_letter("E", 4), parse_letter("C", 2)) == ("E", None, None)
