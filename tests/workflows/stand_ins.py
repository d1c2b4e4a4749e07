"""What a workflow finds on GitHub's machines and not here: actions, artifacts, docker, gh."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from processes import REPOSITORY
from workflows.job import Action, Machine
from workflows.pages_repository import PagesRepository
from workflows.runtime_repository import RuntimeRepository

CARGO = """\
#!/usr/bin/env bash
# Where no cargo is installed: puts a script at the place of the binary.
set -eu
[ "$1 $2 $3 $5" = "build --release --manifest-path --target-dir" ]
mkdir -p "$6/release"
{ echo '#!/bin/sh'; cat "$(dirname "$4")/src/start.sh"; } >"$6/release/aether-runtime"
chmod +x "$6/release/aether-runtime"
"""

DOCKER = """\
#!/usr/bin/env bash
# An image is a file with the options of the simulated runtime; a container is that, on the port it is published at.
set -eu
echo "$*" >>"$STAND_INS/docker.log"
case $1 in
  build)
    [ "$2 $4" = "--file --tag" ]
    grep -q '^FROM' "$3"
    cp "$6/options" "$STAND_INS/image-${5#aether-runtime:}" ;;
  run)
    [ "$2 $3 $4 $6 $8" = "--rm --init --label --publish --cpuset-cpus" ]
    [[ $7 =~ ^127\\.0\\.0\\.1:([0-9]+):3000$ ]]
    read -r -a options <"$STAND_INS/image-${10#aether-runtime:}" || true
    [ "${options[*]}" != broken ] || exit 125
    exec python -m aether_load simulate --port "${BASH_REMATCH[1]}" "${options[@]}" ;;
  ps) echo left-behind ;;
  rm) ;;
  *) exit 64 ;;
esac
"""

GH = """\
#!/usr/bin/env bash
set -eu
echo "$*" >>"$STAND_INS/gh.log"
if [[ $* == *--paginate* ]]; then
  cat "$STAND_INS/comments"
else
  cp body.md "$STAND_INS/comment.md"
fi
"""


@dataclass
class GitHub:
    """GitHub's side of a test: repositories that are checked out, artifacts that are kept, charts that are drawn on."""

    folder: Path
    runtime: RuntimeRepository
    pages: PagesRepository
    charts: list[tuple[str, str, set[str]]] = field(default_factory=list)

    def machine(self, job: str, *left_out: str) -> Machine:
        """Return a new machine for a job, with the stand-ins on its PATH."""
        tools = self.folder / "tools"
        tools.mkdir(exist_ok=True)
        scripts = {"docker": DOCKER, "gh": GH}
        if shutil.which("cargo") is None:
            scripts["cargo"] = CARGO
        for name, script in scripts.items():
            (tools / name).write_text(script)
            (tools / name).chmod(0o755)
        workspace = self.folder / job / "workspace"

        def check_out(inputs: dict[str, str]) -> None:
            assert inputs["persist-credentials"] == "false"
            path = workspace / inputs.get("path", ".")
            if inputs.get("repository", "").endswith("/aether-lang"):
                self.runtime.check_out(path, inputs["ref"], inputs.get("fetch-depth", "1"))
            else:
                shutil.copytree(REPOSITORY / "locustfiles", path / "locustfiles")
                shutil.copytree(REPOSITORY / ".github", path / ".github")

        def upload(inputs: dict[str, str]) -> None:
            if (workspace / inputs["path"]).exists():
                shutil.copytree(workspace / inputs["path"], self.artifact(inputs["name"]))

        def download(inputs: dict[str, str]) -> None:
            shutil.copytree(self.artifact(inputs["name"]), workspace / inputs["path"])

        def chart(inputs: dict[str, str]) -> None:
            entries = json.loads(Path(inputs["output-file-path"]).read_bytes())
            assert entries
            assert all(isinstance(entry["value"], int | float) and entry["unit"] for entry in entries)
            kinds = {entry["name"].split(": ")[1] for entry in entries}
            self.charts.append((inputs["tool"], inputs["name"], kinds))

        actions: dict[str, Action] = {
            "actions/checkout": check_out,
            "actions/setup-python": lambda _inputs: None,
            "actions/upload-artifact": upload,
            "actions/download-artifact": download,
            "benchmark-action/github-action-benchmark": chart,
        }
        environment = {"PATH": str(tools), "STAND_INS": str(self.folder), "CARGO_NET_OFFLINE": "true"}
        return Machine(workspace, self.folder / job / "temp", actions, environment, frozenset(left_out))

    def artifact(self, name: str) -> Path:
        return self.folder / "artifacts" / name

    def log(self, tool: str) -> list[str]:
        """Return the command lines that a stand-in was called with."""
        path = self.folder / f"{tool}.log"
        return path.read_text().splitlines() if path.exists() else []
