"""Write what a record buffer holds, block by block."""

from __future__ import annotations

from pathlib import Path

from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_file import RecordFile


class RecordWriter:
    """Moves blocks from a buffer to its file; nothing is lost when the disk refuses, it waits in the buffer."""

    def __init__(self, buffer: RecordBuffer, path: Path) -> None:
        """Create the file; raises OSError."""
        self.buffer = buffer
        self.path = path
        self._file = RecordFile(path)
        self._is_finished = False

    def write_block(self) -> bool:
        """Write the oldest closed block; False when there is none. Raises OSError, and keeps the block."""
        block = self.buffer.take()
        if block is None:
            return False
        try:
            self._file.write(block.pieces())
        except OSError:
            self.buffer.put_back(block)
            raise
        return True

    def write_out(self) -> None:
        """Close the block that is being filled, and write all; raises OSError, with nothing lost."""
        self.buffer.seal()
        while self.write_block():
            pass

    def finish(self) -> None:
        """Write all, and that nothing follows; raises OSError, with nothing lost, and can be called again then."""
        if not self._is_finished:
            self.buffer.finish()
            self._is_finished = True
        self.write_out()

    def rescue(self, path: Path) -> bool:
        """Write what waits to a file elsewhere, as the continuation of this one; False when nothing waits."""
        self.buffer.seal()
        blocks = []
        while (block := self.buffer.take()) is not None:
            blocks.append(block)
        if not blocks:
            return False
        path.write_bytes(b"".join(bytes(piece) for block in blocks for piece in block.pieces()))
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
