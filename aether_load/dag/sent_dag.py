"""Describe the DAGs that one run sends, and name their nodes so that no two of them are taken for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import msgspec

from aether_load.protocol import NodeShape

MOST_DAGS = 100
"""DAGs of different shape that one run can tell apart."""


class WorkloadDag(msgspec.Struct, frozen=True, kw_only=True):
    """One DAG of a run, as answers are compared with it; `nodes` are in the order in which its records list them.

    `answer_node` is the one whose output is the answer, None with the reason in `unscored` where there is none. An
    answer repeats the prompt of `prompt_node` as it was sent; None where no node's prompt says which request it was.
    `part` is the part of a mix, or the phase, that the DAG is of. `listed` are the nodes as the run lists them beside
    those of its other DAGs: the same nodes in the same order, under ids that are unique in the run.
    """

    nodes: tuple[NodeShape, ...]
    answer_node: str | None = None
    unscored: str | None = None
    prompt_node: str | None = None
    part: str | None = None
    listed: tuple[NodeShape, ...] = ()

    @property
    def columns(self) -> tuple[NodeShape, ...]:
        """Return the nodes as the run lists them."""
        return self.listed or self.nodes

    @property
    def answer_column(self) -> str | None:
        """Return the answering node as the run lists it."""
        ids = [node.id for node in self.nodes]
        return None if self.answer_node is None else self.columns[ids.index(self.answer_node)].id


def list_dags(dags: Sequence[WorkloadDag], known: Sequence[WorkloadDag] = ()) -> tuple[WorkloadDag, ...]:
    """Return the DAGs with unique ids for their nodes in `listed`; those of the `known` ones stay as they are.

    Nodes of one id are one where they are of the same part, run the same function, and wait for the same nodes. Others
    are told apart by their part, as in `chat/answer`, or else by a number.
    """
    if len(dags) + len(known) == 1:
        return tuple(dags)
    signed = [_signatures(dag) for dag in dags]
    names: dict[int, str] = {}
    taken: dict[str, int] = {}
    meanings: dict[str, set[int]] = {}
    for dag in known:
        for node, column, signature in zip(dag.nodes, dag.columns, _signatures(dag), strict=True):
            names[signature], taken[column.id] = column.id, signature
            meanings.setdefault(node.id, set()).add(signature)
    for dag, signatures in zip(dags, signed, strict=True):
        for node, signature in zip(dag.nodes, signatures, strict=True):
            meanings.setdefault(node.id, set()).add(signature)
    found = []
    for dag, signatures in zip(dags, signed, strict=True):
        mine: dict[str, str] = {}
        for node, signature in zip(dag.nodes, signatures, strict=True):
            if signature not in names:
                is_plain = len(meanings[node.id]) == 1 or dag.part is None
                names[signature] = next(name for name in _names(node.id, dag.part, is_plain) if name not in taken)
                taken[names[signature]] = signature
            mine[node.id] = names[signature]
        found.append(_listed(dag, mine))
    return tuple(found)


def columns_of(dags: Sequence[WorkloadDag]) -> tuple[NodeShape, ...]:
    """Return the nodes of all DAGs, each once, as a run lists them."""
    found: dict[str, NodeShape] = {}
    for dag in dags:
        for column in dag.columns:
            found.setdefault(column.id, column)
    return tuple(found.values())


def _names(node_id: str, part: str | None, is_plain: bool) -> Iterator[str]:
    """Yield names for a node, the best first."""
    if is_plain:
        yield node_id
    if part is not None:
        yield f"{part}/{node_id}"
    base = node_id if part is None else f"{part}/{node_id}"
    for number in count(2):
        yield f"{base}#{number}"


def _listed(dag: WorkloadDag, names: Mapping[str, str]) -> WorkloadDag:
    waited_for = {id_ for node in dag.nodes for id_ in node.depends_on}
    if waited_for <= names.keys() and all(name == node_id for node_id, name in names.items()):
        return dag
    # A dependency on a node that is not there must not lead to one of another DAG.
    columns = (
        msgspec.structs.replace(
            node, id=names[node.id], depends_on=tuple(names[needed] for needed in node.depends_on if needed in names)
        )
        for node in dag.nodes
    )
    return msgspec.structs.replace(dag, listed=tuple(columns))


def _signatures(dag: WorkloadDag) -> list[int]:
    """Return a number for each node that is the same for nodes that are one."""
    functions = {node.id: node.function for node in dag.nodes}
    signed: dict[str, int] = {}
    left = list(dag.nodes)
    while left:
        ready = [
            node for node in left if all(needed in signed or needed not in functions for needed in node.depends_on)
        ]
        # In a cycle no node is ready; then those that are left are told apart by their ids alone.
        for node in ready or left:
            needed = frozenset(signed.get(id_, id_) for id_ in node.depends_on)
            signed[node.id] = hash((dag.part, node.id, node.function, needed))
        left = [node for node in left if node.id not in signed]
    return [signed[node.id] for node in dag.nodes]
