"""Write the files of an evaluation's run folder: the same as a load's."""

from __future__ import annotations

import threading

from aether_load.rundata.folder import RunFolder
from aether_load.rundata.json_lines import LineFile
from aether_load.rundata.manifest import Manifest
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_writer import RecordWriter


class RunFiles:
    """Records, readings and manifest of one run; `lock` is held by whoever adds to them."""

    def __init__(self, folder: RunFolder, manifest: Manifest) -> None:
        """Create the files; raises OSError."""
        self.folder = folder
        self.manifest = manifest
        self.lock = threading.RLock()
        self.buffer = RecordBuffer((), ())
        self.scrapes = LineFile(folder.scrapes)
        self.sender = LineFile(folder.sender)
        self._records = RecordWriter(self.buffer, folder.records)
        self._refusal: str | None = None
        folder.write_manifest(manifest)

    def flush(self) -> None:
        """Hand what was measured to the operating system; what a full disk refuses waits for the next try."""
        with self.lock:
            try:
                for file in (self._records, self.scrapes, self.sender):
                    file.write_out()
            except OSError as refusal:
                self._refusal = self._refusal or refusal.strerror

    def save_manifest(self) -> None:
        """Write run.json as it now stands; on a full disk the older one stays until there is room."""
        try:
            self.folder.write_manifest(self.manifest)
        except OSError as refusal:
            self._refusal = self._refusal or refusal.strerror

    def close(self) -> None:
        """Write what is left, and close the files; raises OSError when the disk takes no more."""
        self.flush()
        if self._refusal is not None:
            self.manifest.notes.append(f"The disk refused to take more for a while ({self._refusal}).")
        self.manifest.rows_total = {self.folder.records.name: self.buffer.rows_total}
        self.manifest.lines_total = {
            self.folder.scrapes.name: self.scrapes.lines_total,
            self.folder.sender.name: self.sender.lines_total,
        }
        try:
            self._records.finish()
            self.scrapes.write_out()
            self.sender.write_out()
            self.folder.write_manifest(self.manifest)
        finally:
            for file in (self._records, self.scrapes, self.sender):
                file.close()
