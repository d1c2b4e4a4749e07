"""Choose a scenario's prompts, in a process of its own where a large library reads the rows.

pyarrow and `datasets` bring pandas, threads and some 150 MB with them, which the process that sends must not have. So
`loading` runs this module as a child (`python -m aether_load.datasets.rows`). A job comes in on standard input; notes
of progress and at the end the result go out on standard output, a JSON object a line. The bundled rows need none of
this: `choose` reads them in whichever process calls it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from aether_load.bounded import size_text
from aether_load.datasets.dataset import HUB_DATASETS, Row, file_prompts, hub_prompts, in_seeded_order
from aether_load.datasets.hub import hub_revisions, hub_rows
from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.datasets.table_file import FORMATS, Table, read_table
from aether_load.errors import UsageError, explained
from aether_load.scenario.workload_plan import FileDataset, WorkloadPlan
from aether_load.text import with_encodable_texts

LEAST_MEMORY_BYTES = 2 << 30
MOST_PROMPT_BYTES = 1 << 30
SAMPLE_FOLDER = Path(__file__).parent / "sample"


class Job(msgspec.Struct, frozen=True):
    """What the child loads, and the file that it writes the prompts to; `asked` as in `dataset.hub_prompts`."""

    plan: WorkloadPlan
    seed: int
    prompts_file: str
    asked: dict[str, str] = {}


class Note(msgspec.Struct, frozen=True):
    """A line from the child: progress, the identities when all is done, or the sentence of an error."""

    loaded_sets: int = 0
    loaded_rows: int = 0
    identities: tuple[DatasetIdentity, ...] | None = None
    error: str | None = None


def main() -> None:
    """Load what standard input asks for; write a mistake of the user's as a note, not as a traceback."""
    # Not msgspec's own decoder: a path may hold bytes that are no text.
    job = msgspec.convert(json.load(sys.stdin.buffer), Job, dec_hook=lambda kind, value: kind(value))
    _quieten()
    memory = _limit_memory()
    try:
        prompts, identities = choose(
            job.plan, job.seed, job.asked, lambda sets, rows: _say(Note(loaded_sets=sets, loaded_rows=rows))
        )
        if _write(prompts, Path(job.prompts_file)) > MOST_PROMPT_BYTES:
            most = size_text(MOST_PROMPT_BYTES)
            raise UsageError(f"The prompts together have more than {most}; take fewer rows with --limit.")
        _say(Note(loaded_sets=len(identities), identities=identities))
    except UsageError as error:
        _say(Note(error=str(error)))
    except MemoryError:
        # What filled the memory is still there, and the sentence needs some.
        _lift_limit()
        _say(Note(error=f"The datasets take more than {size_text(memory)} of memory to read; take smaller files."))


def _write(prompts: list[Prompt], path: Path) -> int:
    """Write prompts as lines of JSON, as far as they may go; return how many bytes there are."""
    encoder, written = msgspec.json.Encoder(), 0
    with path.open("wb") as out:
        for prompt in prompts:
            written += out.write(encoder.encode(prompt) + b"\n")
            if written > MOST_PROMPT_BYTES:
                break
    return written


def _limit_memory() -> int:
    """Limit this process to half of the machine's memory, or 2 GB: a small file may hold any number of rows."""
    # Its own pool reserves a gigabyte, of which it may need a megabyte.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    limit = max(LEAST_MEMORY_BYTES, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    return limit


def _lift_limit() -> None:
    with suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _quieten() -> None:
    """Switch off the hub client's bars, warnings and usage counts: this module reports what went wrong, once."""
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # No setting shortens the retries of Xet's downloads; plain HTTP is enough for these sizes.
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    logging.disable(logging.CRITICAL)


def _say(note: Note) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(with_encodable_texts(note)) + b"\n")
    sys.stdout.buffer.flush()


