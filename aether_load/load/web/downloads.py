"""Find the files of this process's runs that a browser may download: four a run, by name."""

from __future__ import annotations

from pathlib import Path

import msgspec

from aether_load.rundata.folder import RunFolder


class Download(msgspec.Struct, frozen=True):
    """A file as it lies, what it is called where it is saved, and its type."""

    path: Path
    name: str
    type: str


NAMES = ("report.html", "nightly.json", "summary.csv", "samples.arrow")


def find_download(folder: RunFolder, name: str) -> Download | None:
    """Return a run's file by one of `NAMES`, or None where there is none of that name, or none yet.

    No path is ever made of what was asked for; a link that leads out of the run's folder is no file of it.
    """
    id_ = folder.path.name
    found = {
        "report.html": Download(folder.page, f"{id_}-report.html", "text/html"),
        "nightly.json": Download(folder.report, f"{id_}-nightly.json", "application/json"),
        "summary.csv": Download(folder.summary, f"{id_}-summary.csv", "text/csv"),
        "samples.arrow": Download(folder.samples, f"{id_}-samples.arrow", "application/vnd.apache.arrow.stream"),
    }.get(name)
    if found is None or not found.path.is_file():
        return None
    path = found.path.resolve()
    return msgspec.structs.replace(found, path=path) if path.parent == folder.path.resolve() else None
