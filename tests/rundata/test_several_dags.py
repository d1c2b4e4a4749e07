"""Requests of several DAGs in one run: each is held against its own, and has its own nodes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from aether_load.analysis.latency.dag_shape import dag_shape
from aether_load.analysis.latency.decomposition import decompose
from aether_load.analysis.latency.nodes import node_reports
from aether_load.analysis.latency.slowest import slow_requests
from aether_load.analysis.server.client_counts import own_counts
from aether_load.dag.sent_dag import MOST_DAGS, WorkloadDag, columns_of, list_dags
from aether_load.dag.workload import Workload
from aether_load.datasets.prompt import Prompt
from aether_load.frames.samples import nodes_frame, samples_frame
from aether_load.frames.slowest import slowest_frame
from aether_load.observer.live.parts import parts_by_request
from aether_load.observer.live.time_bucket import PARTS
from aether_load.observer.threshold_watch import ThresholdWatch
from aether_load.protocol import NodeShape, NodeState, Outcome
from aether_load.rundata.manifest import Manifest, PhaseRecord
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_reader import RecordReader
from aether_load.rundata.records.record_set import RecordPart
from aether_load.rundata.records.record_writer import RecordWriter
from aether_load.rundata.records.recorder import Recorder
from aether_load.rundata.samples.node_columns import NodeColumns
from aether_load.rundata.samples.samples_arrow import read_samples
from aether_load.rundata.samples.table import PhaseSamples
from aether_load.rundata.samples.table_reader import SamplesRead, read_phases
from aether_load.scenario.load import from_plain
from folders import BEGAN_NS, clock, make_run, write_buffer

MS = 1_000_000
CHAIN = (NodeShape("first"), NodeShape("answer", ("first",)))
FAN_OUT = (NodeShape("left"), NodeShape("right"), NodeShape("answer", ("left", "right")))
ALONE = (NodeShape("only"),)


def workload_of(*dags: WorkloadDag) -> Workload:
    """A workload of a prompt for each DAG, whose requests are named for it."""
    dags = list_dags(dags)
    return Workload(
        prompts=tuple(Prompt(f"piqa/{place}", "piqa", "?", ("one", "two"), 1) for place in range(len(dags))),
        bodies=(),
        dags=dags,
        dag_of_prompt=tuple(range(len(dags))),
        name_of_prompt=tuple(dag.part for dag in dags),
        prompt_count=len(dags),
    )


MIX = workload_of(
    WorkloadDag(nodes=CHAIN, answer_node="answer", part="chat"),
    WorkloadDag(nodes=FAN_OUT, answer_node="answer", part="eval"),
    WorkloadDag(nodes=ALONE, answer_node=None, unscored="no answer", part="ping"),
)
PHASE = PhaseRecord(name="closed", users=1, began=clock(0), window_began_ns=-1, window_ended_ns=10**18)
COLUMNS = ("first", "chat/answer", "left", "right", "eval/answer", "only")


class Recording:
    """A recorder, the answers that it is given, and the run that comes of it."""

    def __init__(self, path: Path, workload: Workload = MIX) -> None:
        self.path, self.workload = path, workload
        prompts = workload.prompts
        self.buffer = RecordBuffer([prompt.id for prompt in prompts], [prompt.dataset for prompt in prompts])
        self.phase = self.buffer.phases.place("closed")
        self.recorder = Recorder(self.buffer, workload)
        self.requests = 0

    def answer(
        self, prompt: int, times: dict[str, int], total: int | None = None, dag: Any = None, **more: list[str]
    ) -> Outcome:
        """Let the answer to a prompt come in, with the times of its nodes."""
        body = {
            "execution_id": "00112233-4455-6677-8899-aabbccddeeff",
            "results": [{"node_id": id_, "output": "B", "execution_time_ms": time} for id_, time in times.items()],
            "total_execution_time_ms": sum(times.values()) if total is None else total,
            "errors": [],
            **more,
        }
        began = BEGAN_NS + self.requests * 1000 * MS
        work = (self.requests, prompt, None, self.phase)
        self.requests += 1
        return self.recorder.answered(work, began, began + 900 * MS, 200, msgspec.json.encode(body), dag=dag)[0]

    def read(self, node_ids: Sequence[str]) -> SamplesRead:
        """What a reader of the run finds, whose manifest lists these nodes."""
        write_buffer(self.path, self.buffer)
        read = read_phases([RecordPart(self.path)], [PHASE], ["piqa"], node_ids, (0,) * len(node_ids))
        assert not read.damage
        return read

    def samples(self, node_ids: Sequence[str] | None = None) -> PhaseSamples:
        """The samples of its one phase."""
        return self.read(node_ids or [node.id for node in columns_of(self.workload.dags)]).phases[0]


@pytest.fixture
def recording(tmp_path: Path) -> Callable[..., Any]:
    return lambda *arguments: Recording(tmp_path / "records.bin", *arguments)


def test_each_answer_is_held_against_the_dag_of_its_request(recording: Callable[..., Any]) -> None:
    """A node of another DAG is one that was not sent, and one that is missing is missing."""
    made = recording()
    outcomes = [
        made.answer(0, {"first": 1, "answer": 2}),
        made.answer(0, {"left": 1, "right": 2, "answer": 3}),
        made.answer(1, {"left": 1, "right": 2, "answer": 3}),
        made.answer(1, {"left": 1, "right": 2}),
        made.answer(2, {"only": 4}),
        made.answer(2, {"answer": 4}),
    ]
    ok, invalid = Outcome.OK, Outcome.INVALID_RESPONSE
    assert outcomes == [ok, invalid, ok, invalid, ok, invalid]


def test_each_request_has_the_nodes_of_its_own_dag(recording: Callable[..., Any], tmp_path: Path) -> None:
    """In the run's columns, whose ids are unique; the rest is absent, also for a request without an answer."""
    made = recording()
    made.answer(1, {"left": 10, "answer": 30, "right": 20})
    made.answer(0, {"first": 1, "answer": 2})
    made.answer(2, {"only": 4})
    made.answer(0, {"first": 1}, errors=["Node answer: it failed"])
    made.recorder.unanswered((9, 1, None, made.phase), 0, MS, Outcome.TIMEOUT, "no answer")
    made.recorder.dropped((10, 2, 5, made.phase))
    samples = made.samples()
    assert samples.node_times_ms.tolist() == [
        [-1, -1, 10, 20, 30, -1],
        [1, 2, -1, -1, -1, -1],
        [-1, -1, -1, -1, -1, 4],
        [1, -1, -1, -1, -1, -1],
        [-1, -1, -1, -1, -1, -1],
        [-1, -1, -1, -1, -1, -1],
    ]
    assert samples.node_states[3].tolist() == [NodeState.SUCCEEDED, NodeState.FAILED, -1, -1, -1, -1]
    assert samples.sent_nodes.tolist() == [3, 2, 1, 2, 3, 1]
    assert samples.all_succeeded.tolist() == [True, True, True, False, False, False]
    assert [samples.names[place] for place in samples.name] == ["eval", "chat", "ping", "chat", "eval", "ping"]
    assert samples.correct.tolist() == [1, 1, -1, -1, -1, -1]
    counts = own_counts(samples, lost_requests_at_most=2)
    assert (counts.succeeded_nodes_total, counts.failed_nodes_total, counts.unread_nodes_at_most) == (7, 1, 3 + 2 * 3)
    rows = read_samples([RecordPart(tmp_path / "records.bin")]).table.to_pylist()
    assert [(row["node_ids"], row["node_times_ms"], row["request_name"]) for row in rows] == [
        (["left", "right", "eval/answer"], [10, 20, 30], "eval"),
        (["first", "chat/answer"], [1, 2], "chat"),
        (["only"], [4], "ping"),
        (["first", "chat/answer"], [1, None], "chat"),
        (None, None, "eval"),
        (None, None, "ping"),
    ]


