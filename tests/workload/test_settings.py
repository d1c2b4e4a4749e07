"""Every scenario key and every option changes what is planned, sent, asked or reported, or is refused."""

from __future__ import annotations

import argparse
import ast
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect

from aether_load.analysis.report import build_report
from aether_load.cli.main import COMMANDS, _module
from aether_load.cli.parser import Parser
from aether_load.errors import UsageError
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.options import add_options, planned_scenario
from aether_load.load.sending import target_client
from aether_load.load.sending.prepared_requests import PreparedRequests
from aether_load.observer.messages import MetricsTarget
from aether_load.outputs.formats import formatted
from aether_load.protocol import Generation, Outcome
from aether_load.scenario.command_line.headers import filled_in
from aether_load.scenario.load import load_scenario, to_plain
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import SearchPlan, names_of, plan_items, variants
from aether_load.scenario.threshold import Names
from aether_load.schedule.order import prompt_order
from aether_load.schedule.plan_text import plan_text
from aether_load.schedule.scenario_prompts import load_scenario_prompts
from aether_load.schedule.search import Search
from aether_programs import write_program
from folders import answered, failed, make_run

PACKAGE = Path(__file__).parents[2] / "aether_load"
PASS = "[[phases]]\nname = 'closed'\npasses = 1\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the scenarios below name."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / "a.csv").write_text("q,p,yes,no,right,other\nWhy?,When?,so,not,1,0\nWho?,Where?,me,you,0,1\n")
    (folder / "b.csv").write_text("q,yes,no,right\nWhich?,this,that,1\n")
    (folder / "t.csv").write_text("at,then,text,words,set,n,m,prompt\n0,0,a,c,piqa,0,1,x\n1,3,b,d,piqa,1,2,y\n")
    (folder / "rows.csv").write_text("timestamp,set,other,n,m\n0,piqa,winogrande,0,1\n1,piqa,winogrande,1,2\n")
    for name, first in (("one.json", "a"), ("two.json", "b")):
        nodes = [
            {"id": first, "node_type": "llm_fn", "prompt_template": "{{prompt}}"},
            {"id": "z", "node_type": "llm_fn", "prompt_template": "{{prompt}}!"},
        ]
        (folder / name).write_text(json.dumps({"dag": {"schema_version": "1.0", "metadata": {}, "nodes": nodes}}))
    sample = PACKAGE / "datasets" / "sample"
    for name, count in (("left", 3), ("right", 5)):
        copy = folder / name / "baber" / "piqa"
        copy.mkdir(parents=True)
        rows = (sample / "baber" / "piqa" / "validation.jsonl").read_text().splitlines(keepends=True)
        (copy / "validation.jsonl").write_text("".join(rows[-count:]))
    write_program(folder, source=False)
    other = folder / "other"
    other.mkdir()
    write_program(other, source=False)
    program = next(other.glob("*.json"))
    program.write_text(program.read_text().replace("terse", "long").replace("Give advice", "Give some advice"))
    return folder


def plan(scenario: Scenario, **_: Any) -> tuple[str, list[Any]]:
    """What --dry-run prints, and the stages that are driven; of a search those of its first and its largest load."""
    driven: list[Any] = []
    for item in plan_items(scenario):
        if isinstance(item, SearchPlan):
            loads = (item.start, item.max_load)
            driven.append([Search(item).requests_needed, *(item.stage("probe", load, 1.0) for load in loads)])
        else:
            driven.append(item)
    return plan_text(scenario), driven


def scopes(scenario: Scenario, **_: Any) -> Names:
    """The names that thresholds may be about."""
    return names_of(scenario)


def requests(scenario: Scenario, **_: Any) -> tuple[dict[int, Any] | Sequence[Any], ...]:
    """The bytes of every request in sending order, and when those of a trace are due."""
    found = load_scenario_prompts(scenario)
    workload = found.workload(Generation.V2)
    endpoint = Endpoint.of("http://h", filled_in(scenario.target.headers), tls=scenario.target.tls)
    prepared = PreparedRequests(endpoint, workload.bodies, variants(scenario), "mark", workload.prompt_nodes)
    sent = []
    for stage in variants(scenario):
        prepared.use(stage)
        sent += [prepared.bytes_of(place, place) for place in range(len(workload.bodies))]
    golds = [(prompt.options, prompt.gold, prompt.columns) for prompt in workload.prompts]
    order = [list(prompt_order(parts, scenario.seed, 100)) for parts in workload.phases]
    names = workload.name_of_prompt, [dag.answer_node for dag in workload.dags]
    return sent, golds, names, order, found.traces, [identity.revision for identity in found.identities]


