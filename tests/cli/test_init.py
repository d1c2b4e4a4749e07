"""`aether-load init`: files to start from, which work as they are."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import yaml

from aether_load.cli.run import locust_command
from aether_load.scenario.load import load_scenario
from processes import LocustProcess, call_command

WRITTEN = [".github/workflows/load-test.yml", "locustfile.py", "scenario.toml"]


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_is_written_can_be_run(tmp_path: Path) -> None:
    """A locustfile that runs the scenario beside it, and a workflow whose command names both."""
    made = call_command("init", "first", cwd=tmp_path)
    folder = tmp_path / "first"
    assert (made.returncode, files_in(folder)) == (0, WRITTEN)
    assert "\nNext: cd first && aether-load run scenario.toml -f locustfile.py\n" in made.stdout
    assert "set AETHER_LOAD in load-test.yml" in made.stdout
    scenario = load_scenario(folder / "scenario.toml")
    assert (scenario.name, len(scenario.thresholds), scenario.phases[0].duration) == ("first", 2, 10.0)
    code = compile((folder / "locustfile.py").read_text(), "locustfile.py", "exec")
    assert "AetherUser" in code.co_names
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "load-test.yml").read_text())
    (run,) = [step["run"] for step in workflow["jobs"]["load-test"]["steps"] if step.get("name") == "Run the load"]
    assert run.startswith("aether-load run scenario.toml -f locustfile.py ")


def test_the_locustfile_runs_the_scenario_beside_it(start_locust: Callable[..., LocustProcess], tmp_path: Path) -> None:
    """`locust --headless` in the folder does so without another word."""
    call_command("init", cwd=tmp_path)
    run = start_locust("--headless", "--dry-run", locustfile=tmp_path / "locustfile.py").finish()
    assert run.code == 0, run.err
    assert run.out.startswith("first: My first load test.\n  closed: 8 users; warm-up 2 s; window of 10 s;")


def test_nothing_is_replaced(tmp_path: Path) -> None:
    """A file that is there stays, and nothing else is written beside it."""
    (tmp_path / "scenario.toml").write_text("mine")
    refused = call_command("init", cwd=tmp_path)
    assert (refused.returncode, files_in(tmp_path)) == (2, ["scenario.toml"])
    assert refused.stderr == (
        "aether-load: init: scenario.toml is there already, so nothing was written; name another folder.\n"
    )


def test_the_examples_in_comments_are_right(tmp_path: Path) -> None:
    """The phase that is commented out is a phase."""
    call_command("init", cwd=tmp_path)
    text = (tmp_path / "scenario.toml").read_text()
    tail = text[text.index("# [[phases]]") :]
    (tmp_path / "more.toml").write_text(text + "".join(line.removeprefix("# ") + "\n" for line in tail.splitlines()))
    assert [phase["name"] for phase in tomllib.loads((tmp_path / "more.toml").read_text())["phases"]] == [
        "closed", "open",
    ]  # fmt: skip
    assert load_scenario(tmp_path / "more.toml").phases[1].rate == 50
    assert locust_command(["-f", "locustfile.py"])[-2:] == ["-f", "locustfile.py"]
