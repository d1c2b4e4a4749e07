"""What contradicts itself in a phase is refused in one sentence, with key, value and what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from aether_load.errors import UsageError
from aether_load.scenario.load import load_scenario, with_command_line_load

RATES = 'for rates say load_unit = "rate".'


def refusal(text: str, tmp_path: Path, top: str = "") -> str:
    """The sentence with which a scenario of these phases is refused, without the file's name."""
    path = tmp_path / "own.toml"
    path.write_text(f"{top}\n[[phases]]\n{text}\n")
    with pytest.raises(UsageError) as caught:
        load_scenario(path)
    return str(caught.value).removeprefix(f"Scenario {path}: ")


SLO_FORMS = 'write slo = "p(95)<100" or slo = ["p(95)<100", "error_rate<0.01"].'
SENTENCES = [
    # One shape at a time, and no key beside it that would be passed over in silence.
    (
        "sweep = [1]\nsteps = [2]",
        "phases.0.steps: a phase has one shape, and sweep is there already; make two phases of it.",
    ),
    (
        'sweep = [1]\nfind = "max_rate"',
        "phases.0.find: a phase has one shape, and sweep is there already; make two phases of it.",
    ),
    (
        "sweep = [1]\nramp = {from = 1, over = 1}",
        "phases.0.ramp: it leads to one load, so it does not go with sweep.",
    ),
    (
        'load_unit = "rate"\npasses = 1',
        "phases.0.load_unit: it says what sweep, steps, spike or ramp are loads of, and none of them is there.",
    ),
    (
        "users = 1\nspike = {to = 2, before = 1, duration = 1, after = 1}\nduration = 1",
        "phases.0.duration: spike says itself how long it lasts.",
    ),
    (
        'find = "max_users"\nslo = ["p(99)<5"]\nrequests = 9',
        "phases.0.requests: find says itself how long it lasts.",
    ),
    ("steps = [1, 2]", "phases.0.duration: each of the steps needs one."),
    (
        "steps = [1, 2]\nduration = 1\npasses = 1",
        "phases.0.passes: steps follow each other by the clock, so only duration is possible.",
    ),
    ("users = 16\nsweep = [1, 4]\npasses = 1", "phases.0.users: the loads are those of sweep; leave it away."),
    (
        "rate = 16\nsweep = [1, 4]\nduration = 1",
        'phases.0.rate: the loads are those of sweep; leave it away and say load_unit = "rate".',
    ),
    (
        'load_unit = "rate"\nrate = 16\nsteps = [1, 4]\nduration = 1',
        "phases.0.rate: the loads are those of steps; leave it away.",
    ),
    (
        "steps = [1, 2]\nspawn_rate = 1\nduration = 1",
        "phases.0.spawn_rate: in steps one load follows the other at once; a phase of one load may have it.",
    ),
    (
        "sweep = [1, 2, 1]\npasses = 1",
        "phases.0.sweep: a load stands there twice; for repetitions there is the scenario's repeat.",
    ),
    # Numbers of users.
    ("sweep = [1, 2.5]", f"phases.0.sweep: 2.5 is no number of users from 0 to 100000; {RATES}"),
    ("steps = [200000]\nduration = 1", f"phases.0.steps: 200000 is no number of users from 0 to 100000; {RATES}"),
    (
        "users = 1\nspike = {to = 2.5, before = 1, duration = 1, after = 1}",
        f"phases.0.spike.to: 2.5 is no number of users from 0 to 100000; {RATES}",
    ),
    (
        "users = 2\nramp = {from = 1.5, over = 1}",
        f"phases.0.ramp.from: 1.5 is no number of users from 0 to 100000; {RATES}",
    ),
    (
        "ramp = {from = 1, to = 2.5, over = 1}",
        f"phases.0.ramp.to: 2.5 is no number of users from 0 to 100000; {RATES}",
    ),
    (
        'find = "max_users"\nslo = ["p(99)<5"]\nmax_load = 10.5',
        'phases.0.max_load: 10.5 is no number of users from 0 to 100000; for rates there is find = "max_rate".',
    ),
    ("users = 200000", "phases.0.users = 200000: expected a whole number <= 100000."),
    ("users = 1.5", "phases.0.users = 1.5: expected a whole number, got a number."),
    ("sweep = [nan]", "phases.0.sweep.0 = nan: expected a number > 0.0."),
    ("users = 2\nspawn_rate = inf", "phases.0.spawn_rate = inf: expected a number <= 1000000.0."),
    # Closed load against open load.
    (
        "rate = 5\nusers = 2\nduration = 1",
        "phases.0.users: that is of closed load, and this phase is open; max_concurrency says how many users serve it.",
    ),
    (
        "rate = 5\nthink_time = 1\nduration = 1",
        "phases.0.think_time: in open load no user thinks; the rate says when requests are due.",
    ),
    (
        "users = 2\nmax_concurrency = 4",
        "phases.0.max_concurrency: that is of open load, and this phase is closed; give it a rate to open it.",
    ),
    (
        'sweep = [1]\narrivals = "poisson"',
        'phases.0.arrivals: that is of open load, and this phase is closed; say load_unit = "rate" to open it.',
    ),
    (
        'find = "max_users"\nrate = 3\nslo = ["p(99)<5"]',
        'phases.0.rate: that is of open load, and this phase is closed; say find = "max_rate" to open it.',
    ),
    ('load_unit = "rate"\nramp = {from = 1, over = 1}\nduration = 1', "phases.0.rate: an open load needs one."),
    ('think_time_distribution = "exponential"', "phases.0.think_time_distribution: there is no think_time to draw."),
    # Times.
    ("duration = 0", "phases.0.duration is 0; a window needs time."),
    (
        "users = 1\nspike = {to = 2, before = 0, duration = 1, after = 1}",
        "phases.0.spike.before is 0; a window needs time.",
    ),
    ("users = 1\nramp = {from = 1, over = 0}", "phases.0.ramp.over is 0; a ramp takes time."),
    (
        "users = 4\nramp = {from = 1, to = 5, over = 1}",
        "phases.0.ramp.to: 5 is not the phase's load of 4; leave one of them away.",
    ),
    (
        "users = 4\nspawn_rate = 1\nramp = {from = 1, over = 1}",
        "phases.0.spawn_rate: the ramp already says how fast users start; leave one of them away.",
    ),
    ('duration = "soon"', 'phases.0.duration = \'soon\': expected a duration such as "90s", "1m30s" or "250ms".'),
    # Traces.
    (
        'trace = "t.csv"',
        "phases.0.trace = 't.csv': expected a table, got a text; write trace = { path = \"monday.csv\" }.",
    ),
    ('trace = {pth = "t.csv"}', "unknown key phases.0.trace.pth; did you mean 'path'?"),
    ('trace = {path = "t\\u0000.csv"}', "a path in it holds a null character."),
    (
        'trace = {path = "t.csv"}\nrate = 5',
        "phases.0.rate: the times of a trace are in its file; say trace.speed to change them.",
    ),
    (
        'trace = {path = "t.csv"}\nwarmup = 5',
        "phases.0.warmup: a trace begins with its first request; put a phase before it that warms up.",
    ),
    (
        'trace = {path = "t.csv"}\npasses = 2',
        "phases.0.passes: a trace is sent once; for repetitions there is the scenario's repeat.",
    ),
    # The cache.
    (
        'cache = "warm"\nunique_prompts = true',
        'phases.0.unique_prompts: no cache has seen them, so that cache = "warm" has nothing to warm; leave one away.',
    ),
    # Searches.
    ('find = "max_rate"', 'phases.0.slo: a search needs at least one condition, as in slo = "p(99)<500".'),
    (
        'find = "max_rate"\nslo = 500',
        f"phases.0.slo = 500: expected a list, got a whole number; {SLO_FORMS}",
    ),
    (
        'find = "max_rate"\nslo = ["p(95)<100", 0.01]',
        f"phases.0.slo.1 = 0.01: expected a text, got a number; {SLO_FORMS}",
    ),
    (
        'find = "max_rate"\nslo = "p95<100"',
        "phases.0.slo: 'p95<100': there is no metric 'p95' of a probe; did you mean 'p(95)'?",
    ),
    ('find = "max_rate"\nslo = ["max<9", "max < 9.0"]', "phases.0.slo: a condition stands there twice."),
    (
        'slo = ["p(99)<5"]',
        "phases.0.slo: it is what find searches under; for a limit on any phase there are the scenario's thresholds.",
    ),
    ("max_load = 5\npasses = 1", "phases.0.max_load: it bounds a search, and there is no find."),
    ("time_limit = 5\npasses = 1", "phases.0.time_limit: it bounds a search, and there is no find."),
    (
        'find = "max_rate"\nrate = 10\nmax_load = 5\nslo = ["p(99)<5"]',
        "phases.0.max_load: 5 is below the load of 10 that the search begins at.",
    ),
    (
        'find = "max_rate"\nslo = ["p(99)<5"]\nlongest_probe = "1s"',
        "phases.0.longest_probe: 1 s is below the 5 s of shortest_probe.",
    ),
    (
        'find = "max_rate"\nslo = ["p(99)<5"]\ntime_limit = "1s"',
        "phases.0.time_limit: 1 s is below the 5 s of shortest_probe.",
    ),
    ('find = "max_rate"\nslo = ["p(99)<5"]\nshortest_probe = 0', "phases.0.shortest_probe is 0; a probe needs time."),
    (
        'find = "max_rate"\nslo = ["p(101)<5"]',
        "phases.0.slo.0 = 'p(101)<5': there is no p(101): a percentile lies between 0 and 100.",
    ),
    (
        'find = "max_rate"\nslo = ["eror_rate<0.1"]',
        "phases.0.slo: 'eror_rate<0.1': there is no metric 'eror_rate' of a probe; did you mean 'error_rate'?",
    ),
    (
        'find = "max_rate"\nslo = ["correlation.littles_law_ratio>0.9"]',
        (
            "phases.0.slo: 'correlation.littles_law_ratio>0.9': there is no metric 'correlation.littles_law_ratio' of "
            "a probe; there are response_latency_ms, service_latency_ms, error_rate, rejected_rate, dropped_rate, "
            "accuracy, request_throughput_rps, ok_throughput_rps, requests_total, ok_total, tokens_total."
        ),
    ),
    (
        'find = "max_rate"\nslo = ["service_latency_ms<5"]',
        (
            "phases.0.slo: 'service_latency_ms<5': service_latency_ms is a distribution: say which point of it, as in "
            "service_latency_ms:p(95)."
        ),
    ),
    (
        'find = "max_rate"\nslo = ["error_rate:p(95)<1"]',
        "phases.0.slo: 'error_rate:p(95)<1': error_rate is one number and has no p(95).",
    ),
    (
        'find = "max_rate"\nslo = ["error_rate==0"]',
        (
            "phases.0.slo: 'error_rate==0': no number of requests decides that: the interval of a share always ends "
            "above 0. Give a limit above 0, as in error_rate<0.01, which 381 requests decide when it is 0 of them; for "
            "no failure at all, say max_error_rate = 0."
        ),
    ),
    (
        'find = "max_rate"\nslo = ["piqa:response_latency_ms:p(99)<5"]',
        (
            "phases.0.slo: 'piqa:response_latency_ms:p(99)<5': a search is judged on all requests of a probe; "
            "leave piqa away."
        ),
    ),
    ("ramp = {form = 1, over = 1}", "unknown key phases.0.ramp.form (= 1); did you mean 'from'?"),
    ("ramp = {over = 1}", "key phases.0.ramp.from is missing."),
]


