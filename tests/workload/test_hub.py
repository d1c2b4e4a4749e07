"""Loading from the hub, with a hub on a socket of this machine and the loader in its own process."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from aether_load.datasets import hub as hub_room
from aether_load.datasets.dataset import HUB_DATASETS, hub_prompts, in_seeded_order
from aether_load.datasets.loading import load_prompts
from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.errors import ExitCode, UsageError
from aether_load.scenario.phase import Phase
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.workload_plan import WorkloadPlan
from workload.hub import HANG, Hub, parquet, running_hub, sample_repos, sample_rows

WAYS_OUT = (
    "Two ways out: --dataset-dir DIR with a copy that is laid out like the hub, or --dataset-source sample for the "
    "bundled sample."
)
LIMIT_S = 10
"""Generous: no test fails because its machine is slow, and without limits of our own each case takes far longer."""

_bundled_repos = cache(sample_repos)


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hub's client without cache, token or settings of the machine's user."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def hub(clean: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running_hub() as running:
        running.publish(_bundled_repos())
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def load(
    *datasets: str, source: Any = "hub", limit: int | None = None
) -> tuple[list[Prompt], tuple[DatasetIdentity, ...]]:
    plan = WorkloadPlan(datasets=datasets or tuple(HUB_DATASETS), source=source, limit=limit)
    return load_prompts(Scenario(name="test", phases=(Phase(),), workload=plan), {})


def refusal(*datasets: str) -> tuple[str, float]:
    """Return the sentence that loading ends with, and after how many seconds."""
    started = time.monotonic()
    with pytest.raises(UsageError) as raised:
        load(*datasets)
    assert raised.value.exit_code is ExitCode.USAGE
    return str(raised.value), time.monotonic() - started


def unreachable(repo: str, reason: str) -> str:
    return f"The hub cannot be reached for dataset {repo} ({reason}). {WAYS_OUT}"


def identities(revisions: dict[str, str]) -> tuple[DatasetIdentity, ...]:
    return tuple(
        DatasetIdentity(
            name=name,
            source="hub",
            location=dataset.repo,
            config=dataset.config,
            split=dataset.split,
            revision=revisions[dataset.repo],
            rows_available=80,
            rows_used=80,
        )
        for name, dataset in HUB_DATASETS.items()
    )


@pytest.mark.slow
def test_the_hub_gives_the_rows_of_the_sample_and_its_cache_gives_them_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundled rows, served by a hub, are the same prompts; the revisions are the hub's, offline too.

    With HF_HUB_OFFLINE=1 the cache that the first loading filled is read, and the hub is asked nothing.
    """
    bundled, _ = load(source="sample")
    assert load() == (bundled, identities(hub.revisions))
    asked = len(hub.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert load() == (bundled, identities(hub.revisions))
    assert len(hub.asked) == asked


@pytest.mark.slow
def test_a_limit_takes_the_first_rows_of_the_seeded_order(hub: Hub) -> None:
    """Of a set's prompts, as many as the limit says are taken; the record tells how many there were."""
    expected = in_seeded_order(hub_prompts("piqa", sample_rows("piqa")), 42)[:7]
    prompts, (identity,) = load("piqa", limit=7)
    assert (prompts, identity.rows_available, identity.rows_used) == (expected, 80, 7)


@pytest.fixture
def refusing(request: pytest.FixtureRequest, clean: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Point the loader at a hub that cannot be reached in the way of the parameter, which is handed on."""
    with ExitStack() as stack:
        if isinstance(request.param, int):
            hub = stack.enter_context(running_hub())
            hub.failures["/"] = request.param
            url = hub.url
        else:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            if request.param == "black hole":
                listener.listen()
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", url)
        yield url


@pytest.mark.parametrize(
    ("refusing", "reason"),
    [
        ("closed port", r"\[Errno \d+\] Connection refused"),
        ("black hole", r"timed out|no answer in 4 s"),
        (500, r"it answers URL/api/datasets/Rowan/hellaswag with status 500"),
        (503, r"it answers URL/api/datasets/Rowan/hellaswag with status 503"),
    ],
    indirect=["refusing"],
)
def test_an_unreachable_hub_is_one_sentence_soon(
    refusing: str, reason: str, record_property: Callable[..., Any]
) -> None:
    """However the hub is out of reach, all five sets end in one sentence with the two ways out, and no rows."""
    sentence, seconds = refusal()
    record_property("seconds", round(seconds, 2))
    assert re.fullmatch(
        re.escape(unreachable("Rowan/hellaswag", "REASON")).replace("REASON", f"(?:{reason})").replace("URL", refusing),
        sentence,
    ), sentence
    assert seconds < LIMIT_S


def test_a_host_that_cannot_be_found_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding the host's addresses and trying each in turn is under the limit as well, whatever each step may take."""
    never = threading.Event()
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: never.wait())
    monkeypatch.setattr(hub_room, "HUB_ANSWER_S", 0.05)
    try:
        with pytest.raises(UsageError) as raised:
            hub_room._hub_revision("baber/piqa")
    finally:
        never.set()
    assert str(raised.value) == unreachable("baber/piqa", "no answer in 0.05 s")


def test_a_repository_that_is_not_there_is_named(hub: Hub, record_property: Callable[..., Any]) -> None:
    """A hub that answers, but knows no such dataset, is not an unreachable one."""
    del hub.repos["baber/piqa"]
    sentence, seconds = refusal()
    record_property("seconds", round(seconds, 2))
    assert sentence == (
        "The hub has no dataset baber/piqa for you: "
        f"Client error '404 Not Found' for url '{hub.url}/api/datasets/baber/piqa'."
    )
    assert seconds < LIMIT_S


@pytest.mark.slow
def test_a_hub_that_fails_at_the_data_is_given_up_at_once(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    """A hub that tells the revision and then hangs or fails, at whichever step, ends in the sentence.

    A request that hangs has the time that the client's own setting gives it, and none is made again.
    """
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "1")
    hub.failures = {
        "HEAD .*hellaswag.*README": HANG,
        "GET .*piqa/tree": HANG,
        "GET .*ARC-Easy/.*parquet": HANG,
        "HEAD .*winogrande.*parquet": 503,
        "GET .*ARC-Challenge/.*parquet": 500,
    }
    with ThreadPoolExecutor() as pool:
        refusals = dict(zip(HUB_DATASETS, pool.map(refusal, HUB_DATASETS), strict=True))
    record_property("seconds", {name: round(seconds, 2) for name, (_, seconds) in refusals.items()})

    def status(repo: str, file: str, number: int) -> str:
        url = f"{hub.url}/datasets/{repo}/resolve/{hub.revisions[repo]}/{file}"
        return unreachable(repo, f"it answers {url} with status {number}")

    assert {name: sentence for name, (sentence, _) in refusals.items()} == {
        "hellaswag": unreachable("Rowan/hellaswag", "timed out"),
        "piqa": unreachable("baber/piqa", "timed out"),
        "winogrande": status("allenai/winogrande", "winogrande_xl/train-00000-of-00001.parquet", 503),
        "arc_easy": unreachable("allenai/ai2_arc", "timed out"),
        "arc_challenge": status("allenai/ai2_arc", "ARC-Challenge/test-00000-of-00001.parquet", 500),
    }
    assert max(seconds for _, seconds in refusals.values()) < 2 * LIMIT_S


@pytest.mark.slow
def test_an_older_revision_in_the_cache_is_not_taken_for_the_hubs(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the hub has a new revision and does not give it out, the cached one is no answer.

    Offline it is one, under its own revision.
    """
    before = load("piqa")
    older = hub.revisions["baber/piqa"]
    hub.publish({"baber/piqa": {"data/validation-00000-of-00001.parquet": parquet(sample_rows("piqa")[:5])}})
    newer = hub.revisions["baber/piqa"]
    hub.failures = {"HEAD .*README": 403}
    sentence, _ = refusal("piqa")
    assert sentence == unreachable("baber/piqa", f"it does not give out the files of its own revision {newer}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    prompts, (identity,) = load("piqa")
    assert ((prompts, (identity,)), identity.revision) == (before, older)


def test_an_empty_cache_offline_is_one_sentence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_HUB_OFFLINE=1 is the user's word: without a cache there are no rows, and the hub is not asked."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    sentence, _ = refusal("arc_easy", "piqa")
    assert sentence == "HF_HUB_OFFLINE is set, and the local cache holds no dataset allenai/ai2_arc (ARC-Easy)."
    assert hub.asked == []


def test_a_folder_of_the_repositorys_name_does_not_pass_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The library would read such a folder of the present directory in place of the hub's dataset."""
    tmp_path.joinpath("baber", "piqa").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as raised:
        hub_room.hub_rows("piqa", "0" * 40)
    assert str(raised.value) == (
        "Dataset piqa: the folder baber/piqa here would be read in place of the hub's dataset of that name; "
        "start in another folder, or say --dataset-dir . to use it."
    )
