"""action.yml: its steps executed one after the other, as a job of another repository would."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from processes import REPOSITORY
from workflows.job import Ended, Machine, run_job

ACTION = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
PINNED = re.compile(r"^\s*(?:- )?uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
INSTALL = "Install aether-load"
GH = """\
#!/usr/bin/env bash
# Earlier comments and earlier runs are files.
set -eu
echo "$*" >>"$STAND_INS/gh.log"
case "$1 $2" in
  "run list") cat "$STAND_INS/earlier-run" ;;
  "run download") cp "$STAND_INS/earlier.csv" aether-load-results/summary.csv ;;
  "api --paginate") cat "$STAND_INS/comments" ;;
  "api --silent") cp body.md "$STAND_INS/comment.md" ;;
  *) exit 64 ;;
esac
"""
QUICK = "--limit 20 --dataset piqa --no-page --no-self-check"


class Caller:
    """A repository whose workflow uses the action."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[Any, Any] = {}
        (folder / "tools").mkdir()
        (folder / "tools" / "gh").write_text(GH)
        (folder / "tools" / "gh").chmod(0o755)

    def use(self, **inputs: str) -> Ended:
        """Run the action's steps with these inputs, on a pull request, and return how they ended."""
        given = {name: value.get("default", "") for name, value in ACTION["inputs"].items()}
        assert inputs.keys() <= given.keys()
        token = {"token": "the-token"}
        workspace = self.folder / "workspace"
        actions = {
            "actions/setup-python": lambda _inputs: None,
            "actions/upload-artifact": lambda with_: self.kept.update({with_["name"]: workspace / with_["path"]}),
        }
        environment = {"PATH": str(self.folder / "tools"), "STAND_INS": str(self.folder), "GITHUB_SHA": "f" * 40}
        machine = Machine(workspace, self.folder / "temp", actions, environment, frozenset({INSTALL}))
        contexts = {
            "inputs": {**given, **token, **inputs},
            "github": {
                "repository": "ann/runtime", "action_path": str(REPOSITORY), "workflow": "load",
                "event": {"pull_request": {"number": "7"}, "repository": {"default_branch": "main"}},
            },
        }  # fmt: skip
        job = {"steps": ACTION["runs"]["steps"]}
        return run_job({"jobs": {"action": job}}, "action", machine, contexts, {})

    def log(self) -> list[str]:
        path = self.folder / "gh.log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    return Caller(tmp_path)


def test_what_it_uses_is_pinned_and_every_input_is_described() -> None:
    lines = (REPOSITORY / "action.yml").read_text().splitlines()
    uses = [line for line in lines if "uses:" in line]
    assert uses
    assert all(map(PINNED.match, uses))
    scripts = [step for step in ACTION["runs"]["steps"] if "run" in step]
    assert all(step["shell"] == "bash" and "${{" not in step["run"] for step in scripts)
    assert all(value["description"] for value in (ACTION["inputs"] | ACTION["outputs"]).values())
    page = (REPOSITORY / "docs" / "action.md").read_text()
    assert [name for name in ACTION["inputs"] if f"`{name}`" not in page] == []


@pytest.mark.slow
def test_a_run_is_summed_up_commented_on_and_kept(caller: Caller) -> None:
    """The first comment is new; figures of earlier runs are carried on."""
    (caller.folder / "comments").write_text("")
    (caller.folder / "earlier-run").write_text("4711\n")
    (caller.folder / "earlier.csv").write_text("")
    ended = caller.use(options=QUICK, thresholds="p(50)<5000\n\nerror_rate<0.5\n", comment="true", trend="figures")
    assert ended.conclusion == "success", [step.text for step in ended.steps]
    assert ended.summary.startswith("## aether-load\n")
    assert "PASSED" in ended.summary
    comment = (caller.folder / "comment.md").read_text()
    assert comment == f"<!-- aether-load: aether-load -->\n{ended.summary}"
    assert "p(50)" in comment
    results = caller.kept["aether-load"]
    assert (results / "junit.xml").read_text().startswith("<?xml")
    assert caller.kept["figures"] == results / "summary.csv"
    (report,) = results.glob("runs/*/report.json")
    assert json.loads(report.read_bytes())["run"]["labels"] == {"commit": "f" * 40}
    log = caller.log()
    assert log[0].startswith("run list --repo ann/runtime --workflow load --branch main --status completed")
    assert log[1] == "run download 4711 --repo ann/runtime --name figures --dir aether-load-results"
    assert log[3] == "api --silent --method POST repos/ann/runtime/issues/7/comments --field body=@body.md"


@pytest.mark.slow
def test_a_broken_threshold_fails_the_job_and_replaces_the_comment(caller: Caller) -> None:
    """Exit code 4, with the summary, the comment and the results all the same."""
    (caller.folder / "comments").write_text("12\n")
    ended = caller.use(options=QUICK, thresholds="p(95)<0.001", comment="true", title="smoke")
    assert (ended["Run"].code, ended.conclusion) == (4, "failure"), ended["Run"].text
    assert ended["Run"].outputs == {"exit-code": "4", "junit": "aether-load-results/junit.xml"}
    assert "THRESHOLD" in ended.summary.upper()
    assert caller.log()[-1] == "api --silent --method PATCH repos/ann/runtime/issues/comments/12 --field body=@body.md"
    assert set(caller.kept) == {"aether-load"}


@pytest.mark.slow
def test_the_first_run_of_a_trend_begins_it(caller: Caller) -> None:
    (caller.folder / "earlier-run").write_text("")
    ended = caller.use(options=QUICK, trend="figures")
    assert ended.conclusion == "success", [step.text for step in ended.steps]
    assert "::notice::No earlier run has an artifact figures" in ended["Figures of earlier runs"].text
    assert ended["Comment"].outcome == "skipped"


@pytest.mark.slow
def test_a_gate_is_told_of_its_two_builds(caller: Caller) -> None:
    """One that cannot be reached is exit code 3; no report is made of nothing."""
    base, candidate = "http://127.0.0.1:9", "http://127.0.0.1:11"
    ended = caller.use(command="gate", base=base, candidate=candidate, comment="true")
    assert (ended["Run"].code, ended["Summary"].outcome, ended["Comment"].outcome) == (3, "skipped", "skipped")
    assert base in ended["Run"].text


def test_another_command_is_said(caller: Caller) -> None:
    ended = caller.use(command="compare")
    assert (ended["Run"].code, ended["Run"].text) == (2, "::error::command is 'compare'; there are run and gate.\n")
