"""Rows of datasets read through the `datasets` library, in a process of its own.

`datasets` brings pandas, threads and some 150 MB with it, which have no business in the process that sends; so
this module is run as a child (`python -m aether_load.workload.rows`) by `loading`. A job comes in on standard
input; notes of progress and at the end the result go out on standard output, a JSON object a line.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from aether_load import AetherLoadError, UsageError
from aether_load.workload.dataset import HUB_DATASETS, Row, file_prompts, hub_prompts, in_seeded_order
from aether_load.workload.prompt import DatasetIdentity, Prompt
from aether_load.workload.scenario import FileDataset, WorkloadPlan

SAMPLE_FOLDER = Path(__file__).parent / "sample"
HUB_TIMEOUT_S = 3.0

_BUILDERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}


class Job(msgspec.Struct, frozen=True):
    """What the child is to load, and the file that the prompts go to."""

    plan: WorkloadPlan
    seed: int
    prompts_file: str


class Note(msgspec.Struct, frozen=True):
    """A line from the child: progress, the identities when all is done, or the sentence of an error."""

    loaded_sets: int = 0
    loaded_rows: int = 0
    identities: tuple[DatasetIdentity, ...] | None = None
    error: str | None = None
    exit_code: int = 0


def main() -> int:
    """Load what standard input asks for; an error of the user's comes out as a note, not as a traceback."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job, dec_hook=lambda kind, value: kind(value))
    _quieten()
    try:
        with tempfile.TemporaryDirectory(prefix="aether-load-") as scratch:
            identities = _run(job, Path(scratch))
    except AetherLoadError as error:
        _say(Note(error=str(error), exit_code=int(error.exit_code)))
        return int(error.exit_code)
    _say(Note(loaded_sets=len(identities), identities=identities))
    return 0


def _quieten() -> None:
    """Keep the library's bars and warnings off the terminal: what went wrong is said once, by us."""
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    logging.disable(logging.CRITICAL)


def _say(note: Note) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(note) + b"\n")
    sys.stdout.buffer.flush()


def _run(job: Job, scratch: Path) -> tuple[DatasetIdentity, ...]:
    plan = job.plan
    hub_revisions = {}
    if plan.source == "hub":
        repos = {HUB_DATASETS[name].repo for name in plan.datasets if name not in plan.files}
        hub_revisions = {repo: _hub_revision(repo) for repo in sorted(repos)}
    chosen: list[Prompt] = []
    identities: list[DatasetIdentity] = []
    for name in plan.datasets:
        if name in plan.files:
            prompts, identity = _from_file(name, plan.files[name], scratch)
        elif plan.source == "hub":
            prompts, identity = _from_hub(name, hub_revisions)
        else:
            folder = SAMPLE_FOLDER if plan.source == "sample" else Path(plan.dataset_dir or "")
            prompts, identity = _from_folder(name, folder, plan.source, scratch)
        if not prompts:
            raise UsageError(f"Dataset {name} ({identity.location}) holds no rows.")
        taken = in_seeded_order(prompts, job.seed)[: plan.limit]
        identities.append(msgspec.structs.replace(identity, rows_available=len(prompts), rows_used=len(taken)))
        chosen += taken
        _say(Note(loaded_sets=len(identities), loaded_rows=len(chosen)))
    encoder = msgspec.json.Encoder()
    with Path(job.prompts_file).open("wb") as out:
        out.writelines(encoder.encode(prompt) + b"\n" for prompt in in_seeded_order(chosen, job.seed))
    return tuple(identities)


def _from_file(name: str, columns: FileDataset, scratch: Path) -> tuple[list[Prompt], DatasetIdentity]:
    path = Path(columns.path)
    if not path.is_file():
        raise UsageError(f"Dataset {name}: there is no file {path} (workload.files.{name}.path).")
    rows = _read([path], name, scratch)
    identity = _identity(name, source="file", location=str(path), config=None, split=None, revision=_digest([path]))
    return file_prompts(name, columns, rows), identity


def _from_folder(name: str, folder: Path, source: str, scratch: Path) -> tuple[list[Prompt], DatasetIdentity]:
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
    location = "bundled sample" if source == "sample" else str(folder / hub.repo)
    identity = _identity(
        name, source=source, location=location, config=hub.config, split=hub.split, revision=_digest(files)
    )
    return hub_prompts(name, _read(files, name, scratch)), identity


