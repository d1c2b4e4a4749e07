"""Load a scenario's prompts: the bundled ones in this process, all others in a child that reads datasets."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.datasets.rows import Job, Note, choose
from aether_load.environment import child_environment
from aether_load.errors import UsageError
from aether_load.scenario.scenario import Scenario


def load_prompts(
    scenario: Scenario, asked: Mapping[str, str], progress: Callable[[int, int], None] | None = None
) -> tuple[list[Prompt], tuple[DatasetIdentity, ...]]:
    """Return the scenario's prompts in sending order, and which data they are.

    `asked` maps each column that the DAG wants of a row to the place that asks for it. `progress` is called with
    the number of datasets and rows so far. Raises UsageError for data that is missing or cannot be read, for a hub
    that does not answer, and for a column that the rows do not have.
    """
    plan = scenario.workload
    if plan.source == "sample" and not plan.files:
        return choose(plan, scenario.seed, dict(asked), progress or (lambda _sets, _rows: None))
    with tempfile.TemporaryDirectory(prefix="aether-load-") as folder:
        prompts_file = Path(folder) / "prompts.jsonl"
        job = Job(plan=plan, seed=scenario.seed, prompts_file=str(prompts_file), asked=dict(asked))
        identities = _run_child(json.dumps(msgspec.to_builtins(job, enc_hook=float)).encode(), progress)
        prompts = msgspec.json.Decoder(Prompt).decode_lines(prompts_file.read_bytes())
    return prompts, identities


def _run_child(job: bytes, progress: Callable[[int, int], None] | None) -> tuple[DatasetIdentity, ...]:
    with subprocess.Popen(
        [sys.executable, "-m", "aether_load.datasets.rows"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Ctrl-C at the terminal reaches the parent only, which then ends the child.
        start_new_session=True,
        env=child_environment(),
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            child.stdin.write(job)
            child.stdin.close()
            for line in child.stdout:
                note = msgspec.json.decode(line, type=Note)
                if note.error is not None:
                    raise UsageError(note.error)
                if note.identities is not None:
                    return note.identities
                if progress is not None:
                    progress(note.loaded_sets, note.loaded_rows)
            said = child.stderr.read().decode(errors="replace").strip().splitlines()
            reason = said[-1] if said else "the loader ended unexpectedly"
            raise UsageError(f"The datasets could not be loaded: {reason}.")
        finally:
            child.kill()