@pytest.mark.parametrize("sequential", [False, True])
def test_paths_levels_and_nodes_are_those_of_each_dag_alone(
    recording: Callable[..., Any], tmp_path: Path, sequential: bool
) -> None:
    """The parts of a mix are those of its requests, each divided as in a run of its own DAG only."""
    chance = np.random.default_rng(3)
    asked = [(int(prompt), chance.integers(0, 4, 3).tolist()) for prompt in chance.integers(0, 3, 300)]
    made = recording()
    for prompt, times in asked:
        ids = [node.id for node in MIX.dags[prompt].nodes]
        made.answer(prompt, dict(zip(ids, times, strict=False)), total=20)
    samples = made.samples()
    shape = dag_shape(columns_of(MIX.dags))
    divisions = decompose(samples, shape, sequential=sequential)
    whole, shares = divisions.whole, divisions.shares
    nodes = node_reports(samples, COLUMNS, columns_of(MIX.dags), shape, shares, {})
    assert whole.divided_requests_total == 300
    total = dict.fromkeys(("scheduler", "barrier", "node_path", "overhead"), 0.0)
    for place, dag in enumerate(MIX.dags):
        alone = Recording(tmp_path / f"{place}.bin", workload_of(msgspec.structs.replace(dag, listed=())))
        ids = [node.id for node in dag.nodes]
        for prompt, times in asked:
            if prompt == place:
                alone.answer(0, dict(zip(ids, times, strict=False)), total=20)
        part = alone.samples()
        its_shape = dag_shape(dag.nodes)
        of_part = decompose(part, its_shape, sequential=sequential)
        division, its_shares = of_part.whole, of_part.shares
        for name in total:
            if (found := getattr(division, name)) is not None:
                total[name] += found.mean_contribution_ms * len(part)
        for node in node_reports(part, ids, dag.nodes, its_shape, its_shares, {}):
            column = next(each for each in nodes if each.id == dag.columns[ids.index(node.id)].id)
            assert (column.level, column.states, column.node_time_ms, column.on_path_share) == (
                node.level, node.states, node.node_time_ms, node.on_path_share
            )  # fmt: skip
    for name, sum_ms in total.items():
        part = getattr(whole, name)
        assert (0.0 if part is None else part.mean_contribution_ms * 300) == pytest.approx(sum_ms, abs=1e-2)