@pytest.mark.parametrize(("text", "sentence"), SENTENCES, ids=[text.replace("\n", "; ") for text, _ in SENTENCES])
def test_a_contradiction_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    """Nothing that was written is passed over in silence."""
    assert refusal(text, tmp_path) == sentence


@pytest.mark.parametrize(
    ("phases", "name"),
    [
        (["passes = 1", "passes = 2"], "closed"),
        (["rate = 1\nduration = 1", "rate = 2\nduration = 1"], "open"),
        (['name = "steps-1"\npasses = 1', "steps = [1, 2]\nduration = 1"], "steps-1"),
        # The readings of steps are kept under the name of the shape.
        (['name = "steps"\npasses = 1', "steps = [1, 2]\nduration = 1"], "steps"),
        (['name = "a"\nsweep = [1, 2]\npasses = 1', 'name = "a"\nfind = "max_users"\nslo = ["p(99)<5"]'], "a"),
        (['name = "a"\nfind = "max_users"\nslo = ["p(99)<5"]', 'name = "a-1-20"\npasses = 1'], "a-1-20"),
        (['sweep = [1000000, 999999.9]\nload_unit = "rate"\nduration = 1'], "sweep-1e+06"),
    ],
)
def test_no_name_stands_for_two_things(phases: list[str], name: str, tmp_path: Path) -> None:
    """Samples, readings and rows are kept by name: two phases of one name would be one."""
    text = "\n[[phases]]\n".join(phases)
    assert refusal(text, tmp_path) == f"two phases would have the name {name!r}; give each its own."


