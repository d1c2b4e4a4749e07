"""What stands before a condition's metric: phases and datasets, by the names that a scenario gives."""

import re
from pathlib import Path

import pytest

from aether_load.scenario.load import load_scenario
from aether_load.scenario.stage import names_of
from aether_load.scenario.threshold import Names, Scope, scope_of

NAMES = Names(
    phases=frozenset({"warm", "load", "load-2", "piqa", "capacity"}),
    searches=frozenset({"capacity"}),
    datasets=frozenset({"piqa", "arc_easy", "日本 語"}),
)


@pytest.mark.parametrize(
    ("where", "scope"),
    [
        ((), Scope()),
        (("warm",), Scope(phase="warm")),
        (("arc_easy",), Scope(dataset="arc_easy")),
        (("日本 語",), Scope(dataset="日本 語")),
        (("warm", "arc_easy"), Scope(phase="warm", dataset="arc_easy")),
        (("arc_easy", "warm"), Scope(phase="warm", dataset="arc_easy")),
        (("piqa", "warm"), Scope(phase="warm", dataset="piqa")),
        (("arc_easy", "piqa"), Scope(phase="piqa", dataset="arc_easy")),
        (("piqa", "piqa"), Scope(phase="piqa", dataset="piqa")),
    ],
)
def test_a_phase_and_a_dataset_in_either_order(where: tuple[str, ...], scope: Scope) -> None:
    """A name that is both is what the other one leaves it to be."""
    assert scope_of(where, NAMES) == scope


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        (("wram",), "there is no phase and no dataset 'wram'; did you mean 'warm'?"),
        (
            ("xyz",),
            "there is no phase and no dataset 'xyz'; there are capacity, load, load-2, piqa, warm, arc_easy, 日本 語.",
        ),
        (
            ("piqa",),
            "'piqa' is a phase and a dataset; give the phase another name, or say both, as in piqa:piqa.",
        ),
        (("warm", "load"), "'warm' and 'load' are two phases; there is room for one phase and one dataset."),
        (
            ("arc_easy", "日本 語"),
            "'arc_easy' and '日本 語' are two datasets; there is room for one phase and one dataset.",
        ),
    ],
)
def test_names_that_mean_nothing_or_too_much(where: tuple[str, ...], sentence: str) -> None:
    """One sentence, with the nearest name where there is one."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        scope_of(where, NAMES)


def test_two_names_that_are_both_of_both_kinds() -> None:
    """Nobody can tell which is which."""
    names = Names(phases=frozenset("ab"), searches=frozenset(), datasets=frozenset("ab"))
    with pytest.raises(ValueError, match="'a' and 'b' are phases and datasets both"):
        scope_of(("a", "b"), names)


def test_the_names_of_a_scenario(tmp_path: Path) -> None:
    """Phases as written and as driven, repeated ones with and without their number, searches, datasets."""
    path = tmp_path / "x.toml"
    path.write_text(
        'repeat = 2\nworkload.datasets = ["piqa"]\n[[phases]]\nname = "load"\nsweep = [1, 2]\npasses = 1\n'
        '[[phases]]\nname = "warm"\npasses = 1\n'
    )
    names = names_of(load_scenario(path))
    assert names.phases == {
        "load", "load-1", "load-1#1", "load-1#2", "load-2", "load-2#1", "load-2#2", "warm", "warm#1", "warm#2",
    }  # fmt: skip
    assert (names.searches, names.datasets) == (frozenset(), frozenset({"piqa"}))
    path.write_text('[[phases]]\nname = "most"\nfind = "max_users"\nslo = ["p(50)<9"]\n')
    assert names_of(load_scenario(path)).searches == {"most"}


@pytest.mark.parametrize(
    ("asked", "names", "covers"),
    [
        (None, ("load-2#1", "load"), True),
        ("load", ("load-2#1", "load"), True),
        ("load-2", ("load-2#1", "load"), True),
        ("load-2#1", ("load-2#1", "load"), True),
        ("load-2#2", ("load-2#1", "load"), False),
        ("load-4", ("load-2#1", "load"), False),
        ("closed", ("closed", None), True),
    ],
)
def test_a_name_of_the_scenario_stands_for_all_that_came_of_it(
    asked: str | None, names: tuple[str, str | None], covers: bool
) -> None:
    """Of the phase, of one load of it, or of one repetition."""
    assert Scope(phase=asked).covers(*names) is covers