def target(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, **_: Path
) -> tuple[list[tuple[Endpoint, dict[str, Any]]], MetricsTarget]:
    """The endpoints and limits of the connections that a run opens, and where it reads metrics."""
    made = []
    monkeypatch.setattr(target_client, "Connection", lambda endpoint, _pool, **limits: made.append((endpoint, limits)))
    endpoint = Endpoint.of("https://h", filled_in(scenario.target.headers), tls=scenario.target.tls)
    client = target_client.TargetClient(endpoint, scenario.target, PreparedRequests(endpoint, [], [], ""))
    client.new_connection(None)  # type: ignore[arg-type]
    return made, client.metrics_target()


def report(scenario: Scenario, tmp_path: Path, **_: pytest.MonkeyPatch) -> dict[str, Any]:
    """The report of a run in which one of 60 requests failed, without what it repeats of the scenario."""
    run = [answered(10 * place, 50 + place, correct=place % 2) for place in range(60)]
    run[7] = failed(70, 50, Outcome.HTTP_ERROR)
    number = sum(1 for _ in tmp_path.iterdir())
    made = make_run(tmp_path / str(number), run, scenario=to_plain(scenario), window_ms=(0, 2000))
    plain = json.loads(formatted(build_report(made), "json"))
    return {key: value for key, value in plain.items() if key != "scenario"}


