"""An evaluation of a runtime behind a proxy that adds TLS and wants to know who asks."""

import json
from pathlib import Path

import pytest

from aether_load.errors import TargetError
from aether_load.evaluation.evaluation import Evaluation
from aether_load.evaluation.options import read_options
from aether_load.evaluation.questions import Question
from main_job.test_proxy import TOKEN, proxy  # noqa: F401 -- a fixture


def begin(url: str, folder: Path, **more: bool | str) -> Evaluation:
    return Evaluation(read_options({"aether_url": url, "results_dir": str(folder), **more}))


def test_a_secret_reaches_the_proxy_and_no_file(proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The header's variable is filled in for the target alone; unverified TLS is said in the run and in the results."""
    monkeypatch.setenv("TOKEN", TOKEN)
    folder = tmp_path / "results"
    evaluation = begin(proxy, folder, insecure=True, header="Authorization: Bearer ${TOKEN}")
    question = Question("piqa", 0, 0, "Why?", ("because", "so"), (0, 1))
    evaluation.choose([question], [{"q": 1}], lambda: None)
    info = evaluation.finish()["aether_load"]
    assert info["phases"]["loglikelihood"]["all"]["outcomes"] == {"ok": 1}
    assert (info["phases"]["loglikelihood"]["trust"], "tls_not_verified" in info["warnings"]) == ("trusted", True)
    (manifest,) = folder.glob("runs/*/run.json")
    assert json.loads(manifest.read_bytes())["scenario"]["target"]["headers"] == {"Authorization": "${TOKEN}"}
    assert all(TOKEN.encode() not in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_without_trust_there_is_no_evaluation(proxy: str, tmp_path: Path) -> None:  # noqa: F811
    """A certificate that nobody vouches for is one sentence."""
    with pytest.raises(TargetError, match="certificate"):
        begin(proxy, tmp_path)
