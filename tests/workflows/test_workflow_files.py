"""What the workflows may do, and that what they run is pinned and tried."""

import re
import subprocess

import pytest

from processes import REPOSITORY
from workflows.job import FOLDER, read
from workflows.test_gate_workflow import EXECUTED as EXECUTED_BY_GATE
from workflows.test_nightly_workflow import EXECUTED as EXECUTED_BY_NIGHTLY
from workflows.test_release_workflow import EXECUTED as EXECUTED_BY_RELEASE

WORKFLOWS = {path.name: read(path.name) for path in sorted(FOLDER.iterdir())}
JOBS = {(file, name): job for file, workflow in WORKFLOWS.items() for name, job in workflow["jobs"].items()}
STEPS = [(file, name, step) for (file, name), job in JOBS.items() for step in job["steps"]]
ACTION = re.compile(r"^\s*(?:- )?uses: ([\w-]+/[\w-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$")

NOT_EXECUTED = {
    (
        "ci.yml",
        "lint",
        "Lint, types, import contracts, advisories, documentation and workflows",
    ): "is .ci/run, which these tests are a part of",
    ("ci.yml", "tests", "Tests, the main job and the tail"): "is .ci/run, which these tests are a part of",
    ("ci.yml", "slow", "The slow tests"): "is .ci/run, which these tests are a part of",
    ("ci.yml", "coverage", "Branch coverage of all tests"): "is .ci/run, which these tests are a part of",
    ("ci.yml", "coverage", "Summary"): "shows what .ci/run wrote",
    ("ci.yml", "gate", "Install"): "is .ci/run, which these tests are a part of",
    ("ci.yml", "package", "Build, check, install and run"): "is .ci/run, which these tests are a part of",
    ("ci.yml", "lowest", "Tests with the lowest releases of all dependencies"): "is .ci/run",
    ("release.yml", "build", "Build, check, install and run"): "is .ci/run, which these tests are a part of",
    ("nightly.yml", "load", "Install the harness"): "would put another copy over the one that is tested",
    ("gate.yml", "gate", "Install the harness"): "would put another copy over the one that is tested",
}


def test_there_are_four() -> None:
    """The names that docs/ci.md explains."""
    assert list(WORKFLOWS) == ["ci.yml", "gate.yml", "nightly.yml", "release.yml"]


def test_every_script_is_executed_here_or_listed_with_a_reason() -> None:
    """A step that nothing has tried is found when it is written."""
    scripts = {(file, job, step["name"]) for file, job, step in STEPS if "run" in step}
    every = EXECUTED_BY_GATE | EXECUTED_BY_NIGHTLY | EXECUTED_BY_RELEASE
    executed = {(file, job, step) for (file, job), steps in every.items() for step in steps}
    assert executed & set(NOT_EXECUTED) == set()
    assert scripts == executed | set(NOT_EXECUTED)


def test_the_default_token_can_do_nothing() -> None:
    """Each job names what it needs; only the charts, the comment and a release may write."""
    assert {file: workflow["permissions"] for file, workflow in WORKFLOWS.items()} == {file: {} for file in WORKFLOWS}
    assert {key: job["permissions"] for key, job in JOBS.items()} == {
        ("ci.yml", "lint"): {"contents": "read"},
        ("ci.yml", "tests"): {"contents": "read"},
        ("ci.yml", "package"): {"contents": "read"},
        ("ci.yml", "lowest"): {"contents": "read"},
        ("ci.yml", "slow"): {"contents": "read"},
        ("ci.yml", "coverage"): {"contents": "read"},
        ("ci.yml", "gate"): {"contents": "read"},
        ("gate.yml", "gate"): {"contents": "read"},
        ("gate.yml", "comment"): {"pull-requests": "write"},
        ("nightly.yml", "load"): {"contents": "read"},
        ("nightly.yml", "charts"): {"contents": "write"},
        ("release.yml", "build"): {"contents": "read"},
        ("release.yml", "image"): {"contents": "read"},
        ("release.yml", "publish"): {"id-token": "write"},
        ("release.yml", "publish_image"): {"packages": "write"},
        ("release.yml", "github_release"): {"contents": "write", "id-token": "write", "attestations": "write"},
    }


def test_a_job_that_may_write_runs_nothing_of_a_checkout() -> None:
    """Code of a pull request or of the runtime never meets a token that can write."""
    uses = {key: {step.get("uses", "a script").split("@")[0] for step in job["steps"]} for key, job in JOBS.items()}
    assert uses["gate.yml", "comment"] == {"actions/download-artifact", "a script"}
    assert uses["nightly.yml", "charts"] == {
        "actions/checkout",
        "actions/download-artifact",
        "benchmark-action/github-action-benchmark",
        "a script",
    }
    (script,) = (step["run"] for step in JOBS["nightly.yml", "charts"]["steps"] if "run" in step)
    assert {line.split()[0] for line in script.splitlines()} <= {
        'GIT_CONFIG_VALUE_0="AUTHORIZATION:', "export", "git", "mkdir", "rm", "cp", "cd", "commit",
    }  # fmt: skip
    assert not any(
        "actions/checkout" in uses["release.yml", job] for job in ("publish", "publish_image", "github_release")
    )