SEARCH = "[[phases]]\nname = 'cap'\nfind = 'max_rate'\nslo = 'p(95)<100'\n"
TRACE = "[workload]\ndatasets = ['piqa', 'winogrande']\n[[phases]]\n"
FILE = "[workload]\ndatasets = ['own']\n[workload.files.own]\n"
OPTIONS = "options = ['yes', 'no']\n"
MIX = "[[phases]]\nduration = 1\n"
SHAPE = "[workload]\ndatasets = ['piqa']\nlimit = 1\n"
PROGRAM = "inputs = {{ complaint = '{{{{prompt}}}}', style = 'terse' }}\n"
KEYS: dict[str, tuple[Any, ...]] = {
    "name": (report, "name = {}\n" + PASS, "'a'", "'b'"),
    "purpose": (plan, "purpose = {}\n" + PASS, "'a'", "'b'"),
    "labels": (report, "labels = {}\n" + PASS, "{}", "{ build = '1' }"),
    "request_names": (scopes, "request_names = {}\n" + PASS, "['ask']", "['tell']"),
    "seed": (requests, "seed = {}\n" + SHAPE + PASS, "1", "2"),
    "max_error_rate": (report, "max_error_rate = {}\n" + PASS, "0.01", "0.02"),
    "fail_on_warning": (report, "fail_on_warning = {}\n" + PASS, "[]", "['few_samples']"),
    "goodput_slo": (report, "goodput_slo = {}\n" + PASS, "'response_latency_ms<80'", "'response_latency_ms<90'"),
    "thresholds.condition": (report, "thresholds = [{}]\n" + PASS, "'p(95)<5'", "'p(95)<500'"),
    "thresholds.abort_on_fail": (plan, "thresholds = [{{condition = 'max<5', abort_on_fail = {}}}]\n" + PASS,
                                 "false", "true"),
    "thresholds.delay_abort_eval": (
        plan, "thresholds = [{{condition = 'max<5', abort_on_fail = true, delay_abort_eval = {}}}]\n" + PASS, "1", "2",
    ),
    "workload.datasets": (requests, "[workload]\nlimit = 1\ndatasets = {}\n" + PASS, "['piqa']", "['winogrande']"),
    "workload.source": (requests, "[workload]\ndatasets = ['piqa']\n{}\n" + PASS, "source = 'sample'",
                        "source = 'folder'\ndataset_dir = 'left'"),
    "workload.dataset_dir": (requests, "[workload]\ndatasets = ['piqa']\nsource = 'folder'\ndataset_dir = {}\n" + PASS,
                             "'left'", "'right'"),
    "workload.columns": (requests, SHAPE + "columns = {}\n" + PASS, "['goal']", "['sol1']"),
    "workload.limit": (requests, "[workload]\ndatasets = ['piqa']\nlimit = {}\n" + PASS, "1", "2"),
    "workload.dag": (requests, SHAPE + "dag = {}\n" + PASS, "'single'", "'triage'"),
    "workload.dag_nodes": (requests, SHAPE + "dag = 'chain'\ndag_nodes = {}\n" + PASS, "2", "3"),
    "workload.dag_file": (requests, SHAPE + "dag = 'file'\ndag_file = {}\n" + PASS, "'one.json'", "'two.json'"),
    "workload.answer_node": (requests, SHAPE + "dag = 'file'\ndag_file = 'one.json'\nanswer_node = {}\n" + PASS,
                             "'a'", "'z'"),
    "workload.program": (requests, SHAPE + PROGRAM + "program = {}\n" + PASS, "'tired.json'", "'other/tired.json'"),
    "workload.inputs": (
        requests, SHAPE + "program = 'tired.json'\ninputs = {{ complaint = '{{{{prompt}}}}', style = {} }}\n" + PASS,
        "'terse'", "'rude'",
    ),
    "workload.bind": (requests, SHAPE + PROGRAM + "program = 'tired.json'\nbind = {}\n" + PASS,
                      "'literal'", "'context'"),
    "workload.model": (requests, SHAPE + "model = {}\n" + PASS, "'a'", "'b'"),
    "workload.temperature": (requests, SHAPE + "temperature = {}\n" + PASS, "0.0", "0.5"),
    "workload.max_tokens": (requests, SHAPE + "max_tokens = {}\n" + PASS, "1", "2"),
    "workload.price_usd_per_1000_tokens": (
        report, "[workload]\ndatasets = ['piqa']\nprice_usd_per_1000_tokens = {}\n" + PASS, "1.0", "2.0",
    ),
    "workload.files.path": (requests, FILE + "text = 'q'\npath = {}\n" + PASS, "'a.csv'", "'b.csv'"),
    "workload.files.text": (requests, FILE + "path = 'a.csv'\ntext = {}\n" + PASS, "'q'", "'p'"),
    "workload.files.options": (requests, FILE + "path = 'a.csv'\ntext = 'q'\noptions = {}\n" + PASS,
                               "['yes', 'no']", "['no', 'yes']"),
    "workload.files.answer": (requests, FILE + "path = 'a.csv'\ntext = 'q'\n" + OPTIONS + "answer = {}\n" + PASS,
                              "'right'", "'other'"),
    "workload.files.answer_is": (
        requests, FILE + "path = 'b.csv'\ntext = 'q'\nanswer = 'right'\n" + OPTIONS + "answer_is = {}\n" + PASS,
        "'number_from_0'", "'number_from_1'",
    ),
    "target.headers": (requests, SHAPE + PASS + "[target]\nheaders = {}\n", "{}", "{ X-A = 'b' }"),
    "target.verify_tls": (target, PASS + "[target]\nverify_tls = {}\n", "true", "false"),
    "target.ca_file": (target, PASS + "[target]\nca_file = {}\n", "'a.pem'", "'b.pem'"),
    "target.client_cert": (target, PASS + "[target]\nclient_cert = {}\n", "'a.pem'", "'b.pem'"),
    "target.client_key": (target, PASS + "[target]\nclient_cert = 'a.pem'\nclient_key = {}\n", "'a.key'", "'b.key'"),
    "target.connect_timeout": (target, PASS + "[target]\nconnect_timeout = {}\n", "1", "2"),
    "target.request_timeout": (target, PASS + "[target]\nrequest_timeout = {}\n", "1", "2"),
    "target.max_response_bytes": (target, PASS + "[target]\nmax_response_bytes = {}\n", "1", "2"),
    "target.server_metrics": (report, PASS + "[target]\nserver_metrics = {}\n", "true", "false"),
    "target.server_metrics_url": (target, PASS + "[target]\nserver_metrics_url = {}\n", "'http://a/m'", "'http://b/m'"),
    "target.server_metrics_timeout": (target, PASS + "[target]\nserver_metrics_timeout = {}\n", "1", "2"),
    "repeat": (plan, "repeat = {}\n" + PASS, "1", "2"),
    "order": (plan, "repeat = 2\norder = {}\n" + PASS + PASS.replace("closed", "b"), "'in_turn'", "'abba'"),
    "phases.name": (plan, "[[phases]]\npasses = 1\nname = {}\n", "'a'", "'b'"),
    "phases.users": (plan, PASS + "users = {}\n", "1", "2"),
    "phases.spawn_rate": (plan, PASS + "users = 9\nspawn_rate = {}\n", "1.0", "2.0"),
    "phases.think_time": (plan, PASS + "think_time = {}\n", "1", "2"),
    "phases.think_time_distribution": (plan, PASS + "think_time = 1\nthink_time_distribution = {}\n",
                                       "'constant'", "'exponential'"),
    "phases.rate": (plan, PASS + "rate = {}\n", "1.0", "2.0"),
    "phases.arrivals": (plan, PASS + "rate = 1.0\narrivals = {}\n", "'constant'", "'poisson'"),
    "phases.max_concurrency": (plan, PASS + "rate = 1.0\nmax_concurrency = {}\n", "1", "2"),
    "phases.warmup": (plan, PASS + "warmup = {}\n", "1", "2"),
    "phases.duration": (plan, PASS + "duration = {}\n", "1", "2"),
    "phases.requests": (plan, PASS + "requests = {}\n", "1", "2"),
    "phases.passes": (plan, "[[phases]]\npasses = {}\n", "1", "2"),
    "phases.load_unit": (plan, PASS + "sweep = [1.0, 2.0]\nload_unit = {}\n", "'users'", "'rate'"),
    "phases.ramp.from": (plan, PASS + "users = 9\nramp = {{from = {}, over = 1}}\n", "1.0", "2.0"),
    "phases.ramp.to": (plan, PASS + "ramp = {{from = 1.0, to = {}, over = 1}}\n", "3.0", "4.0"),
    "phases.ramp.over": (plan, PASS + "users = 9\nramp = {{from = 1.0, over = {}}}\n", "1", "2"),
    "phases.sweep": (plan, PASS + "sweep = {}\n", "[1.0]", "[2.0]"),
    "phases.steps": (plan, "[[phases]]\nduration = 1\nsteps = {}\n", "[1.0]", "[2.0]"),
    **{
        f"phases.spike.{key}": (
            plan,
            "[[phases]]\nspike = {{" + ", ".join(f"{name} = {'{}' if name == key else '5'}" for name in
                                                 ("to", "before", "duration", "after")) + "}}\n",
            "6", "7",
        )
        for key in ("to", "before", "duration", "after")
    },
    "phases.trace.path": (requests, TRACE + "trace = {{path = {}, timestamp = 'n'}}\n", "'t.csv'", "'rows.csv'"),
    "phases.trace.speed": (requests, TRACE + "trace = {{path = 't.csv', timestamp = 'at', speed = {}}}\n",
                           "1.0", "2.0"),
    "phases.trace.timestamp": (requests, TRACE + "trace = {{path = 't.csv', timestamp = {}}}\n", "'at'", "'then'"),
    "phases.trace.timestamp_unit": (
        requests, TRACE + "trace = {{path = 't.csv', timestamp = 'at', timestamp_unit = {}}}\n", "'s'", "'ms'",
    ),
    "phases.trace.prompt": (requests, TRACE + "trace = {{path = 't.csv', timestamp = 'at', prompt = {}}}\n",
                            "'text'", "'words'"),
    "phases.trace.dataset": (requests, TRACE + "trace = {{path = 'rows.csv', dataset = {}, row = 'n'}}\n",
                             "'set'", "'other'"),
    "phases.trace.row": (requests, TRACE + "trace = {{path = 'rows.csv', dataset = 'set', row = {}}}\n", "'n'", "'m'"),
    "phases.find": (plan, "[[phases]]\nname = 'cap'\nslo = 'p(95)<100'\nfind = {}\n", "'max_rate'", "'max_users'"),
    "phases.slo": (plan, "[[phases]]\nname = 'cap'\nfind = 'max_rate'\nslo = {}\n", "'p(95)<100'", "'p(95)<101'"),
    "phases.max_load": (plan, SEARCH + "max_load = {}\n", "100.0", "200.0"),
    "phases.tolerance": (plan, SEARCH + "tolerance = {}\n", "0.1", "0.2"),
    "phases.shortest_probe": (plan, SEARCH + "shortest_probe = {}\n", "1", "2"),
    "phases.longest_probe": (plan, SEARCH + "longest_probe = {}\n", "61", "62"),
    "phases.time_limit": (plan, SEARCH + "time_limit = {}\n", "601", "602"),
    "phases.cache": (plan, PASS + "cache = {}\n", "'keep'", "'cold'"),
    "phases.unique_prompts": (requests, SHAPE + PASS + "unique_prompts = {}\n", "false", "true"),
    "phases.sequential": (requests, SHAPE + PASS + "sequential = {}\n", "false", "true"),
    **{
        f"phases.{place}{key}": (requests, SHAPE + before + with_more.format(f"{more}{key} = {{}}"), *values)
        for place, before, with_more in (
            ("", PASS, "{}\n"),
            ("mix.", MIX, "mix = [{{{{ name = 'a', {} }}}}]\n"),
        )
        for key, more, values in (
            ("datasets", "", ("['piqa']", "['winogrande']")),
            ("dag", "", ("'single'", "'triage'")),
            ("dag_nodes", "dag = 'chain'" + (", " if place else "\n"), ("2", "3")),
            ("dag_file", "", ("'one.json'", "'two.json'")),
            ("answer_node", "dag_file = 'one.json'" + (", " if place else "\n"), ("'a'", "'z'")),
            ("model", "", ("'a'", "'b'")),
            ("temperature", "", ("0.0", "0.5")),
            ("max_tokens", "", ("1", "2")),
        )
    },
    "phases.mix.name": (requests, SHAPE + MIX + "mix = [{{ name = {} }}]\n", "'a'", "'b'"),
    "phases.mix.weight": (requests, SHAPE + MIX + "mix = [{{ name = 'a', weight = {} }}, {{ name = 'b' }}]\n",
                          "1.0", "9.0"),
}  # fmt: skip


