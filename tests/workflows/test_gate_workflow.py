"""gate.yml and the gate of ci.yml from the first step to the last, with containers that are simulated runtimes."""

import functools
import json
import os

import pytest

from expression import fill_in
from job import read, run_job
from processes import REPOSITORY, run_command

GATE, CI = read("gate.yml"), read("ci.yml")
HARNESS = "aether/aether-load"
RUNTIME = "sowadalmughni/aether-lang"
INSTALL = "Install the harness"
TINY = "--pairs 20 --window 200ms"
EXECUTED = {
    ("gate.yml", "gate"): {"Find the base", "Build both", "Gate", "Summary", "Remove containers that are left"},
    ("gate.yml", "comment"): {"Comment"},
    ("ci.yml", "gate"): {"Gate the simulated runtime against itself", "Summary"},
}
MARK = "<!-- aether-load gate -->\n"


@functools.cache
def gate_is_there():
    return run_command("gate", "--help", cwd=REPOSITORY).returncode == 0


@pytest.fixture
def real_gate():
    if not gate_is_there():
        pytest.skip("`aether-load gate` is not in this version")


def pull_request(repository, commit, fork=None):
    head = {"repo": {"full_name": fork or repository}}
    event = {"pull_request": {"number": 7, "head": head}}
    return {"repository": repository, "sha": commit, "event": event, "token": "secret", "event_name": "pull_request"}


def called(github, commit, **inputs):
    """Return the contexts of a pull request to the runtime's repository, whose workflow calls this one."""
    context = pull_request(RUNTIME, commit)
    declared = GATE["on"]["workflow_call"]["inputs"]
    given = {"harness-repository": HARNESS, "harness-ref": "main", "options": TINY, **inputs}
    defaults = {
        name: fill_in(what["default"], {"github": context}, {}) for name, what in declared.items() if "default" in what
    }
    assert set(declared) == set(defaults | given)
    return {"github": context, "inputs": defaults | given}


def gate(github, contexts, *left_out):
    return run_job(GATE, "gate", github.machine("gate", INSTALL, *left_out), contexts, {})


def comment(github, ended, contexts):
    needs = {"gate": {"result": ended.conclusion, "outputs": ended.outputs}}
    return run_job(GATE, "comment", github.machine("comment"), {**contexts, "needs": needs}, {})


def test_a_pull_request_is_held_against_what_it_would_be_merged_into(github):
    """The merge against its first parent, though the branch began before main went on."""
    main = github.runtime.commit("exit 1")
    merge = github.runtime.pull_request("--latency constant:60ms")
    ended = gate(github, called(github, merge), "Gate")
    assert ended.conclusion == "success", [step.text for step in ended.steps]
    assert ended["Find the base"].outputs == {"ref": main}
    images = [(github.folder / f"image-{side}").read_text() for side in ("base", "candidate")]
    assert images == ["", "--latency constant:60ms"]


def test_a_base_that_is_named_is_taken(github):
    """As it is named, in the repository of the runtime."""
    head = github.runtime.commit("exit 1")
    contexts = called(github, head, **{"base-ref": github.runtime.first})
    assert gate(github, contexts, "Build both", "Gate")["Find the base"].outputs == {"ref": github.runtime.first}


def test_a_pull_request_to_the_harness_holds_the_runtime_against_itself(github):
    """It changes no runtime: both sides are the newest commit of the runtime's main branch."""
    head = github.runtime.commit("exit 1")
    contexts = {"github": pull_request(HARNESS, "0" * 40)}
    assert gate(github, contexts, "Build both", "Gate")["Find the base"].outputs == {"ref": head}


def test_a_build_that_fails_fails_the_job_and_says_nothing_of_a_gate(github):
    """No gate is run; there is no summary, and so no comment."""
    (github.runtime.path / "options").unlink()
    github.runtime.git("commit", "--quiet", "--all", "--message", "Lose the options")
    contexts = called(github, "main", **{"base-ref": "main"})
    ended = gate(github, contexts)
    assert ended["Build both"].outcome == ended.conclusion == "failure"
    assert ended["Gate"].outcome == ended["Summary"].outcome == "skipped"
    assert comment(github, ended, contexts).conclusion == "skipped"


