"""Name the files of a run's folder, and read and write its manifest."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from aether_load.errors import UsageError
from aether_load.rundata.manifest import SCHEMA_VERSION, Manifest


class RunFolder:
    """The files of one run, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = path / "run.json"
        self.samples = path / "samples.arrow"
        self.scrapes = path / "scrapes.jsonl"
        self.sender = path / "sender.jsonl"
        self.server = path / "server.jsonl"
        self.report = path / "report.json"
        self.summary = path / "summary.csv"
        self.series = path / "series.csv"
        self.markdown = path / "report.md"
        self.junit = path / "junit.xml"
        self.gate = path / "gate.json"
        self.gate_markdown = path / "gate.md"
        self.page = path / "report.html"
        self.charts = path / "charts"
        self.ballast = path / ".ballast"

    def samples_of(self, worker: int) -> Path:
        """Return where one of several workers' samples lie until the run ends."""
        return self.path / f"samples-{worker}.arrow"

    @property
    def results(self) -> Path:
        """Return the folder that the run's `runs/` stands in."""
        return self.path.parent.parent

    @classmethod
    def create(cls, results: Path, scenario: str) -> RunFolder:
        """Make a new folder `runs/<UTC time>-<scenario>-<4 hex>`; raises UsageError where none can be made."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = results / "runs" / f"{stamp}-{scenario}-{secrets.token_hex(2)}"
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise UsageError(
                f"The run's folder {path} cannot be made: {error.strerror}. Say where with --results-dir."
            ) from None
        return cls(path)

    @staticmethod
    def check_room(results: Path) -> None:
        """Raise UsageError, before any load, where no run's folder could be made."""
        runs = results / "runs"
        try:
            runs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--results-dir {results}: {runs} cannot be made: {error.strerror}.") from None
        if not os.access(runs, os.W_OK | os.X_OK):
            raise UsageError(f"--results-dir {results}: {runs} cannot be written to.")

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Return the folder of a run that has been; raises UsageError when it is none."""
        folder = cls(path.resolve())
        if not folder.manifest.is_file():
            raise UsageError(
                f"{path} is not a run's folder: it holds no run.json. Runs lie in results/runs/; `latest` names the "
                "newest."
            )
        return folder

    def read_manifest(self) -> Manifest:
        """Return the manifest; raises UsageError when it is damaged or of a version that is not known."""
        try:
            manifest = msgspec.json.decode(self.manifest.read_bytes(), type=Manifest)
        except (OSError, msgspec.MsgspecError) as error:
            raise UsageError(f"{self.manifest} cannot be read: {error}.") from None
        if manifest.schema_version.split(".")[0] != SCHEMA_VERSION.split(".", maxsplit=1)[0]:
            raise UsageError(
                f"{self.manifest} has schema version {manifest.schema_version}; this aether-load reads "
                f"{SCHEMA_VERSION}. Use the release that wrote it, or a newer one."
            )
        return manifest

    def write_manifest(self, manifest: Manifest) -> None:
        """Write run.json, whole or not at all."""
        write_whole(self.manifest, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that no reader and no crash ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
