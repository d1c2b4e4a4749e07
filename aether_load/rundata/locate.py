"""Find runs by what a command line calls them: a folder, an id, `latest`, or a folder of runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from aether_load.bounded import read_own
from aether_load.errors import UsageError, explained
from aether_load.rundata.folder import MOST_MANIFEST_BYTES, RunFolder
from aether_load.text import shorten

LATEST = "latest"
RESULTS = Path("results")


def find_run(name: str | Path) -> RunFolder:
    """Return the one run that is meant; raises UsageError where none is, or several are.

    A run is named by its folder, by its id in results/runs/, or by `latest`, the newest run there; DIR/latest is the
    newest in another folder of runs.
    """
    path = Path(name)
    if path.name == LATEST and not path.exists():
        folder = path.parent if path.parent != Path() else RESULTS
        runs = runs_in(folder)
        if not runs:
            raise UsageError(f"{name}: there is no run in {folder} yet.")
        return runs[-1]
    runs = find_runs([path])
    if len(runs) > 1:
        raise UsageError(f"{name} holds {len(runs)} runs: name one of them, or the newest with {path / LATEST}.")
    return runs[0]


def find_runs(names: Iterable[str | Path]) -> list[RunFolder]:
    """Return the runs that are meant, in order; a folder of runs stands for all of them, oldest first."""
    found: list[RunFolder] = []
    for name in names:
        with explained(f"{shorten(str(name), 80)} is not a run's folder: "):
            found += _runs_of(Path(name))
    return found


def _runs_of(path: Path) -> list[RunFolder]:
    if path.name == LATEST and not path.exists():
        return [find_run(path)]
    if not path.exists() and (RESULTS / "runs" / path / "run.json").is_file():
        return [RunFolder.open(RESULTS / "runs" / path)]
    if not (path / "run.json").is_file() and (runs := runs_in(path)):
        return runs
    return [RunFolder.open(path)]


def runs_in(folder: Path) -> list[RunFolder]:
    """Return the runs of a results folder, or of any folder that holds runs, oldest first."""
    places = [folder / "runs", folder]
    paths = next((found for place in places if (found := sorted(_runs_directly_in(place)))), [])
    return [RunFolder.open(path) for _, path in paths]


def _runs_directly_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each run's folder with the time at which it began, as text that sorts by time."""
    for manifest in folder.glob("*/run.json"):
        try:
            began = msgspec.json.decode(read_own(manifest, MOST_MANIFEST_BYTES), type=_Began).began.utc
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            began = ""  # Whoever opens it says what is wrong with it.
        yield began, manifest.parent


class _Instant(msgspec.Struct):
    utc: str


class _Began(msgspec.Struct):
    began: _Instant