def test_the_live_parts_are_the_same(recording: Callable[..., Any], tmp_path: Path) -> None:
    """A row of each DAG, as its parts are in the report."""
    made = recording()
    made.answer(1, {"left": 10, "right": 20, "answer": 30}, total=60)
    made.answer(0, {"first": 1, "answer": 2}, total=4)
    made.answer(2, {"only": 4}, total=4)
    write_buffer(tmp_path / "records.bin", made.buffer)
    reader = RecordReader(tmp_path / "records.bin")
    (batch,) = reader
    columns = NodeColumns(COLUMNS)
    times = columns.table(batch.requests, reader.tables)(batch.nodes["time_ms"])
    sizes = columns.sizes(batch.requests, reader.tables)
    parts = parts_by_request(batch.requests, times, sizes, dag_shape(columns_of(MIX.dags)), sequential=False)
    named = [dict(zip(PARTS, row, strict=True)) for row in parts]
    assert [(row["scheduler"], row["barrier"], row["node_path"]) for row in named] == [
        (10, 0, 50),
        (1, 0, 3),
        (0, 0, 4),
    ]
    assert columns.most(reader.tables) == 3


def test_a_slow_request_has_the_levels_of_its_own_dag(recording: Callable[..., Any]) -> None:
    """The slowest first, each with the nodes that it was sent with."""
    made = recording()
    made.answer(1, {"left": 10, "right": 20, "answer": 30}, total=55)
    made.answer(0, {"first": 1, "answer": 2}, total=4)
    manifest = msgspec.json.decode(
        msgspec.json.encode(
            {
                "id": "x", "scenario": {}, "command": [], "seed": 1, "node_ids": [], "began": clock(0),
                "target": {"url": "x", "kind": "runtime", "generation": "v2", "server": None},
                "datasets": [{"name": "piqa", "source": "x", "location": "x", "config": None, "split": None,
                              "revision": "x", "rows_available": 2, "rows_used": 2}],
            }
        ),
        type=Manifest,
    )  # fmt: skip
    for dag in MIX.dags:
        manifest.list_dag(dag)
    manifest.phases = [PHASE]
    found = slow_requests(manifest, made.read(COLUMNS).slowest, dag_shape(manifest.nodes))
    assert {
        tuple((node.id, node.level, node.time_ms) for node in request.nodes): request.levels_ms for request in found
    } == {
        (("left", 0, 10), ("right", 0, 20), ("eval/answer", 1, 30)): (20, 30),
        (("first", 0, 1), ("chat/answer", 1, 2)): (1, 2),
    }


def test_frames_name_the_nodes_of_each_request(recording: Callable[..., Any], tmp_path: Path) -> None:
    """And divide each slow request by its own DAG."""
    made = recording()
    made.answer(1, {"left": 10, "right": 20, "answer": 30}, total=55)
    made.answer(0, {"first": 1, "answer": 2}, total=4)
    write_buffer(made.path, made.buffer)
    manifest = make_run(tmp_path / "run", [], nodes=columns_of(MIX.dags), window_ms=(0, 1999)).read_manifest()
    read = read_samples([RecordPart(made.path)])
    shape = dag_shape(manifest.nodes)
    assert shape is not None
    nodes = nodes_frame(read, manifest, shape.level_of)
    assert nodes[["node", "level", "time_ms"]].to_numpy().tolist() == [
        ["left", 0, 10], ["right", 0, 20], ["eval/answer", 1, 30], ["first", 0, 1], ["chat/answer", 1, 2]
    ]  # fmt: skip
    slow = slowest_frame(samples_frame(read, manifest), nodes, manifest, shape, 2)
    columns = ["request_index", "slowest_node", "scheduler_ms", "barrier_ms", "node_path_ms", "undivided_server_ms"]
    assert sorted(slow[columns].to_numpy().tolist()) == [
        [0, "eval/answer", 5, 0, 50, 0], [1, "chat/answer", 1, 0, 3, 0]
    ]  # fmt: skip


