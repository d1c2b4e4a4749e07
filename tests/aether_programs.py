"""An Aether program of three functions, its compiled form, and a stand-in for the compiler."""

from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

SOURCE = """\
llm fn rate(text: string) -> string {
    model: "gpt-4o-mini",
    max_tokens: 8,
    prompt: "How müde does this sound, from 1 to 5? {{text}}"
}

llm fn sum_up(text: string, style: string) -> string {
    model: "gpt-4o-mini",
    max_tokens: 64,
    prompt: "In a {{style}} style, sum up: {{text}} ({{text}})"
}

llm fn advise(mood: string, summary: string) -> string {
    model: "gpt-4o",
    max_tokens: 64,
    prompt: "Mood {{mood}}. Give advice on: {{summary}}"
}

flow tired(complaint: string, style: string) -> string {
    let mood = rate(complaint);
    let summary = sum_up(complaint, style);
    let advice = advise(mood, summary);
    return advice;
}
"""
LINES = {"mood": 20, "summary": 21, "advice": 22}


def _parameter(raw: str, name: str) -> dict[str, Any]:
    return {
        "raw": raw, "kind": "parameter", "path": [name], "required": True, "sensitivity": "low",
        "provenance": {"original_expr": name},
    }  # fmt: skip


def _output(raw: str, node: str) -> dict[str, Any]:
    return {
        "raw": raw, "kind": "node_output", "node_id": node, "field": "output", "required": True, "sensitivity": "low",
        "provenance": {"original_expr": node},
    }  # fmt: skip


def _node(
    id_: str, function: str, prompt: str, refs: list[dict[str, Any]], needs: tuple[str, ...] = ()
) -> dict[str, Any]:
    # The compiler writes the statement's offset in bytes where a line is asked for.
    at = SOURCE.encode().index(f"let {id_} ".encode())
    return {
        "id": id_, "node_type": "llm_fn", "name": function, "prompt_template": prompt, "template_refs": refs,
        "model": "gpt-4o-mini", "temperature": 0.0, "max_tokens": 64, "dependencies": list(needs),
        "return_type": "string", "source_location": {"file": "tired.aether", "line": at, "column": 0},
    }  # fmt: skip


def compiled(**metadata: Any) -> dict[str, Any]:
    """The program as `aetherc compile` writes it."""
    text, style = _parameter("{{text}}", "complaint"), _parameter("{{style}}", "style")
    return copy.deepcopy(
        {
            "schema_version": "1.0",
            "metadata": {
                "flow_name": "tired",
                "source_file": "tired.aether",
                "compiler_version": "0.1.0",
                "compiled_at": "2026-03-04T05:06:07+00:00",
                "inputs": [
                    {"name": "complaint", "type": "string", "required": True},
                    {"name": "style", "type": "string", "required": True},
                ],
                "output_type": "string",
                **metadata,
            },
            "nodes": [
                _node("mood", "rate", "How müde does this sound, from 1 to 5? {{text}}", [text]),
                _node("summary", "sum_up", "In a {{style}} style, sum up: {{text}} ({{text}})", [style, text]),
                _node(
                    "advice", "advise", "Mood {{mood}}. Give advice on: {{summary}}",
                    [_output("{{mood}}", "mood"), _output("{{summary}}", "summary")], ("mood", "summary"),
                ),
            ],
        }
    )  # fmt: skip


def write_program(folder: Path, value: dict[str, Any] | list[Any] | None = None, *, source: bool = True) -> Path:
    """Write the compiled program into a folder, with its source beside it."""
    if source:
        (folder / "tired.aether").write_text(SOURCE, encoding="utf-8")
    path = folder / "tired.json"
    path.write_text(json.dumps(compiled() if value is None else value), encoding="utf-8")
    return path


COMPILER = """\
#!{python}
import json, pathlib, sys
command, source, option, output = sys.argv[1:]
assert (command, option) == ("compile", "-o")
text = pathlib.Path(source).read_text(encoding="utf-8")
pathlib.Path({log!r}).open("a").write(source + "\\n")
if "flow" not in text:
    sys.exit("error[E0001]: expected a flow\\n --> " + source + ":1:1")
if "nothing" not in text:
    pathlib.Path(output).write_text({program!r})
"""


def install_compiler(folder: Path, value: Any = None) -> Path:
    """Write an `aetherc` into a folder for the PATH; it logs each source that it is given to the file returned."""
    folder.mkdir()
    log = folder / "compiled.log"
    script = folder / "aetherc"
    script.write_text(
        COMPILER.format(python=sys.executable, log=str(log), program=json.dumps(value or compiled())), encoding="utf-8"
    )
    script.chmod(0o755)
    return log


def path_with(folder: Path) -> str:
    """The PATH with a folder before all others."""
    return os.pathsep.join([str(folder), os.environ["PATH"]])
