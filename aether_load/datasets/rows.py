"""Rows of datasets read through the `datasets` library (but for the bundled ones), in a process of its own.

`datasets` brings pandas, threads and some 150 MB with it, which have no business in the process that sends; so
this module is run as a child (`python -m aether_load.datasets.rows`) by `loading`. A job comes in on standard
input; notes of progress and at the end the result go out on standard output, a JSON object a line. The bundled rows
need none of it, and are read with `choose` by whoever wants them.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import logging
import os
import re
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from aether_load.datasets.dataset import HUB_DATASETS, Row, file_prompts, hub_prompts, in_seeded_order
from aether_load.datasets.hub import first_line, hub_revisions, hub_rows
from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.errors import UsageError
from aether_load.scenario.workload_plan import FileDataset, WorkloadPlan

SAMPLE_FOLDER = Path(__file__).parent / "sample"

_BUILDERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}


class Job(msgspec.Struct, frozen=True):
    """What the child is to load, and the file that the prompts go to; `asked` as `dataset.hub_prompts` wants it."""

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


def main() -> int:
    """Load what standard input asks for; an error of the user's comes out as a note, not as a traceback."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job, dec_hook=lambda kind, value: kind(value))
    _quieten()
    # Beside the prompts, in the parent's folder: the parent clears it away even if it has to kill this process.
    scratch = Path(job.prompts_file).parent / "scratch"
    try:
        prompts, identities = choose(
            job.plan, job.seed, scratch, job.asked, lambda sets, rows: _say(Note(loaded_sets=sets, loaded_rows=rows))
        )
    except UsageError as error:
        _say(Note(error=str(error)))
        return int(error.exit_code)
    encoder = msgspec.json.Encoder()
    with Path(job.prompts_file).open("wb") as out:
        out.writelines(encoder.encode(prompt) + b"\n" for prompt in prompts)
    _say(Note(loaded_sets=len(identities), identities=identities))
    return 0


def _quieten() -> None:
    """Keep the library's bars, warnings and counting requests away: what went wrong is said once, by us."""
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # Xet's downloads have retries of their own, which no setting shortens; plain HTTP is enough for these sizes.
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    logging.disable(logging.CRITICAL)


def _say(note: Note) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(note) + b"\n")
    sys.stdout.buffer.flush()


def choose(
    plan: WorkloadPlan, seed: int, scratch: Path, asked: dict[str, str], loaded: Callable[[int, int], None]
) -> tuple[list[Prompt], tuple[DatasetIdentity, ...]]:
    """Return the plan's prompts in sending order, and whose they are; `loaded` is told of sets and rows so far."""
    revisions: dict[str, str | None] = {}
    if plan.source == "hub":
        repos = {HUB_DATASETS[name].repo for name in plan.datasets if name not in plan.files}
        revisions = hub_revisions(sorted(repos))
    chosen: list[Prompt] = []
    identities: list[DatasetIdentity] = []
    for name in plan.datasets:
        if name in plan.files:
            prompts, identity = _from_file(name, plan.files[name], scratch, asked)
        elif plan.source == "hub":
            prompts, identity = _from_hub(name, revisions[HUB_DATASETS[name].repo], asked)
        else:
            folder = SAMPLE_FOLDER if plan.source == "sample" else Path(plan.dataset_dir or "")
            prompts, identity = _from_folder(name, folder, plan.source, scratch, asked)
        if not prompts:
            raise UsageError(f"Dataset {name} ({identity.location}) holds no rows.")
        taken = in_seeded_order(prompts, seed)[: plan.limit]
        identities.append(msgspec.structs.replace(identity, rows_available=len(prompts), rows_used=len(taken)))
        chosen += taken
        loaded(len(identities), len(chosen))
    return in_seeded_order(chosen, seed), tuple(identities)


def _from_file(
    name: str, columns: FileDataset, scratch: Path, asked: dict[str, str]
) -> tuple[list[Prompt], DatasetIdentity]:
    path = Path(columns.path)
    if not path.is_file():
        raise UsageError(f"Dataset {name}: there is no file {path} (workload.files.{name}.path).")
    rows = _read([path], name, scratch)
    identity = _identity(name, source="file", location=str(path), config=None, split=None, revision=_digest([path]))
    return file_prompts(name, columns, rows, asked), identity


def _from_folder(
    name: str, folder: Path, source: str, scratch: Path, asked: dict[str, str]
) -> tuple[list[Prompt], DatasetIdentity]:
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
    _check_all_there(name, files)
    location = "bundled sample" if source == "sample" else str(folder / hub.repo)
    identity = _identity(
        name, source=source, location=location, config=hub.config, split=hub.split, revision=_digest(files)
    )
    rows = _own_rows(files) if source == "sample" else _read(files, name, scratch)
    return hub_prompts(name, rows, asked), identity