def test_a_dag_can_join_while_the_run_goes_on(recording: Callable[..., Any]) -> None:
    """Whoever keeps the manifest hears of it once, before its first request; others keep their columns."""
    heard: list[Any] = []
    made = recording()
    made.recorder.dags.on_new = heard.append
    made.answer(0, {"first": 1, "answer": 2})
    further = WorkloadDag(nodes=(*CHAIN, NodeShape("more", ("answer",))), answer_node="more", part="own")
    place = made.recorder.dags.add(further)
    assert made.recorder.dags.add(further) == place
    assert made.answer(0, {"first": 3, "answer": 4, "more": 5}, dag=place) is Outcome.OK
    assert made.answer(0, {"first": 6, "answer": 7}) is Outcome.OK
    (listed,) = heard
    assert [node.id for node in listed.columns] == ["own/first", "own/answer", "more"]
    samples = made.samples([node.id for node in columns_of([*MIX.dags, listed])])
    assert samples.node_times_ms[:, [0, 1, 6, 7, 8]].tolist() == [
        [1, 2, -1, -1, -1], [-1, -1, 3, 4, 5], [6, 7, -1, -1, -1]
    ]  # fmt: skip
    assert samples.sent_nodes.tolist() == [2, 3, 2]


def test_too_many_shapes_are_refused_in_a_sentence(recording: Callable[..., Any]) -> None:
    """A place for each of a hundred; a prompt in its text makes no DAG another one, its nodes do."""
    made = recording()
    for number in range(MOST_DAGS - len(MIX.dags)):
        made.recorder.dags.add(WorkloadDag(nodes=(NodeShape(f"n{number}"),)))
    with pytest.raises(
        ValueError, match=r"^100 DAGs of different shape were sent in this run, and no more can be told"
    ):
        made.recorder.dags.add(WorkloadDag(nodes=(NodeShape("one too many"),)))


def test_nodes_that_the_manifest_lacks_are_no_others(recording: Callable[..., Any]) -> None:
    """A run that was cut off before its manifest named a DAG: its requests stay undivided."""
    made = recording()
    made.answer(0, {"first": 1, "answer": 2})
    place = made.recorder.dags.add(WorkloadDag(nodes=(NodeShape("unknown"),)))
    made.answer(0, {"unknown": 9}, dag=place)
    samples = made.samples(COLUMNS)
    assert samples.node_times_ms.tolist() == [[1, 2, -1, -1, -1, -1], [-1] * 6]
    assert samples.all_succeeded.tolist() == [True, False]


def test_figures_of_a_run_that_goes_on_take_a_further_dag(recording: Callable[..., Any], tmp_path: Path) -> None:
    """A threshold is decided on the requests from before and after; their paths are those of their own DAGs."""
    made = recording(workload_of(WorkloadDag(nodes=CHAIN, answer_node="answer")))
    folder = make_run(
        tmp_path / "run",
        [],
        nodes=CHAIN,
        ended_as="running",
        window_ms=(0, None),
        scenario={
            "name": "made",
            "thresholds": [{"condition": "decomposition_mean_ms.node_path<5", "abort_on_fail": True}],
            "phases": [{"name": "closed", "users": 1, "duration": 1.0}],
        },
    )
    manifest = folder.read_manifest()
    made.recorder.dags.on_new = manifest.list_dag
    watch = ThresholdWatch(manifest, from_plain(manifest.scenario))
    writer = RecordWriter(made.buffer, made.path)
    reader = RecordReader(made.path, follow=True)

    def follow() -> None:
        writer.write_out()
        watch.learn(manifest)
        for batch in reader:
            watch.add(batch, reader.tables)

    for _ in range(20):
        made.answer(0, {"first": 1, "answer": 2}, total=4)
    follow()
    assert watch.look(manifest) is None
    place = made.recorder.dags.add(WorkloadDag(nodes=FAN_OUT, answer_node="answer", part="own"))
    for _ in range(20):
        made.answer(0, {"left": 10, "right": 20, "answer": 30}, total=60, dag=place)
    follow()
    writer.close()
    found = watch.look(manifest)
    assert found is not None
    assert found.shown == "26.5"
    assert manifest.node_ids == ("first", "answer", "left", "right", "own/answer")
    assert [dag.node_ids for dag in manifest.dags] == [("left", "right", "own/answer")]
