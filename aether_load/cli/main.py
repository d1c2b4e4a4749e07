"""Dispatch `aether-load COMMAND` to the command's own file."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from types import ModuleType

from aether_load._version import __version__
from aether_load.cli.parser import Parser
from aether_load.errors import ExitCode, explain
from aether_load.redaction import sentence_of
from aether_load.streams import mend_streams, refusal_of_output

COMMANDS = {
    "run": "run a load and judge it",
    "init": "write a locustfile, a scenario and a CI workflow to start from",
    "report": "make a run's results again from its folder",
    "compare": "show runs side by side",
    "trend": "follow every figure over all stored runs, and find where it changed",
    "gate": "hold a candidate build against its base",
    "claims": "measure what the Aether project publishes",
    "scenarios": "list the scenarios that ship, or show one as resolved",
    "answer-key": "write the right answers of a scenario's prompts, for simulate --answer-key",
    "lm-eval": "run lm-eval with the model aether_stub",
    "simulate": "run the simulated runtime",
    "completion": "print a script that completes this command in bash, zsh or fish",
}
"""Each command with one line of help; its file has the name of the command, with _ for -."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if arguments is None:
        mend_streams()
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is one sentence
        sentence, code = explain(error)
        sys.stderr.write(f"aether-load: {sentence_of(sentence)}\n")
        return int(code)


def _run(words: list[str]) -> int:
    """Run one command; what standard output did not take is no pass."""
    if words[:1] == ["lm-eval"]:
        # What follows is for lm-eval, which checks it.
        return int(_module("lm-eval").run(words[1:]))
    if words[:1] == ["run"] and not {"-h", "--help"} & set(words):
        return _run_load(words[1:])
    parsed = build_parser(words[:1]).parse_args(words)
    code = int(parsed.run(parsed))
    sys.stdout.flush()
    return code if refusal_of_output() is None else code or int(ExitCode.INVALID)


def _run_load(words: list[str]) -> int:
    """Have Locust's program take the place of this one; what follows is for Locust, which checks it.

    An interrupt can get lost in an import: signals wait until that program listens, which lets them through.
    """
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        return int(_module("run").run(words))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def build_parser(with_options_of: list[str]) -> Parser:
    """Return the parser of the whole command; only the commands named get their options.

    A command's options need imports that the others' start does not wait for.
    """
    parser = Parser(
        prog="aether-load",
        description="Load-test the Aether runtime. `aether-load run` starts at once, with a simulated runtime.",
    )
    parser.add_argument("--version", action="version", version=f"aether-load {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for name, summary in COMMANDS.items():
        if name not in with_options_of or name == "lm-eval":
            commands.add_parser(name, help=summary, add_help=False)
            continue
        module = _module(name)
        command = commands.add_parser(name, help=summary, description=module.DESCRIPTION)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _module(name: str) -> ModuleType:
    return import_module(f"aether_load.cli.{name.replace('-', '_')}")


if __name__ == "__main__":
    sys.exit(main())