def _own_rows(files: list[Path]) -> list[Row]:
    """Return the bundled rows: plain JSON lines of known schemas, for which the library need not be loaded."""
    return [row for path in files for row in msgspec.json.Decoder(dict[str, Any]).decode_lines(path.read_bytes())]


def _from_hub(name: str, revision: str | None, asked: dict[str, str]) -> tuple[list[Prompt], DatasetIdentity]:
    hub = HUB_DATASETS[name]
    rows, found = hub_rows(name, revision)
    identity = _identity(name, source="hub", location=hub.repo, config=hub.config, split=hub.split, revision=found)
    return hub_prompts(name, rows, asked), identity


def _split_files(repo: Path, config: str | None, split: str) -> list[Path]:
    """Return a split's files: plain `split.jsonl`, or the hub's own shards `data/split-00000-of-00001.parquet`."""
    folders = [repo / config, repo / "data" / config, repo] if config else [repo, repo / "data"]
    for folder in folders:
        for suffix in _BUILDERS:
            for pattern in (f"{split}{suffix}", f"{split}-*{suffix}"):
                if files := sorted(folder.glob(pattern)):
                    return files
    return []


def _check_all_there(name: str, files: list[Path]) -> None:
    """Refuse a part of the shards that the first one's name promises: its rows would pass for the whole split."""
    promised = re.search(r"-of-(\d+)$", files[0].stem)
    if promised and int(promised[1]) != len(files):
        raise UsageError(
            f"Dataset {name}: {files[0]} is one of {int(promised[1])} files, of which there are {len(files)}."
        )


def _read(files: list[Path], name: str, scratch: Path) -> list[Row]:
    builder = _BUILDERS.get(files[0].suffix.lower())
    if builder is None:
        raise UsageError(
            f"Dataset {name}: {files[0]} ends in none of {', '.join(_BUILDERS)}, so its format is unknown."
        )
    rows: list[Row] = []
    for path in files:
        try:
            if _holds_rows(path, builder):
                rows += _read_file(path, builder, scratch)
        except Exception as error:  # noqa: BLE001 -- each builder has errors of its own, all about the user's file
            raise UsageError(f"Dataset {name}: {path} cannot be read as {builder}: {first_line(error)}.") from None
    return rows


def _holds_rows(path: Path, builder: str) -> bool:
    """Tell whether there is a row to read; the library has no clear word for a file without one."""
    if builder == "parquet":
        import pyarrow.parquet  # noqa: PLC0415 -- comes with the library, needed only here

        return bool(pyarrow.parquet.read_metadata(path).num_rows)
    lines_without_rows = 1 if builder == "csv" else 0
    with path.open("rb") as lines:
        return len(list(islice((line for line in lines if line.strip()), lines_without_rows + 1))) > lines_without_rows


def _read_file(path: Path, builder: str, scratch: Path) -> list[Row]:
    import datasets  # noqa: PLC0415 -- 0.6 s and 150 MB, needed only here

    datasets.disable_progress_bars()
    options: dict[str, Any] = {}
    if builder == "csv":
        # Every cell is a text as it stands there: "None" and "NA" are answers, and 007 is not 7.
        with path.open(encoding="utf-8-sig", newline="") as lines:
            columns = next(csv.reader(lines))
        texts = datasets.Features({column: datasets.Value("string") for column in columns})
        options = {"features": texts, "keep_default_na": False}
    # The library takes a path for a pattern, in which brackets and stars have a meaning.
    pattern = glob.escape(str(path))
    read = datasets.load_dataset(builder, data_files=pattern, split="train", cache_dir=str(scratch), **options)
    rows: list[Row] = list(read)
    dates = [name for name, kind in read.features.items() if "timestamp" in str(kind)]
    return _as_written(rows, dates, path) if builder == "json" and dates else rows


def _as_written(rows: list[Row], columns: list[str], path: Path) -> list[Row]:
    """Return the rows with these columns as JSON has them: the library takes a text for a date that looks like one."""
    data = path.read_bytes()
    lines = msgspec.json.decode(data) if data.lstrip()[:1] == b"[" else msgspec.json.Decoder().decode_lines(data)
    return [{**row, **{name: line.get(name) for name in columns}} for row, line in zip(rows, lines, strict=True)]


def _identity(name: str, **fields: Any) -> DatasetIdentity:
    return DatasetIdentity(name=name, rows_available=0, rows_used=0, **fields)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return f"sha256:{digest.hexdigest()}"


if __name__ == "__main__":
    sys.exit(main())
