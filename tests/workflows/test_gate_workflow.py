"""gate.yml and the gate of ci.yml from the first step to the last, with containers that are simulated runtimes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from workflows.expression import fill_in
from workflows.job import Ended, read, run_job

if TYPE_CHECKING:
    from workflows.stand_ins import GitHub

GATE, CI = read("gate.yml"), read("ci.yml")
HARNESS = "aether/aether-load"
RUNTIME = "sowadalmughni/aether-lang"
INSTALL = "Install the harness"
SHORT = "--pairs 40 --window 200ms --set phases.0.users=4"
EXECUTED = {
    ("gate.yml", "gate"): {"Find the base", "Build both", "Gate", "Summary", "Remove containers that are left"},
    ("gate.yml", "comment"): {"Comment"},
    ("ci.yml", "gate"): {"Gate the simulated runtime against itself", "Summary"},
}
MARK = "<!-- aether-load gate -->\n"


def pull_request(repository: str, commit: str, fork: str | None = None) -> dict[str, Any]:
    head = {"repo": {"full_name": fork or repository}}
    event = {"pull_request": {"number": 7, "head": head}}
    return {"repository": repository, "sha": commit, "event": event, "token": "secret", "event_name": "pull_request"}


IN_CI = {"github": pull_request(HARNESS, "0" * 40)}


def called(github: GitHub, commit: str, **inputs: str) -> dict[str, Any]:
    """Return the contexts of a pull request to the runtime's repository, whose workflow calls this one."""
    context = pull_request(RUNTIME, commit)
    declared = GATE["on"]["workflow_call"]["inputs"]
    given = {"harness-repository": HARNESS, "harness-ref": "main", "options": SHORT, **inputs}
    defaults = {
        name: fill_in(what["default"], {"github": context}, {}) for name, what in declared.items() if "default" in what
    }
    assert set(declared) == set(defaults | given)
    return {"github": context, "inputs": defaults | given}


def gate(github: GitHub, contexts: dict[str, Any], *left_out: str) -> Ended:
    return run_job(GATE, "gate", github.machine("gate", INSTALL, *left_out), contexts, {})


def comment(github: GitHub, ended: Ended, contexts: dict[str, Any]) -> Ended:
    needs = {"gate": {"result": ended.conclusion, "outputs": ended.outputs}}
    return run_job(GATE, "comment", github.machine("comment"), {**contexts, "needs": needs}, {})


def test_a_pull_request_is_held_against_what_it_would_be_merged_into(github: GitHub) -> None:
    """The merge against its first parent, though the branch began before main went on."""
    main = github.runtime.commit("exit 1")
    merge = github.runtime.pull_request("--latency constant:60ms", github.runtime.first)
    ended = gate(github, called(github, merge), "Gate")
    assert ended.conclusion == "success", [step.text for step in ended.steps]
    assert ended["Find the base"].outputs == {"ref": main}
    images = [(github.folder / f"image-{side}").read_text() for side in ("base", "candidate")]
    assert images == ["", "--latency constant:60ms"]


def test_a_base_that_is_named_is_taken(github: GitHub) -> None:
    """As it is named, in the repository of the runtime."""
    head = github.runtime.commit("exit 1")
    contexts = called(github, head, **{"base-ref": github.runtime.first})
    assert gate(github, contexts, "Build both", "Gate")["Find the base"].outputs == {"ref": github.runtime.first}


def test_a_pull_request_to_the_harness_holds_the_runtime_against_itself(github: GitHub) -> None:
    """It changes no runtime: both sides are the newest commit of the runtime's main branch."""
    head = github.runtime.commit("exit 1")
    contexts = {"github": pull_request(HARNESS, "0" * 40)}
    assert gate(github, contexts, "Build both", "Gate")["Find the base"].outputs == {"ref": head}


def test_a_build_that_fails_fails_the_job_and_says_nothing_of_a_gate(github: GitHub) -> None:
    """No gate is run; there is no summary, and so no comment."""
    (github.runtime.path / "options").unlink()
    github.runtime.git("commit", "--quiet", "--all", "--message", "Lose the options")
    contexts = called(github, "main", **{"base-ref": "main"})
    ended = gate(github, contexts)
    assert ended["Build both"].outcome == ended.conclusion == "failure"
    assert ended["Gate"].outcome == ended["Summary"].outcome == "skipped"
    assert comment(github, ended, contexts).conclusion == "skipped"


def leave_markdown(github: GitHub, job: str) -> None:
    """Put Markdown where the job's gate would have written it."""
    results = github.machine(job).workspace / "results"
    results.mkdir(parents=True)
    (results / "gate.md").write_text("### aether-load gate: PASSED\n")


def test_what_the_gate_wrote_is_the_summary_and_the_comment(github: GitHub) -> None:
    """Under a line with both commits; all of it is in the artifact, and no container is left."""
    leave_markdown(github, "gate")
    contexts = called(github, github.runtime.first, **{"base-ref": "main"})
    ended = gate(github, contexts, "Build both", "Gate")
    assert ended.scripts == {"Find the base", "Summary", "Remove containers that are left"}
    commit = github.runtime.first
    expected = f"Runtime: {RUNTIME}, {commit} against {commit}\n\n### aether-load gate: PASSED\n"
    assert ended.summary == expected
    assert {path.name for path in github.artifact("gate").iterdir()} == {"gate.md", "comment.md"}
    assert github.log("docker") == ["ps --quiet --filter label=aether-load-gate", "rm --force left-behind"]
    (github.folder / "comments").write_text("")
    assert comment(github, ended, contexts).scripts == EXECUTED["gate.yml", "comment"]
    assert (github.folder / "comment.md").read_text() == MARK + expected