def test_a_slower_candidate_fails_the_job_and_is_commented_on(github, real_gate):
    """Exit code 4; the gate's Markdown in summary and comment, its files in the artifact, no container left."""
    github.runtime.commit("", "--latency constant:20ms")
    merge = github.runtime.pull_request("--latency constant:40ms")
    contexts = called(github, merge, **{"base-ref": "main"})
    ended = gate(github, contexts)
    assert (ended["Gate"].code, ended.conclusion) == (4, "failure"), ended["Gate"].text
    assert ended.scripts == EXECUTED["gate.yml", "gate"]
    artifact = github.artifact("gate")
    result = (artifact / "gate.md").read_text()
    assert ended.summary.endswith(result)
    assert {path.name for path in artifact.iterdir()} >= {"runs", "gate.json", "gate.md", "junit.xml", "comment.md"}
    assert json.loads((artifact / "gate.json").read_bytes())
    runs = [line.split() for line in github.log("docker") if line.startswith("run ")]
    assert {(line[-1], line[-2]) for line in runs} == {
        (f"aether-runtime:{side}", runs[0][-2]) for side in ("base", "candidate")
    }
    assert int(runs[0][-2]) in os.sched_getaffinity(0)
    assert github.log("docker")[-1] == "rm --force left-behind"
    (github.folder / "comments").write_text("")
    commented = comment(github, ended, contexts)
    assert commented.scripts == EXECUTED["gate.yml", "comment"]
    assert (github.folder / "comment.md").read_text() == MARK + ended.summary


def test_a_faster_candidate_passes(github, real_gate):
    """Exit code 0 and a job that passed."""
    github.runtime.commit("", "--latency constant:40ms")
    merge = github.runtime.pull_request("--latency constant:20ms")
    ended = gate(github, called(github, merge, **{"base-ref": "main"}))
    assert (ended["Gate"].code, ended.conclusion) == (0, "success"), ended["Gate"].text


def test_a_candidate_that_does_not_start_never_passes(github, real_gate):
    """Exit code 3 from the gate, and whatever was begun is taken away."""
    merge = github.runtime.pull_request("broken")
    contexts = called(github, merge)
    ended = gate(github, contexts)
    assert (ended["Gate"].code, ended.conclusion) == (3, "failure"), ended["Gate"].text
    assert ended["Remove containers that are left"].outcome == "success"


def test_ci_gates_the_simulated_runtime(github, real_gate):
    """The step as it stands, with short windows, which may be inconclusive but never find a regression."""
    machine = github.machine("ci", "Install")
    ended = run_job(CI, "gate", machine, {"github": pull_request(HARNESS, "0" * 40)}, {"GATE_OPTIONS": TINY})
    assert ended["Gate the simulated runtime against itself"].code in {0, 5}
    assert ended.scripts == EXECUTED["ci.yml", "gate"]
    assert ended.summary == (github.artifact("gate") / "gate.md").read_text()


@pytest.fixture
def gated(github):
    """A gate that has failed and left its Markdown."""
    artifact = github.artifact("gate")
    artifact.mkdir(parents=True)
    (artifact / "comment.md").write_text("Candidate is slower.\n")
    (github.folder / "comments").write_text("")
    return {"gate": {"result": "failure", "outputs": {"written": "true"}}}


def comment_after(github, gated, fork=None):
    contexts = {"github": pull_request(RUNTIME, "0" * 40, fork), "needs": gated}
    return run_job(GATE, "comment", github.machine("comment"), contexts, {})


def test_the_first_comment_is_new(github, gated):
    """Marked, so that the next push finds it."""
    assert comment_after(github, gated)["Comment"].code == 0
    comments = f"repos/{RUNTIME}/issues/7/comments"
    asked, written = github.log("gh")
    assert asked.startswith(f"api --paginate {comments} --jq ")
    assert written == f"api --silent --method POST {comments} --field body=@body.md"
    assert (github.folder / "comment.md").read_text() == MARK + "Candidate is slower.\n"


def test_the_next_push_replaces_the_comment(github, gated):
    """The newest that bears the mark."""
    (github.folder / "comments").write_text("11\n12\n")
    assert comment_after(github, gated)["Comment"].code == 0
    path = f"repos/{RUNTIME}/issues/comments/12"
    assert github.log("gh")[-1] == f"api --silent --method PATCH {path} --field body=@body.md"


def test_a_comment_is_no_longer_than_github_takes(github, gated):
    """What is cut off is in the summary and the artifact."""
    (github.artifact("gate") / "comment.md").write_text("x" * 100_000)
    assert comment_after(github, gated)["Comment"].code == 0
    assert len((github.folder / "comment.md").read_text()) == 60_000 + len(MARK)


def test_a_fork_has_the_summary_only(github, gated):
    """Its token cannot write, which must not look like a failure of the gate."""
    assert comment_after(github, gated, fork="somebody/aether-lang").conclusion == "skipped"
    assert github.log("gh") == []