def keys_of(info: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the dotted name of every key of a scenario's type; a list or a table of names stands for its items."""
    while isinstance(info, inspect.Metadata):
        info = info.type
    parts = info.types if isinstance(info, inspect.UnionType) else (info,)
    item = next((part for part in parts if not isinstance(part, inspect.NoneType)), info)
    if isinstance(item, inspect.VarTupleType | inspect.DictType):
        inner = item.item_type if isinstance(item, inspect.VarTupleType) else item.value_type
        item = inner if isinstance(inner, inspect.StructType) else item
    if isinstance(item, inspect.StructType):
        for field in item.fields:
            yield from keys_of(field.type, (*path, field.encode_name))
    else:
        yield ".".join(path)


def scenario_of(folder: Path, text: str) -> Scenario:
    path = folder / "mine.toml"
    path.write_text(text)
    return load_scenario(path)


def test_every_key_is_tried() -> None:
    """A key that is added to the scenario is added here, with what it changes."""
    assert set(KEYS) == set(keys_of(inspect.type_info(Scenario)))


@pytest.mark.parametrize("key", KEYS)
def test_a_key_changes_what_is_done(key: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two values of a key lead to different plans, requests, connections or reports; one value to the same twice."""
    observe, text, *values = KEYS[key]
    found = [
        observe(scenario_of(folder, text.format(value)), tmp_path=tmp_path, monkeypatch=monkeypatch)
        for value in (values[0], values[0], values[1])
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (SHAPE + "dataset_dir = 'left'\n" + PASS, 'it goes with workload.source = "folder", not "sample".'),
        (FILE.replace("['own']", "['own']\nsource = 'hub'") + "path = 'a.csv'\ntext = 'q'\n" + PASS,
         'workload.source = "hub": every dataset is a file of workload.files, so nothing would be read from there;'),
        (SHAPE + "[workload.files.own]\npath = 'a.csv'\ntext = 'q'\n" + PASS,
         "workload.files.own: workload.datasets does not name it, so its rows would not be sent."),
        (FILE + "path = 'a.csv'\ntext = 'q'\nanswer_is = 'letter'\n" + PASS,
         "workload.files.own.answer_is: it says how answers are written, and no answer is named."),
        (SHAPE + "dag_nodes = 3\n" + PASS, 'workload.dag_nodes = 3: it is for "chain" and "fan_out"'),
        (SHAPE + "answer_node = 'a'\n" + PASS, "workload.answer_node = 'a': it is for a DAG file or a program"),
        (SHAPE + "dag_file = 'one.json'\n" + PASS, 'it goes with workload.dag = "file", not "single".'),
        (SHAPE + "bind = 'context'\n" + PASS, "workload.bind: it is for a program"),
        (SHAPE + "dag = 'file'\ndag_file = 'one.json'\nmodel = 'x'\n" + PASS,
         "workload.model = 'x': the nodes of a file have their own; leave it away."),
        (SHAPE + "dag = 'file'\ndag_file = 'one.json'\nmax_tokens = 5\n" + PASS,
         "workload.max_tokens = 5: the nodes of a file have their own; leave it away."),
        (SHAPE + "program = 'tired.json'\ninputs = {complaint = 'x', style = 'y'}\ntemperature = 1.0\n" + PASS,
         "workload.temperature = 1.0: the nodes of a program have their own; leave it away."),
        (PASS + "[target]\nserver_metrics = false\nserver_metrics_timeout = 1\n",
         "target.server_metrics_timeout and server_metrics = false contradict each other."),
        (PASS + "[target]\nserver_metrics = false\nserver_metrics_url = 'http://a/m'\n",
         "target.server_metrics_url and server_metrics = false contradict each other."),
        ("order = 'abba'\n" + PASS, "order = 'abba' has a meaning only with repeat above 1."),
        ("thresholds = [{condition = 'max<5', delay_abort_eval = 1}]\n" + PASS,
         "thresholds.0.delay_abort_eval: it is how long abort_on_fail waits, and that is not set."),
        (PASS + "tolerance = 0.2\n", "phases.0.tolerance: it bounds a search, and there is no find."),
        (PASS + "arrivals = 'constant'\n", "phases.0.arrivals: that is of open load, and this phase is closed;"),
        (PASS + "rate = 1.0\nspawn_rate = 1.0\n", "phases.0.spawn_rate: that is of closed load"),
    ],
)  # fmt: skip
def test_a_key_that_would_change_nothing_is_refused(text: str, sentence: str, folder: Path) -> None:
    """Beside another key that makes it void; the sentence names it."""
    with pytest.raises(UsageError) as refusal:
        scenario_of(folder, text)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("key", ["prompt", "dataset", "row"])
def test_a_column_of_a_trace_that_is_not_there_is_refused(key: str, folder: Path) -> None:
    """Otherwise the workload's prompts would be sent in place of those that were meant."""
    text = TRACE + f"trace = {{path = 't.csv', timestamp = 'at', {key} = 'txt'}}\n"
    with pytest.raises(UsageError, match=rf"there is no column 'txt' \(trace\.{key}\); ") as refusal:
        requests(scenario_of(folder, text))
    assert str(folder / "t.csv") in str(refusal.value)


def test_a_v1_request_has_no_place_for_a_models_parameters(folder: Path) -> None:
    """A run of a v1 runtime notes the keys that are not sent."""
    scenario = scenario_of(folder, SHAPE + "temperature = 0.5\nmax_tokens = 99\n" + PASS)
    assert load_scenario_prompts(scenario).workload(Generation.V1).notes == (
        (
            "workload.temperature = 0.5 and workload.max_tokens = 99: not sent, because a request to a v1 runtime has "
            "no place for it."
        ),
    )
    plain = scenario_of(folder, SHAPE + PASS)
    assert load_scenario_prompts(plain).workload(Generation.V1).notes == ()


OWN = "[workload]\ndatasets = ['piqa']\nlimit = 1\ndag = 'chain'\n[[phases]]\npasses = 1\n"
WORDS: dict[str, tuple[Any, ...]] = {
    "scenario": (plan, ["--scenario", "smoke"], ["--scenario", "nightly"]),
    "set": (plan, ["--set", "phases.0.users=3"], ["--set", "phases.0.users=4"]),
    "dataset": (requests, ["--dataset", "piqa"], ["--dataset", "winogrande"]),
    "dataset_source": (requests, ["--dataset-source", "sample"], ["--dataset-dir", "FOLDER/left"]),
    "dataset_dir": (requests, ["--dataset-dir", "FOLDER/left"], ["--dataset-dir", "FOLDER/right"]),
    "limit": (requests, ["--limit", "2"], ["--limit", "3"]),
    "seed": (requests, ["--seed", "1"], ["--seed", "2"]),
    "dag": (requests, ["--dag", "chain"], ["--dag", "fan_out"]),
    "dag_nodes": (requests, ["--dag-nodes", "2"], ["--dag-nodes", "3"]),
    "dag_file": (requests, ["--dag-file", "FOLDER/one.json"], ["--dag-file", "FOLDER/two.json"]),
    "program": (requests, *(["--program", f"FOLDER/{path}", "--bind", "complaint=a", "--bind", "style=b"]
                            for path in ("tired.json", "other/tired.json"))),
    "bind": (requests, *(["--program", "FOLDER/tired.json", "--bind", "complaint=a", "--bind", f"style={style}"]
                         for style in "bc")),
    "header": (requests, ["--header", "X-A: b"], ["--header", "X-A: c"]),
    "insecure": (target, [], ["--insecure"]),
    "ca_file": (target, [], ["--ca-file", "a.pem"]),
    "client_cert": (target, [], ["--client-cert", "a.pem"]),
    "client_key": (target, *(["--client-cert", "a.pem", "--client-key", key] for key in ("a.key", "b.key"))),
    "server_metrics_url": (target, [], ["--server-metrics-url", "http://a/m"]),
    "cache": (plan, [], ["--cache", "cold"]),
    "sequential": (requests, [], ["--sequential"]),
    "threshold": (report, ["--threshold", "p(95)<5"], ["--threshold", "p(95)<500"]),
    "fail_on_warning": (report, [], ["--fail-on-warning", "few_samples"]),
    "label": (report, [], ["--label", "build=1"]),
}  # fmt: skip


def run_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    for short, dest, kind in (("-u", "num_users", int), ("-r", "spawn_rate", float), ("-t", "run_time", float)):
        parser.add_argument(short, dest=dest, type=kind)
    add_options(parser, "eval")
    return parser


@pytest.mark.parametrize("option", WORDS)
def test_an_option_of_a_run_changes_what_is_done(
    option: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its key does."""
    (folder / "own.toml").write_text(OWN)
    observe, *words = WORDS[option]
    found = []
    for given in words:
        own = [] if option == "scenario" else ["--scenario", str(folder / "own.toml")]
        options = run_parser().parse_args([*own, *(word.replace("FOLDER", str(folder)) for word in given)])
        found.append(observe(planned_scenario(options), tmp_path=tmp_path, monkeypatch=monkeypatch))
    assert found[0] != found[1]


def read_in(*packages: str) -> set[str]:
    """The names that the code of these packages reads as attributes, or by `getattr`."""
    names = set()
    for path in itertools.chain.from_iterable((PACKAGE / package).rglob("*.py") for package in packages):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                names.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value.strip("-").replace("-", "_"))
    return names


def test_every_option_of_a_run_is_tried_or_read() -> None:
    """Those that change no plan, request or report say where results go and what is shown."""
    options = {action.dest for action in run_parser()._actions} - {"help", "num_users", "spawn_rate", "run_time"}
    shown = options - set(WORDS)
    assert shown == {
        "simulate", "dry_run", "no_self_check", "results_dir", "output", "no_page", "charts", "verbose",
        "locust_summary",
        "prometheus_port", "web_allowed_host", "gate",
    }  # fmt: skip
    assert shown <= read_in("load")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in {"run", "lm-eval"}])
def test_every_option_of_a_command_is_read(command: str) -> None:
    """Whatever a command takes, some code behind it asks for."""
    parser = Parser()
    _module(command).add_arguments(parser)
    options = {action.dest for action in parser._actions} - {"help"}
    assert options - read_in("cli", "claims", "gate", "simulator", "scenario") == set()