@pytest.mark.parametrize(
    ("top", "sentence"),
    [
        ('order = "abba"', "order = 'abba' has a meaning only with repeat above 1."),
        ("repeat = 0", "repeat = 0: expected a whole number >= 1."),
        ('repeat = 2\norder = "random"', "order = 'random': expected one of abba, in_turn, shuffled."),
    ],
)
def test_an_order_that_means_nothing(top: str, sentence: str, tmp_path: Path) -> None:
    """Repetitions and their order are refused as plainly as phases are."""
    assert refusal("passes = 1", tmp_path, top) == sentence


def test_a_search_is_not_repeated(tmp_path: Path) -> None:
    """Each repetition would try other loads, and there is nothing to compare."""
    sentence = refusal('find = "max_rate"\nslo = ["p(99)<5"]', tmp_path, "repeat = 2")
    assert sentence == "repeat: a search (phases.0.find) is not repeated."


@pytest.mark.parametrize(
    ("load", "sentence"),
    [
        ({"users": 0}, "-u 0: from 1 to 100000 users are possible."),
        ({"users": 100_001}, "-u 100001: from 1 to 100000 users are possible."),
        ({"spawn_rate": 0.0}, "-r 0: from 0.0001 to 1000000 users a second."),
        ({"spawn_rate": float("nan")}, "-r nan: from 0.0001 to 1000000 users a second."),
        ({"run_time_s": 0}, "-t 0: the run time must be above zero."),
    ],
)
def test_locusts_own_options_have_bounds_too(load: dict[str, float], sentence: str, tmp_path: Path) -> None:
    """-u, -r and -t are held to what the file's own keys are."""
    (tmp_path / "own.toml").write_text("[[phases]]\npasses = 1\n")
    scenario = load_scenario(tmp_path / "own.toml")
    given: dict[str, Any] = {"users": None, "spawn_rate": None, "run_time_s": None, **load}
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        with_command_line_load(scenario, **given)


@pytest.mark.parametrize(
    "text",
    [
        "rate = 5\nduration = 1",
        "steps = [1, 2]\nduration = 1",
        "ramp = {from = 0, over = 1}\nusers = 2\nduration = 1",
        "repeat = 2\n",
    ],
)
def test_locusts_own_options_are_for_one_plain_closed_phase(text: str, tmp_path: Path) -> None:
    """Where it is unclear what -u would change, it is refused and --set is named."""
    top, text = ("repeat = 2", "passes = 1") if text.startswith("repeat") else ("", text)
    (tmp_path / "own.toml").write_text(f"{top}\n[[phases]]\n{text}\n")
    scenario = load_scenario(tmp_path / "own.toml")
    with pytest.raises(UsageError, match=r"^-u: scenario own .*--set phases\.0\."):
        with_command_line_load(scenario, users=4, spawn_rate=None, run_time_s=None)