def choose(
    plan: WorkloadPlan, seed: int, asked: dict[str, str], loaded: Callable[[int, int], None]
) -> tuple[list[Prompt], tuple[DatasetIdentity, ...]]:
    """Return the plan's prompts in sending order, and which data they are.

    Call `loaded` after each dataset with the number of datasets and rows so far.
    """
    revisions: dict[str, str | None] = {}
    if plan.source == "hub":
        repos = {HUB_DATASETS[name].repo for name in plan.datasets if name not in plan.files}
        revisions = hub_revisions(sorted(repos))
    chosen: list[Prompt] = []
    identities: list[DatasetIdentity] = []
    for name in plan.datasets:
        if name in plan.files:
            prompts, identity = _from_file(name, plan.files[name], asked)
        elif plan.source == "hub":
            prompts, identity = _from_hub(name, revisions[HUB_DATASETS[name].repo], asked)
        else:
            folder = SAMPLE_FOLDER if plan.source == "sample" else Path(plan.dataset_dir or "")
            prompts, identity = _from_folder(name, folder, plan.source, asked)
        if not prompts:
            raise UsageError(f"Dataset {name} ({identity.location}) holds no rows.")
        taken = in_seeded_order(prompts, seed)[: plan.limit]
        identities.append(msgspec.structs.replace(identity, rows_available=len(prompts), rows_used=len(taken)))
        chosen += taken
        loaded(len(identities), len(chosen))
    return in_seeded_order(chosen, seed), tuple(identities)


def _from_file(name: str, columns: FileDataset, asked: dict[str, str]) -> tuple[list[Prompt], DatasetIdentity]:
    path = Path(columns.path)
    if not path.is_file():
        raise UsageError(f"Dataset {name}: there is no file {path} (workload.files.{name}.path).")
    rows, place = _read([path], name)
    identity = _identity(name, source="file", location=str(path), config=None, split=None, revision=_digest([path]))
    return file_prompts(name, columns, rows, asked, place), identity


def _from_folder(name: str, folder: Path, source: str, asked: dict[str, str]) -> tuple[list[Prompt], DatasetIdentity]:
    hub = HUB_DATASETS[name]
    if not folder.is_dir():
        raise UsageError(f"--dataset-dir {folder}: there is no such folder.")
    files = _split_files(folder / hub.repo, hub.config, hub.split)
    if not files:
        expected = "/".join(part for part in (hub.repo, hub.config, f"{hub.split}.jsonl") if part)
        raise UsageError(
            f"Dataset {name}: {folder} holds no {expected} (nor .json, .csv, .parquet of that split); the folder must "
            "be laid out like the hub."
        )
    promised = re.search(r"-of-(\d+)$", files[0].stem)
    if promised and int(promised[1]) != len(files):
        raise UsageError(
            f"Dataset {name}: {files[0]} is one of {int(promised[1])} files, of which there are {len(files)}."
        )
    location = "bundled sample" if source == "sample" else str(folder / hub.repo)
    identity = _identity(
        name, source=source, location=location, config=hub.config, split=hub.split, revision=_digest(files)
    )
    rows, place = _read(files, name)
    return hub_prompts(name, rows, asked, place), identity


def _from_hub(name: str, revision: str | None, asked: dict[str, str]) -> tuple[list[Prompt], DatasetIdentity]:
    hub = HUB_DATASETS[name]
    rows, found = hub_rows(name, revision)
    identity = _identity(name, source="hub", location=hub.repo, config=hub.config, split=hub.split, revision=found)
    return hub_prompts(name, rows, asked, lambda index: f"{hub.repo}, row {index + 1}"), identity


def _split_files(repo: Path, config: str | None, split: str) -> list[Path]:
    """Return a split's files: plain `split.jsonl`, or the hub's own shards `data/split-00000-of-00001.parquet`."""
    folders = [repo / config, repo / "data" / config, repo] if config else [repo, repo / "data"]
    for folder in folders:
        for suffix in FORMATS:
            for pattern in (f"{split}{suffix}", f"{split}-*{suffix}"):
                if files := sorted(folder.glob(pattern)):
                    return files
    return []


def _read(files: list[Path], name: str) -> tuple[list[Row], Callable[[int], str]]:
    """Return the rows of all files, and a function from the index of a row to where it stands."""
    with explained(f"Dataset {name}: ", ValueError):
        tables = [read_table(path) for path in files]
    return [row for table in tables for row in table.rows], lambda index: _place(tables, index)


def _place(tables: list[Table], index: int) -> str:
    for table in tables:
        if index < len(table.rows):
            return table.place(index)
        index -= len(table.rows)
    raise IndexError(index)


def _identity(name: str, **fields: Any) -> DatasetIdentity:
    return DatasetIdentity(name=name, rows_available=0, rows_used=0, **fields)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    return f"sha256:{digest.hexdigest()}"


if __name__ == "__main__":
    main()
