"""docs/dependencies.md names what pyproject.toml does, and says of each what it is for."""

import re
import tomllib

from processes import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
PAGE = (REPOSITORY / "docs" / "dependencies.md").read_text()


def name_of(requirement: str) -> str:
    match = re.match(r"[\w-]+", requirement)
    assert match is not None
    return match[0]


def test_every_dependency_has_a_row_and_every_row_is_a_dependency() -> None:
    table = PAGE.partition("## Extras")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")][1:]
    named = [name.strip() for row in rows for name in row[0].split(",")]
    assert sorted(named) == sorted(map(name_of, PROJECT["dependencies"]))
    assert all(cell.strip() for row in rows for cell in row)


def test_every_extra_is_named() -> None:
    extras = PAGE.partition("## Extras")[2]
    assert [name for name in PROJECT["optional-dependencies"] if f"| `{name}` |" not in extras] == []


def test_what_is_an_extra_is_in_all_and_in_test() -> None:
    """So that nothing goes untested."""
    of_users = set(PROJECT["optional-dependencies"]) - {"all", "test", "dev", "docs", "examples", "lm-eval"}
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert set(re.findall(r"[\w-]+", everything)) - {"aether-load"} == of_users
    assert "aether-load[all,examples]" in PROJECT["optional-dependencies"]["test"]


def test_every_dependency_has_a_lowest_release_and_none_a_highest() -> None:
    is_lower_bound = re.compile(r"[\w-]+>=[\d.]+").fullmatch
    assert [requirement for requirement in PROJECT["dependencies"] if not is_lower_bound(requirement)] == []
