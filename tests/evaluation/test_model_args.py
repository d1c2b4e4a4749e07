"""Every argument of the model changes what is sent, how, or where it is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aether_load.datasets.prompt import Prompt
from aether_load.evaluation import session as room
from aether_load.evaluation.asking import Asking, Reply
from aether_load.evaluation.evaluation import Evaluation
from aether_load.evaluation.generation import GenerationPlan, read_generation
from aether_load.evaluation.options import StubOptions, read_options
from aether_load.evaluation.run import EvaluationRun
from aether_load.evaluation.session import DocumentRequest
from aether_load.observer.messages import MetricsTarget
from aether_load.observer.scraper import MetricsReader
from aether_load.protocol import Generation, Outcome
from aether_load.runtime_client import TargetFacts
from aether_load.scenario.duration import Seconds
from aether_load.tls import TlsSettings

VALUES = {
    "aether_url": ("http://a", "http://b"),
    "model_name": ("a", "b"),
    "num_concurrent": (1, 2),
    "temperature": (0.0, 1.0),
    "max_tokens": (1, 2),
    "max_gen_toks": (1, 2),
    "connect_timeout": (1, 2),
    "request_timeout": (1, 2),
    "max_retries": (0, 1),
    "header": ("X-A: b", "X-A: c"),
    "insecure": (False, True),
    "ca_file": ("a.pem", "b.pem"),
    "client_cert": ("a.pem", "b.pem"),
    "client_key": ("a.key", "b.key"),
    "server_metrics": (True, False),
    "results_dir": ("a", "b"),
}


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Evaluate a question and a text with these arguments, and return all that went out and how."""
    made: list[Any] = []

    class Target:
        def __init__(self, facts: TargetFacts, headers: dict[str, str], **limits: TlsSettings | Seconds) -> None:
            self.facts = facts
            made.append((facts, headers, limits))

        def metrics_target(self) -> MetricsTarget:
            made.append("metrics")
            return MetricsTarget(self.facts.url, {}, TlsSettings(), "a", 80)

    def ask(asking: Asking, bodies: list[bytes], _first: int, _on_reply: Callable[..., Any]) -> list[Reply]:
        made.append((bodies, asking._in_flight, asking._max_retries))
        return [Reply(Outcome.OK, "A")] * len(bodies)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(room, "probe", lambda url, *_headers, **_tls: TargetFacts(url, Generation.V2, False, None))
    monkeypatch.setattr(room, "Target", Target)
    monkeypatch.setattr(Asking, "ask", ask)
    monkeypatch.setattr(MetricsReader, "text", lambda _self, _target: (None, "none here"))
    monkeypatch.setattr(EvaluationRun, "read_sender", lambda _self: None)

    def evaluate(**arguments: float | str) -> tuple[list[Any], list[bytes], Path]:
        made.clear()
        more = {"client_cert": "c.pem"} if "client_key" in arguments else {}
        evaluation = Evaluation(read_options({"results_dir": "results", **more, **arguments}))
        prompts = [Prompt(f"set/{number}", "set", "Why?", ("so", "no")) for number in range(3)]
        options = evaluation.options
        plan = read_generation("set", {}, max_tokens=options.max_gen_toks, temperature=options.temperature)
        evaluation.generate([DocumentRequest(prompt, plan, {}) for prompt in prompts], lambda: None)
        bodies = [evaluation.session.body(prompts[0], GenerationPlan((), options.max_tokens, options.temperature, {}))]
        assert evaluation.session.run is not None
        return list(made), bodies, evaluation.session.run.folder.path.parent

    return evaluate


def test_every_argument_is_tried() -> None:
    """An argument that is added is added here."""
    assert set(VALUES) == {field.encode_name for field in msgspec.structs.fields(StubOptions)}


@pytest.mark.parametrize("key", VALUES)
def test_an_argument_changes_what_is_done(done: Callable[..., Any], key: str) -> None:
    """Two values of an argument lead to different requests, connections, numbers in flight or folders."""
    first, second = (done(**{key: value}) for value in VALUES[key])
    assert first != second