def test_only_a_tag_publishes() -> None:
    """A pull request and a push to a branch end before the jobs that may write."""
    assert WORKFLOWS["release.yml"]["on"] == {"push": {"tags": ["v*"]}, "pull_request": None}
    conditions = {name: job.get("if", "") for name, job in WORKFLOWS["release.yml"]["jobs"].items()}
    assert {name for name, condition in conditions.items() if "github.ref_type == 'tag'" in condition} == {
        "publish", "publish_image", "github_release",
    }  # fmt: skip
    assert not any("secrets." in path.read_text() for path in FOLDER.iterdir())


def test_the_image_is_built_as_the_nights_runtime_is() -> None:
    """The same cargo command, with the folders of the image."""
    (night,) = [step["run"] for file, _, step in STEPS if "cargo build" in step.get("run", "")]
    image = (REPOSITORY / ".github" / "runtime.Dockerfile").read_text()
    expected = (
        night.strip().replace("runtime/aether-runtime", "aether-runtime").replace('"$RUNNER_TEMP/target"', "/target")
    )
    assert f"RUN {expected}\n" in image
    assert "COPY --from=build /target/release/aether-runtime " in image


def test_every_job_has_a_limit_and_bash_stops_at_the_first_failure() -> None:
    """`shell: bash` is GitHub's word for -eo pipefail; what it takes by default has no pipefail."""
    assert all(5 <= job["timeout-minutes"] <= 60 for job in JOBS.values())
    assert all(workflow["defaults"] == {"run": {"shell": "bash"}} for workflow in WORKFLOWS.values())
    assert not any("shell" in step or "continue-on-error" in step for _, _, step in STEPS)
    assert all("group" in workflow["concurrency"] for workflow in WORKFLOWS.values())


def test_no_expression_stands_in_a_script() -> None:
    """Values reach a script through its environment, where they are no code."""
    assert [step["name"] for _, _, step in STEPS if "${{" in step.get("run", "")] == []


def test_every_action_is_pinned_to_one_commit() -> None:
    """By its full hash, with the release beside it; the same hash wherever the action is used."""
    lines = [line for name in WORKFLOWS for line in (FOLDER / name).read_text().splitlines() if "uses:" in line]
    found = [ACTION.match(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    pins = {match.groups() for match in found if match}
    assert len(pins) == len({action for action, _, _ in pins}) == 8


def test_no_checkout_leaves_its_token_behind() -> None:
    """Otherwise it lies in .git/config, where every later step can read it."""
    checkouts = [step for _, _, step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == 15
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_results_are_kept_whatever_happened() -> None:
    """Each upload runs after failures too, and a second attempt may replace the first's."""
    uploads = [step for _, _, step in STEPS if step.get("uses", "").startswith("actions/upload-artifact@")]
    assert len(uploads) == 6
    assert all(step["if"] == "${{ always() }}" and step["with"]["overwrite"] is True for step in uploads)


def test_the_night_is_two_o_clock() -> None:
    """Every day, and by hand; one night at a time."""
    nightly = WORKFLOWS["nightly.yml"]
    assert nightly["on"]["schedule"] == [{"cron": "0 2 * * *"}]
    assert "workflow_dispatch" in nightly["on"]
    assert (nightly["env"]["RUNTIME_PORT"], nightly["env"]["SCENARIO"]) == ("3000", "nightly")


def test_ci_runs_every_part_of_the_script() -> None:
    """The parts that the workflow names are, together, what `.ci/run` does when none is named."""
    script = (REPOSITORY / ".ci" / "run").read_text()
    match = re.search(r"parts=\(([a-z_ ]+)\)$", script, re.MULTILINE)
    assert match is not None
    every = match[1].split()
    runs = "\n".join(step.get("run", "") for file, _, step in STEPS if file == "ci.yml")
    named = [re.findall(r"[a-z_]+", words) for words in re.findall(r"\.ci/run ((?:[a-z_]+ ?)+)", runs)]
    assert sorted({part for parts in named for part in parts}) == sorted([*every, "coverage", "lowest"])
    assert all(parts[0] == "install" or parts == ["lowest"] for parts in named)


@pytest.mark.parametrize("part", ["lints", "install-all"])
def test_a_part_that_is_not_there_is_said(part: str) -> None:
    """Exit 2 and one sentence, before anything is installed."""
    ended = subprocess.run([REPOSITORY / ".ci" / "run", part], capture_output=True, text=True, check=False)
    parts = "install, lint, audit, docs, workflows, tests, slow, coverage, main_job, tail, package and lowest"
    sentence = f".ci/run: no part '{part}'; there are {parts}.\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", sentence)
