"""The page of options: every command, its groups, a line an option."""

import argparse

import msgspec
from comments import field_comments
from markdown import code, table

from aether_load.cli.main import COMMANDS, build_parser
from aether_load.evaluation.options import StubOptions


def options_page() -> str:
    """Return the page."""
    parser = build_parser(list(COMMANDS))
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    text = (
        "# Options\n\n"
        "Every option of `aether-load`. The options of `aether-load run` below the heading Locust are Locust's own; "
        "`locust --help` lists more of them. All others work with `locust -f locustfiles/eval.py` too. Options are "
        "written in full; Locust's can also stand in `locust.conf` or in the environment.\n"
    )
    for name, command in commands.choices.items():
        text += f"\n## aether-load {name}\n\n"
        text += _model_arguments() if name == "lm-eval" else _command(command)
    return text


def _command(parser: argparse.ArgumentParser) -> str:
    text = f"{parser.description}\n"
    for group in parser._action_groups:  # noqa: SLF001 -- argparse shows its groups to nobody otherwise
        actions = [
            action
            for action in group._group_actions  # noqa: SLF001
            if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)  # noqa: SLF001
        ]
        if actions:
            title = (group.title or "options").removesuffix("s") if len(actions) == 1 else group.title or "options"
            text += "\n" + table((title, "meaning"), ((_called(action), _help(action)) for action in actions))
    return text


def _called(action: argparse.Action) -> str:
    metavar = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper())
    if not action.option_strings:
        return code(metavar)
    names = ", ".join(action.option_strings)
    return code(names if action.nargs == 0 else f"{names} {metavar}")


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")


def _model_arguments() -> str:
    comments = field_comments(StubOptions)
    rows = [
        (code(field.name), "" if field.default in {None, msgspec.NODEFAULT} else code(field.default),
         comments.get(field.name, ""))
        for field in msgspec.structs.fields(StubOptions)
    ]  # fmt: skip
    return (
        "Everything behind it is handed to lm-eval, whose `--help` lists its options. `--model aether_stub` takes "
        "these `--model_args`:\n\n" + table(("argument", "default", "meaning"), rows)
    )
