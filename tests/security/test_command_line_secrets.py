"""No secret of a command line is written down or said, however it was given."""

import argparse
from pathlib import Path

import msgspec
import pytest

from aether_load.errors import UsageError
from aether_load.load.options import add_options, planned_scenario
from aether_load.redaction import REDACTOR
from aether_load.scenario.command_line.headers import filled_in
from aether_load.scenario.command_line.secrets import hidden_command, hidden_mistake
from aether_load.scenario.load import to_plain
from aether_load.scenario.scenario import Target
from processes import call_command

SECRET = "s3cr3t-7e1f"
SHORT = "hunter2"


def options_of(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for option in ("-u", "-r", "-t"):
        parser.add_argument(option, dest={"-u": "num_users", "-r": "spawn_rate", "-t": "run_time"}[option])
    parser.add_argument("--host", "-H")
    add_options(parser, "eval")
    return parser.parse_args(words)


def test_a_command_line_is_written_down_without_its_secrets() -> None:
    """Options with their values apart or behind =, tables of TOML, URLs; what is no secret stays."""
    assert hidden_command(
        [
            "locust", "--header", f"A: {SHORT} ${{T}}", f"--header=C: {SHORT}", "--header", SHORT, "--set",
            f"target.headers.E={SHORT}", f"--set=target.headers.E={SHORT}", "--set",
            f"target={{headers={{X='{SHORT}'}}}}", "--set", f" target . headers = {{X='{SHORT}'}}", "--set", SHORT,
            "--set", "target.connect_timeout=5s", "--set", "phases.0.users=3",
            "--set", f"target.server_metrics_url=http://h/m?t={SHORT}", f"--server-metrics-url=http://h/m?t={SHORT}",
            "--host", f"http://:{SHORT}@h", "-H", f"http://u:{SHORT}@h", f"-Hhttp://u:{SHORT}@h",
            f"--base=http://h?{SHORT}", "--candidate", "http://h:1", "-u", "3",
        ]
    ) == [
        "locust", "--header", "A: ${T}", "--header=C: ***", "--header", "***", "--set", "target.headers.E=***",
        "--set=target.headers.E=***", "--set", "target=***", "--set", " target . headers =***", "--set", "***",
        "--set", "target.connect_timeout=5s", "--set", "phases.0.users=3",
        "--set", "target.server_metrics_url=http://h/m?***", "--server-metrics-url=http://h/m?***",
        "--host", "http://***@h", "-H", "http://***@h", "-Hhttp://***@h",
        "--base=http://h?***", "--candidate", "http://h:1", "-u", "3",
    ]  # fmt: skip


@pytest.mark.parametrize("field", [field.name for field in msgspec.structs.fields(Target)])
def test_of_the_targets_keys_only_those_with_secrets_are_hidden(field: str) -> None:
    """Headers are not shown at all; of a URL only the part that may hold a secret is left out."""
    word = f"target.{field}=5"
    assert hidden_command(["--set", word]) == ["--set", "target.headers=***" if field == "headers" else word]


def test_a_known_secret_is_found_in_any_word() -> None:
    """Whichever option it stands in."""
    REDACTOR.learn(SECRET)
    assert hidden_command(["--base-command", f"env KEY={SECRET} run", f"--x={SECRET}"]) == [
        "--base-command", "env KEY=*** run", "--x=***",
    ]  # fmt: skip


WRONG = [
    ("--header", SHORT),
    ("--header", f"Bearer {SHORT}: x"),
    ("--header", f"A: x\r\n{SHORT}"),
    ("--set", SHORT),
    ("--set", f"target.headers.X:{SHORT}"),
    ("--set", f"target.headers={SHORT}"),
    ("--set", f"target={SHORT}"),
    ("--set", f'target={{headers={{X=["{SHORT}"]}}}}'),
    ("--set", f"target.heders.X={SHORT}"),
    ("--set", f"target.headers.X.Y={SHORT}"),
    ("--set", f"headers.X={SHORT}"),
    ("--set", f"headers={{X='{SHORT}'}}"),
    ("--set", f"Authorization={SHORT}"),
    ("--set", f"phases.0.headers={{X='{SHORT}'}}"),
    ("--set", f"target.server_metrics_url=['http://h/m?t={SHORT}']"),
    ("--server-metrics-url", f"http://h?t={SHORT}"),
    ("--server-metrics-url", f"http://:{SHORT}@h/metrics"),
    ("--server-metrics-url", f"{SHORT}@h"),
]


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_with_a_secret_is_said_without_it(words: tuple[str, str]) -> None:
    """Also of a value too short to be found again, at a key that does not exist or of another type."""
    options = options_of(*words)
    with pytest.raises(UsageError) as raised:
        filled_in(planned_scenario(options).target.headers)
    assert SHORT not in str(raised.value)


@pytest.mark.parametrize(
    "given",
    [
        f'headers = "{SHORT}"',
        f'[target]\nheaders = {{ X = ["{SHORT}"] }}',
        f'[target]\nserver_metrics_url = {{ url = "http://h/m?t={SHORT}" }}',
        f'[target.hedders]\nX = "{SHORT}"',
        f'target = "{SHORT}"',
    ],
)
def test_a_scenarios_secrets_are_not_quoted(tmp_path: Path, given: str) -> None:
    """Nor by any command that reads it."""
    file = tmp_path / "own.toml"
    file.write_text(f"{given}\n[[phases]]\nusers = 1\nduration = '1s'\n")
    finished = call_command("scenarios", "show", str(file), cwd=tmp_path)
    assert finished.returncode == 2
    assert SHORT not in finished.stdout + finished.stderr


def test_a_resolved_scenario_is_shown_without_its_secrets() -> None:
    """Names and variables of headers, and of a URL what is no secret."""
    headers = ("--header", f"A: {SHORT}", "--set", "target.headers.B='${B}'")
    target = to_plain(planned_scenario(options_of(*headers, "--server-metrics-url", f"http://h/m?t={SHORT}")))["target"]
    assert target["headers"] == {"A": "***", "B": "${B}"}
    assert target["server_metrics_url"] == "http://h/m?***"


def test_a_parser_quotes_no_value_of_an_option_that_it_does_not_know() -> None:
    """Of what comes after it nobody knows whether it is a secret."""
    said = hidden_mistake(f"unrecognized arguments: --heade X: {SHORT} --setx=target.headers.X={SHORT} -Hx")
    assert said == "unrecognized arguments: --heade --setx -H"
    assert hidden_mistake(f"unrecognized arguments: {SHORT}") == "unrecognized arguments: ***"


@pytest.mark.parametrize("words", [("gate", "--heade", f"X: {SECRET}"), ("report", "x", "--form", "json")])
def test_no_option_is_abbreviated(words: tuple[str, ...], tmp_path: Path) -> None:
    """A list of options whose values are secret would not know the abbreviation."""
    finished = call_command(*words, cwd=tmp_path)
    assert finished.returncode == 2
    assert f"unrecognized arguments: {words[-2]}; see" in finished.stderr
    assert SECRET not in finished.stderr
