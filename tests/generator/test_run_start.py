"""A start of the load makes a run with its senders; who says how many users of it send."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aether_load.load import run_start
from aether_load.load.run_start import follows_user_count, new_run
from aether_load.scenario.load import from_plain

PLAIN = {"name": "one", "users": 3, "duration": "1s"}
STEPS = {"name": "up", "steps": [1, 4], "duration": "1s"}


@pytest.mark.parametrize(
    ("phases", "headless", "shape", "follows"),
    [
        ([PLAIN], False, None, True),
        ([PLAIN], True, None, False),
        ([STEPS], False, None, False),
        ([PLAIN, PLAIN | {"name": "two"}], False, None, False),
        ([PLAIN], True, object, True),
    ],
)
def test_the_page_and_a_shape_decide_over_one_plain_phase(
    phases: list[dict[str, Any]], headless: bool, shape: type | None, follows: bool
) -> None:
    """A scenario with loads of its own keeps them, also on the page."""
    environment = SimpleNamespace(shape_class=shape, parsed_options=SimpleNamespace(headless=headless))
    assert follows_user_count(environment, from_plain({"name": "s", "phases": phases})) is follows


class Started:
    """A new run of a process, or of a master, and what was made for it."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, master: bool = False, headless: bool = True, gate: Path | None = None
    ) -> None:
        self.made: list[tuple[Any, ...]] = []
        for name in ("LocalSenders", "PhaseDriver", "RunController"):
            monkeypatch.setattr(run_start, name, self._maker(name))
        monkeypatch.setattr(run_start, "LocustFeed", lambda _: "feed")
        monkeypatch.setattr(run_start, "user_class_records", lambda _: ["a class"])
        self.run = SimpleNamespace(
            manifest=SimpleNamespace(user_classes=[]), folder=SimpleNamespace(path=Path("folder"))
        )
        load = SimpleNamespace(scenario=from_plain({"name": "s", "phases": [PLAIN]}))
        session: Any = SimpleNamespace(load=load, start_run=lambda feed: (self.run, f"context of {feed}"))
        self.environment = SimpleNamespace(
            runner="runner", shape_class=None,
            parsed_options=SimpleNamespace(headless=headless, gate=None if gate is None else str(gate)),
        )  # fmt: skip
        workers: Any = SimpleNamespace(start_run=lambda *given: (self.run, ("senders of workers", *given)))
        self.shown: list[Any] = []
        page: Any = SimpleNamespace(follow=lambda *given: self.shown.append(given))
        line: Any = "line"
        self.controller: Any = new_run(self.environment, session, workers if master else None, page, line)
        self.session = session

    def _maker(self, name: str) -> Any:
        def make(*given: Any) -> tuple[Any, ...]:
            self.made.append((name, *given))
            return self.made[-1]

        return make


def test_a_run_of_one_process_sends_by_its_own_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows the run, and its manifest names the classes of users."""
    started = Started(monkeypatch)
    run = started.run
    senders = ("LocalSenders", run, "context of feed", "runner")
    driver = started.made[1]
    assert started.made[0] == senders
    assert driver[:3] == ("PhaseDriver", run, senders)
    assert started.controller == ("RunController", started.environment, run, driver, "line", "feed")
    assert started.shown == [(run.folder, senders)]
    assert run.manifest.user_classes == ["a class"]
    assert started.environment.aether == "context of feed"


def test_a_masters_run_sends_by_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    started = Started(monkeypatch, master=True)
    assert [made[0] for made in started.made] == ["PhaseDriver", "RunController"]
    assert started.made[0][2] == ("senders of workers", started.session, "feed")


@pytest.mark.parametrize("headless", [True, False])
def test_the_session_knows_who_decides_before_the_run_is_made(headless: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run and the context of its users take it from there."""
    assert Started(monkeypatch, headless=headless).session.follow_user_count is not headless


def test_a_gate_finds_the_folder_of_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of a run that ends by force."""
    Started(monkeypatch, gate=tmp_path / "job")
    assert (tmp_path / "job.run").read_text() == "folder"