def test_a_candidate_that_does_not_start_never_passes(github: GitHub) -> None:
    """Exit code 3 from the gate, no word of a result, and whatever was begun is taken away."""
    contexts = called(github, github.runtime.pull_request("broken", github.runtime.first))
    ended = gate(github, contexts)
    assert (ended["Gate"].code, ended.conclusion) == (3, "failure"), ended["Gate"].text
    assert ended.scripts == EXECUTED["gate.yml", "gate"] - {"Summary"}
    assert comment(github, ended, contexts).conclusion == "skipped"
    core = str(max(os.sched_getaffinity(0)))
    started = [line.split()[-3:] for line in github.log("docker") if line.startswith("run ")]
    assert started == [["--cpuset-cpus", core, f"aether-runtime:{side}"] for side in ("base", "candidate")]


def test_ci_fails_by_the_code_of_its_gate(github: GitHub) -> None:
    """As the step stands, but for an option that is refused before any load; there is then no summary."""
    ended = run_job(CI, "gate", github.machine("ci", "Install"), IN_CI, {"GATE_OPTIONS": "--pairs 3"})
    step = ended["Gate the simulated runtime against itself"]
    assert (step.code, ended.conclusion, ended["Summary"].outcome) == (2, "failure", "skipped"), step.text


def test_what_cis_gate_wrote_is_its_summary(github: GitHub) -> None:
    """As it stands."""
    leave_markdown(github, "ci")
    machine = github.machine("ci", "Install", "Gate the simulated runtime against itself")
    ended = run_job(CI, "gate", machine, IN_CI, {})
    assert (ended.scripts, ended.summary) == ({"Summary"}, "### aether-load gate: PASSED\n")


@pytest.mark.slow
def test_a_slower_candidate_fails_the_job_and_is_commented_on(github: GitHub) -> None:
    """Exit code 4, whose Markdown is summary and comment, and whose folder is in the artifact."""
    main = github.runtime.commit("", "--latency constant:40ms")
    contexts = called(github, github.runtime.pull_request("--latency constant:80ms", main))
    ended = gate(github, contexts)
    assert (ended["Gate"].code, ended.conclusion) == (4, "failure"), ended["Gate"].text
    assert ended.scripts == EXECUTED["gate.yml", "gate"]
    artifact = github.artifact("gate")
    (run,) = (artifact / "runs").iterdir()
    for name in ("gate.json", "gate.md", "junit.xml"):
        assert (artifact / name).read_bytes() == (run / name).read_bytes()
    assert ended.summary.endswith((artifact / "gate.md").read_text())
    (github.folder / "comments").write_text("")
    assert comment(github, ended, contexts).conclusion == "success"


@pytest.mark.slow
def test_cis_gate_passes(github: GitHub) -> None:
    """As the step stands, with windows so short that only a large loss can be told from noise."""
    machine = github.machine("ci", "Install")
    ended = run_job(CI, "gate", machine, IN_CI, {"GATE_OPTIONS": f"{SHORT} --margin 0.4"})
    assert ended.conclusion == "success", ended["Gate the simulated runtime against itself"].text
    assert ended.scripts == EXECUTED["ci.yml", "gate"]


@pytest.fixture
def gated(github: GitHub) -> dict[str, Any]:
    """A gate that has failed and left its Markdown."""
    artifact = github.artifact("gate")
    artifact.mkdir(parents=True)
    (artifact / "comment.md").write_text("Candidate is slower.\n")
    (github.folder / "comments").write_text("")
    return {"gate": {"result": "failure", "outputs": {"written": "true"}}}


def comment_after(github: GitHub, gated: dict[str, Any], fork: str | None = None) -> Ended:
    contexts = {"github": pull_request(RUNTIME, "0" * 40, fork), "needs": gated}
    return run_job(GATE, "comment", github.machine("comment"), contexts, {})


def test_the_first_comment_is_new(github: GitHub, gated: dict[str, Any]) -> None:
    """Marked, so that the next push finds it."""
    assert comment_after(github, gated)["Comment"].code == 0
    comments = f"repos/{RUNTIME}/issues/7/comments"
    asked, written = github.log("gh")
    assert asked.startswith(f"api --paginate {comments} --jq ")
    assert written == f"api --silent --method POST {comments} --field body=@body.md"
    assert (github.folder / "comment.md").read_text() == MARK + "Candidate is slower.\n"


def test_the_next_push_replaces_the_comment(github: GitHub, gated: dict[str, Any]) -> None:
    """The newest that bears the mark."""
    (github.folder / "comments").write_text("11\n12\n")
    assert comment_after(github, gated)["Comment"].code == 0
    path = f"repos/{RUNTIME}/issues/comments/12"
    assert github.log("gh")[-1] == f"api --silent --method PATCH {path} --field body=@body.md"


def test_a_comment_is_no_longer_than_github_takes(github: GitHub, gated: dict[str, Any]) -> None:
    """What is cut off is in the summary and the artifact."""
    (github.artifact("gate") / "comment.md").write_text("x" * 100_000)
    assert comment_after(github, gated)["Comment"].code == 0
    assert len((github.folder / "comment.md").read_text()) == 60_000 + len(MARK)


def test_a_fork_has_the_summary_only(github: GitHub, gated: dict[str, Any]) -> None:
    """Its token cannot write, which must not look like a failure of the gate."""
    assert comment_after(github, gated, fork="somebody/aether-lang").conclusion == "skipped"
    assert github.log("gh") == []
