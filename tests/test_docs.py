"""What is written is so: commands, options, scenarios, links and the length of README and docs."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aether_load.cli.main import COMMANDS, build_parser
from aether_load.errors import UsageError
from aether_load.outputs.benchmark_action import FILES
from aether_load.outputs.charts.report_charts import MOST_CURVES
from aether_load.outputs.formats import FORMATS
from aether_load.outputs.page.html import MOST_PHASES
from aether_load.outputs.schema import schema_text
from aether_load.scenario.load import load_scenario, shipped_scenarios
from processes import EVAL, REPOSITORY

README = REPOSITORY / "README.md"
DOCS = sorted((REPOSITORY / "docs").rglob("*.md"))
PAGES = [README, *DOCS]
RESULTS = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: Any) -> Iterator[list[str]]:
    """Yield each command of ours in the page's shell blocks, as words; a block's lines may go on."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.split(r"&&|\|\||\|", line):
                words = shlex.split(command, comments=True)
                while words and ("=" in words[0] or words[0] in {"taskset", "--cpu-list", "0", "ssh", "docker"}):
                    words = words[1:]
                if words[:1] in (["aether-load"], ["locust"]):
                    yield words


@pytest.fixture(scope="module")
def options() -> dict[str, set[str]]:
    """Return the options of each command; of a run those of Locust too."""
    (parsers,) = (action for action in build_parser(list(COMMANDS))._actions if action.choices)
    assert isinstance(parsers.choices, dict)
    found = {name: set(parser._option_string_actions) for name, parser in parsers.choices.items()}
    locust = [sys.executable, "-m", "locust", "--help"]
    shown = subprocess.run(locust, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    found["run"] |= set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", shown))
    return found


def test_the_readme_is_read_in_one_sitting() -> None:
    """At most 160 lines, none wider than 120 characters."""
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 160
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_exists_with_its_options(page: Path, options: dict[str, set[str]]) -> None:
    """Each command in a shell block is one of ours, and so is each of its options."""
    for words in commands(page):
        command = "run" if words[0] == "locust" else words[1]
        if command == "lm-eval" or words[1:2] == ["--version"]:
            continue
        assert command in COMMANDS, words
        named = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
        assert named - options[command] == set(), words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_scenario_that_is_named_ships(page: Path) -> None:
    """`aether-load run NAME` names a shipped scenario, or a file of the user's own."""
    for words in commands(page):
        if words[:2] == ["aether-load", "run"] and len(words) > 2 and not words[2].startswith("-"):
            assert words[2] in shipped_scenarios() or words[2].endswith(".toml"), words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_toml_block_is_a_scenario(page: Path, tmp_path: Path) -> None:
    """As it stands, or with a phase behind it; a part that names a file of the user's own is read all the same."""
    for number, block in enumerate(blocks(page, "toml")):
        text = block if "[[phases]]" in block else f"{block}\n[[phases]]\npasses = 1\n"
        (tmp_path / f"{number}.toml").write_text(text)
        tomllib.loads(text)
        try:
            load_scenario(tmp_path / f"{number}.toml")
        except UsageError as error:
            pytest.fail(f"{name_of(page)}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Relative links lead to files of the project."""
    targets = re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_commands_that_ci_runs_stand_in_the_readme() -> None:
    """The two commands stand in the README on a line each, where .ci/run finds them."""
    ci = (REPOSITORY / ".ci" / "run").read_text()
    lines = README.read_text(encoding="utf-8").splitlines()
    for ending in ("&& locust -f locustfiles/eval.py --headless", "&& pytest"):
        assert f"readme_command '{ending}'" in ci
        assert len([line for line in lines if line.startswith("python3 -m venv") and ending in line]) == 1
    assert EVAL.is_file()


def test_the_reference_is_what_the_code_says() -> None:
    """Generated pages are generated again when an option, a key, a column, a metric or a warning changes."""
    check = [sys.executable, str(REPOSITORY / ".ci" / "reference"), "--check"]
    checked = subprocess.run(check, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_published_schema_is_the_one_of_the_code() -> None:
    """docs/nightly.schema.json is what `python -m aether_load.outputs.schema` writes."""
    assert (REPOSITORY / "docs" / "nightly.schema.json").read_text(encoding="utf-8") == schema_text()


def test_forms_files_and_bounds_of_the_results_are_those_of_the_code() -> None:
    """The forms of --format, the files for github-action-benchmark, the bounds of the page."""
    assert re.findall(r"^\| `(text|json|csv|markdown|junit)` \|", RESULTS, re.MULTILINE) == list(FORMATS)
    assert all(f"output-file-path: results/{name}" in RESULTS for name in FILES.values())
    assert re.findall(r"At most (\d+) phases have their curve there and (\d+)", " ".join(RESULTS.split())) == [
        (str(MOST_CURVES), str(MOST_PHASES))
    ]


def test_shipped_scenarios_are_listed() -> None:
    """docs/prompts.md says what each shipped scenario is for."""
    text = (REPOSITORY / "docs" / "prompts.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in shipped_scenarios())


def test_ci_runs_evaluations_in_an_environment_of_their_own() -> None:
    """The extra is installed apart, so that nothing here comes to need it."""
    ci = (REPOSITORY / ".ci" / "run").read_text()
    assert ".venv-lm-eval/bin/pip install --quiet --editable '.[test,lm-eval]'" in ci
    assert "tests/with_lm_eval" in ci
