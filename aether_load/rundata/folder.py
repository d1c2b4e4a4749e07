"""Name the files of a run's folder, and read and write its manifest."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import xxhash

from aether_load.bounded import read_own
from aether_load.errors import ResultsError, UsageError, explained
from aether_load.redaction import foreign_text
from aether_load.rundata.manifest import SCHEMA_VERSION, Manifest

MOST_MANIFEST_BYTES = 64 << 20
MOST_PHASES = 30_000
_CLOCK_SLACK_NS = 10**9
_LONGEST_PHASE_NS = 3 * 366 * 86_400 * 10**9
"""A ramp, a warm-up and a window of a year each."""


class RunFolder:
    """The files of one run, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = path / "run.json"
        self.records = path / "records.bin"
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

    def records_of(self, worker: int) -> Path:
        """Return the record file of one of several workers."""
        return self.path / f"records-{worker}.bin"

    @property
    def is_gone(self) -> bool:
        """Tell whether somebody has deleted or moved the folder since it was made."""
        return not self.manifest.exists()

    def what_is_left(self) -> str:
        """Return a sentence that says what there is of a run whose results could not be written, after a look."""
        if self.is_gone:
            return f"The run's folder {self.path} is gone, and what was measured with it."
        return f"What was measured is there: aether-load report {self.path}"

    @property
    def results(self) -> Path:
        """Return the folder that the run's `runs/` stands in."""
        return self.path.parent.parent

    @classmethod
    def create(cls, results: Path, scenario: str) -> RunFolder:
        """Make a new folder `runs/<UTC time>-<scenario>-<4 hex>`; raises UsageError where none can be made."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = results / "runs" / f"{stamp}-{scenario}-{secrets.token_hex(2)}"
        with explained(f"The run's folder {path} cannot be made: ", end=". Say where with --results-dir."):
            path.mkdir(parents=True)
        return cls(path)

    @staticmethod
    def check_room(results: Path) -> None:
        """Raise UsageError, before any load, where no run's folder could be made."""
        runs = results / "runs"
        with explained(f"--results-dir {results}: {runs} cannot be made: "):
            runs.mkdir(parents=True, exist_ok=True)
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
        """Return the manifest; raises ResultsError when it is damaged, UsageError for a version that is not known."""
        with explained(f"{self.manifest} cannot be read: "):
            content = read_own(self.manifest, MOST_MANIFEST_BYTES)
        is_as_written = _is_as_written(content)
        # A damaged file may seem to be of another version; a file of another version may have no checksum.
        if is_as_written or _CHECKSUM_KEY not in content:
            _check_version(self.manifest, content)
        if not is_as_written:
            raise ResultsError(
                f"{self.manifest} is not as it was written (its checksum is wrong), so nothing can be said of this run."
            )
        try:
            manifest = msgspec.json.decode(content, type=Manifest)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ResultsError(
                f"{self.manifest} is not what this release writes: {foreign_text(str(error))}."
            ) from None
        if (mistake := _instants_mistake(manifest)) is not None:
            raise ResultsError(f"{self.manifest} is not what this release writes: {mistake}.")
        if len(manifest.phases) > MOST_PHASES:
            raise UsageError(f"{self.manifest} has {len(manifest.phases)} phases; at most {MOST_PHASES} are read.")
        return manifest

    def write_manifest(self, manifest: Manifest) -> None:
        """Write run.json, whole or not at all."""
        write_whole(self.manifest, encode_manifest(manifest))


def encode_manifest(manifest: Manifest) -> bytes:
    """Return run.json's content: indented JSON, whose last key is the checksum of all that stands before it."""
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)[:-2]
    return b'%s%s%016x"\n}\n' % (content, _CHECKSUM_KEY, xxhash.xxh3_64_intdigest(content))


_CHECKSUM_KEY = b',\n  "checksum": "'
_CHECKSUM_BYTES = len(_CHECKSUM_KEY) + 16 + len(b'"\n}\n')


class _Versioned(msgspec.Struct):
    schema_version: str = SCHEMA_VERSION


def _check_version(path: Path, content: bytes) -> None:
    """Raise UsageError where run.json names another version of its schema than this release reads."""
    try:
        version = msgspec.json.decode(content, type=_Versioned).schema_version
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    if version.split(".")[0] != SCHEMA_VERSION.split(".", maxsplit=1)[0]:
        raise UsageError(
            f"{path} has schema version {version}; this aether-load reads {SCHEMA_VERSION}. Use the release that wrote "
            "it, or a newer one."
        )


def _instants_mistake(manifest: Manifest) -> str | None:
    """Return which phase has instants that no phase can have: what is made of them takes time and memory."""
    for place, phase in enumerate(manifest.phases):
        began = phase.began.monotonic_ns
        ended = None if phase.ended is None else phase.ended.monotonic_ns
        window = [instant for instant in (phase.window_began_ns, phase.window_ended_ns) if instant is not None]
        # Those of a worker's clock are moved to the run's, to within a second.
        edges = [began - _CLOCK_SLACK_NS, *window, *([] if ended is None else [ended + _CLOCK_SLACK_NS])]
        if sorted(edges) != edges or (ended is not None and ended < began):
            return f"phases.{place}: its window does not lie between its beginning and its end"
        if edges[-1] - began > _LONGEST_PHASE_NS:
            return f"phases.{place}: it lasts for more than three years"
    return None


def _is_as_written(content: bytes) -> bool:
    text, tail = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    return tail == b'%s%016x"\n}\n' % (_CHECKSUM_KEY, xxhash.xxh3_64_intdigest(text))


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that no reader and no crash ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
