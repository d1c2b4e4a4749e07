"""Read a compiled Aether program, as `aetherc compile` writes it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from aether_load.dag.check import DagMistake, mistakes_in
from aether_load.dag.compiler import SOURCE, compiled
from aether_load.dag.json_file import read_json
from aether_load.dag.request_check import read_v2
from aether_load.dag.source import Source
from aether_load.protocol import DagInput, NodeShape

TEXT = "string"
_NOT_HASHED = ("compiled_at", "compiler_version", "source_file")
"""Keys of the metadata that do not change what the runtime does."""


class ProgramIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which program was sent: its flow, the compiler's version, a hash of what it does, and what its inputs were.

    The hash leaves out when and from which file the program was compiled. `inputs` maps each input to its binding.
    """

    flow_name: str
    compiler_version: str | None
    hash: str
    source_file: str | None
    inputs: dict[str, str]

    @property
    def title(self) -> str:
        """Return flow, hash and compiler in a few words."""
        compiler = f", aetherc {self.compiler_version}" if self.compiler_version else ""
        return f"program {self.flow_name} {self.hash}{compiler}"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled program: its JSON, and what its metadata says. `source` is its source, where that is there."""

    path: str
    dag: dict[str, Any]
    flow_name: str
    compiler_version: str | None
    source_file: str | None
    inputs: tuple[DagInput, ...]
    source: Source

    @property
    def listing(self) -> str:
        """Return the inputs in a sentence."""
        inputs = [f"{known.name} ({known.type}{'' if known.required else ', optional'})" for known in self.inputs]
        return f"The flow {self.flow_name} has " + (f"the inputs {', '.join(inputs)}." if inputs else "no inputs.")

    def identity(self, inputs: Mapping[str, str]) -> ProgramIdentity:
        """Return which program this is, with its inputs bound."""
        return ProgramIdentity(
            flow_name=self.flow_name,
            compiler_version=self.compiler_version,
            hash=program_hash(self.dag),
            source_file=self.source_file,
            inputs=dict(inputs),
        )

    def named(self, shapes: tuple[NodeShape, ...]) -> tuple[NodeShape, ...]:
        """Return the nodes with their functions, and the lines of the source that call these."""
        return tuple(map(self._named, shapes, self.dag["nodes"]))

    def _named(self, shape: NodeShape, node: Mapping[str, Any]) -> NodeShape:
        location = node.get("source_location")
        line = self.source.line_of(location, shape.id, node.get("name"))
        file = (location or {}).get("file") or self.source_file
        source = f"{Path(str(file)).name}:{line}" if file and line is not None else None
        return msgspec.structs.replace(shape, function=node.get("name"), source=source)


def read_program(path: str) -> Program:
    """Read a program, compiled or to be compiled; raises UsageError that names the file."""
    file = Path(path)
    with mistakes_in(f"Program {path}"):
        return _program(path, compiled(file) if file.suffix == SOURCE else read_json(file))


def _program(path: str, raw: Any) -> Program:
    if isinstance(raw, dict) and "dag" in raw:
        raise DagMistake("it is a request and no compiled program; send it with --dag-file.")
    if not isinstance(raw, dict) or "nodes" not in raw or "metadata" not in raw:
        raise DagMistake(
            "it is no compiled program: metadata or nodes are missing; give what aetherc compile writes, or a DAG of "
            "your own with --dag-file."
        )
    try:
        metadata = read_v2({"dag": raw}).dag.metadata
    except DagMistake as mistake:
        raise DagMistake(str(mistake).replace("dag.", "", 1)) from None
    for known in metadata.inputs:
        if not known.name.isidentifier():
            raise DagMistake(f"metadata.inputs: {known.name!r} is no name of an input.")
    return Program(
        path=path,
        dag=raw,
        flow_name=metadata.flow_name or Path(path).stem,
        compiler_version=metadata.compiler_version,
        source_file=metadata.source_file,
        inputs=metadata.inputs,
        source=Source(_sources(Path(path), metadata.source_file)),
    )


def _sources(file: Path, named: str | None) -> tuple[Path, ...]:
    """Return where the source of a program may lie: it is the file itself, or beside the compiled one."""
    if file.suffix == SOURCE:
        return (file,)
    return () if named is None else (file.parent / named, file.parent / Path(named).name)


def program_hash(dag: Mapping[str, Any]) -> str:
    """Return a short hash of all of a compiled program that changes what a runtime does with it."""
    metadata = {key: value for key, value in dag["metadata"].items() if key not in _NOT_HASHED}
    nodes = [{key: value for key, value in node.items() if key != "source_location"} for node in dag["nodes"]]
    what = msgspec.json.encode({**dag, "metadata": metadata, "nodes": nodes}, order="deterministic")
    return hashlib.sha256(what).hexdigest()[:12]
