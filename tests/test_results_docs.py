"""What docs/results.md and the README say of results is so."""

import re

import msgspec
import pytest

from aether_load.analysis.phase.rows import Row
from aether_load.analysis.report import REPORT_SCHEMA_VERSION, Report
from aether_load.analysis.statistics.latency_curve import SHARES
from aether_load.outputs.benchmark_action import FILES
from aether_load.outputs.charts.report_charts import MOST_CURVES
from aether_load.outputs.formats import FORMATS
from aether_load.outputs.page import MOST_PHASES
from aether_load.outputs.schema import schema_text
from aether_load.outputs.summary import SUMMARY_COLUMNS
from aether_load.scenario.load import load_scenario
from processes import REPOSITORY, run_command

DOCS = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_published_schema_is_the_one_of_the_code():
    """docs/nightly.schema.json is what `python -m aether_load.outputs.schema` writes, of the version in reports."""
    published = (REPOSITORY / "docs" / "nightly.schema.json").read_text(encoding="utf-8")
    assert published == schema_text()
    assert f"schema version {REPORT_SCHEMA_VERSION}" in published


def test_the_columns_of_the_table_are_listed_in_their_order():
    """Every column of summary.csv, as it stands in the header."""
    listed = re.search(r"Columns, in order:\n\n(.*?)\n\n", DOCS, re.DOTALL)[1]
    assert tuple(re.findall(r"`(\w+)`", listed)) == SUMMARY_COLUMNS


def test_every_key_of_a_row_is_explained():
    """Each figure of a row has its formula."""
    keys = {field.name for field in msgspec.structs.fields(Row)} - {"dataset", "reasons", "requests_total", "ok_total"}
    undescribed = {"server_time_share", "unanswered_total"}
    assert {key for key in keys - undescribed if f"`{key}`" not in DOCS} == set()


def test_the_keys_of_a_report_are_named():
    """Each key at the top of the nightly JSON stands in the table or the text."""
    keys = {field.name for field in msgspec.structs.fields(Report)}
    assert {key for key in keys - {"scenario", "self_check", "self_check_reason"} if f"`{key}" not in DOCS} == set()


def test_forms_and_files_are_named_once_each():
    """The forms are those of --format; the files for github-action-benchmark stand in docs and README."""
    assert re.findall(r"^\| `(text|json|csv|markdown|junit)` \|", DOCS, re.MULTILINE) == list(FORMATS)
    for name in FILES.values():
        assert name in DOCS
        assert name in README
        assert f"output-file-path: results/{name}" in DOCS


def test_numbers_in_the_text_are_those_of_the_code():
    """The bounds of page and curve."""
    assert f"up to {len(SHARES) + 2} shares" in DOCS
    assert f"At most {MOST_CURVES} phases have their curve there and {MOST_PHASES} their tables" in DOCS


def test_the_scenario_keys_are_read_as_they_stand(tmp_path):
    """The fragment with goodput_slo and the price is a scenario with a phase behind it."""
    (fragment,) = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    (tmp_path / "mine.toml").write_text(fragment + "\n[[phases]]\npasses = 1\n")
    scenario = load_scenario(tmp_path / "mine.toml")
    assert (str(scenario.goodput_slo), scenario.workload.price_usd_per_1000_tokens) == ("response_latency_ms<500", 0.15)


@pytest.mark.parametrize("command", ["report", "compare"])
def test_every_option_of_the_commands_exists(command):
    """Options in the docs beside a command are that command's."""
    known = set(re.findall(r"--[a-z][a-z-]+", run_command(command, "--help", cwd=REPOSITORY).stdout))
    named = re.findall(rf"aether-load {command} [^`\n]*", DOCS + README)
    assert named
    assert set(re.findall(r"--[a-z][a-z-]+", " ".join(named))) - known == set()


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", DOCS))
def test_every_link_leads_somewhere(target):
    """Relative links lead to files beside the page."""
    assert (REPOSITORY / "docs" / target).exists()


def test_compares_exit_codes_are_told():
    """The table of compare's exit codes."""
    table = DOCS[DOCS.index("| code | `compare` |") :]
    assert re.findall(r"^\| (\d+) \|", table, re.MULTILINE) == ["0", "2", "5"]