def _split_files(repo: Path, config: str | None, split: str) -> list[Path]:
    """Return a split's files: plain `split.jsonl`, or the hub's own shards `data/split-00000-of-00001.parquet`."""
    folders = [repo / config, repo / "data" / config, repo] if config else [repo, repo / "data"]
    for folder in folders:
        for suffix in _BUILDERS:
            for pattern in (f"{split}{suffix}", f"{split}-*{suffix}"):
                if files := sorted(folder.glob(pattern)):
                    return files
    return []


def _read(files: list[Path], name: str, scratch: Path) -> Iterable[Row]:
    builder = _BUILDERS.get(files[0].suffix.lower())
    if builder is None:
        raise UsageError(
            f"Dataset {name}: {files[0]} ends in none of {', '.join(_BUILDERS)}, so its format is unknown."
        )
    import datasets  # noqa: PLC0415 -- 0.6 s and 150 MB, needed only here

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(
            builder, data_files=[str(path) for path in files], split="train", cache_dir=str(scratch)
        )
    except Exception as error:  # noqa: BLE001 -- each builder has errors of its own, all about the user's file
        raise UsageError(f"Dataset {name}: {files[0]} cannot be read as {builder}: {_first_line(error)}.") from None
    rows: Iterable[Row] = loaded
    return rows


def _hub_revision(repo: str) -> str:
    """Return the hub's present commit of `repo`, asked once and with a short limit.

    Left to itself the hub's client tries again for 23 s a dataset. With HF_HUB_OFFLINE=1, which is the user's
    own word, the newest commit in the local cache is taken.
    """
    import huggingface_hub  # noqa: PLC0415 -- needed only for the hub
    from huggingface_hub import constants, errors  # noqa: PLC0415

    try:
        if constants.HF_HUB_OFFLINE:
            return _cached_revision(repo)
        info = huggingface_hub.HfApi().dataset_info(repo, timeout=HUB_TIMEOUT_S)
    except (errors.RepositoryNotFoundError, errors.GatedRepoError) as error:
        raise UsageError(f"The hub has no dataset {repo} for you: {_first_line(error)}.") from None
    except Exception as error:  # noqa: BLE001 -- each transport of the hub's client has errors of its own
        raise _hub_unreachable(repo, error) from None
    return str(info.sha)


def _cached_revision(repo: str) -> str:
    from huggingface_hub import scan_cache_dir  # noqa: PLC0415

    for cached in scan_cache_dir().repos:
        if cached.repo_type == "dataset" and cached.repo_id == repo:
            newest = max(cached.revisions, key=lambda revision: revision.last_modified)
            return str(newest.commit_hash)
    raise UsageError(f"HF_HUB_OFFLINE is set, and the local cache holds no dataset {repo}.")


def _hub_unreachable(repo: str, error: BaseException) -> AetherLoadError:
    if isinstance(error, AetherLoadError):
        return error
    return UsageError(
        f"The hub cannot be reached for dataset {repo} ({_first_line(error)}). Two ways out: --dataset-dir DIR with a "
        "copy that is laid out like the hub, or --dataset-source sample for the bundled sample."
    )


def _from_hub(name: str, revisions: dict[str, str]) -> tuple[list[Prompt], DatasetIdentity]:
    import datasets  # noqa: PLC0415 -- 0.6 s and 150 MB, needed only here

    hub = HUB_DATASETS[name]
    revision = revisions[hub.repo]
    datasets.disable_progress_bars()
    try:
        rows: Iterable[Row] = datasets.load_dataset(hub.repo, hub.config, split=hub.split, revision=revision)
    except Exception as error:  # noqa: BLE001 -- whatever it was, it is the hub's answer that cannot be used
        raise _hub_unreachable(hub.repo, error) from None
    identity = _identity(name, source="hub", location=hub.repo, config=hub.config, split=hub.split, revision=revision)
    return hub_prompts(name, rows), identity


def _identity(name: str, **fields: Any) -> DatasetIdentity:
    return DatasetIdentity(name=name, rows_available=0, rows_used=0, **fields)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ or error
    text = str(cause).strip() or type(cause).__name__
    return text.splitlines()[0].rstrip(".")


if __name__ == "__main__":
    sys.exit(main())
