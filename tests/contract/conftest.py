"""The contract suite runs against a simulator of each generation, or against the runtime at AETHER_URL."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal

import pytest

from contract.contract_runtime import Runtime

URL = os.environ.get("AETHER_URL")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pair no simulator with the tests of the other generation; a real runtime's are skipped with that reason."""
    other = {"v1": "v2", "v2": "v1"}
    items[:] = [
        item
        for item in items
        if not (
            isinstance(item, pytest.Function)
            and other.get(str(getattr(getattr(item, "callspec", None), "params", {}).get("runtime")), "")
            in item.fixturenames
        )
    ]


@pytest.fixture(scope="session", params=["AETHER_URL"] if URL else ["v1", "v2"])
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """The runtime under test."""
    if URL:
        unknown = Runtime(URL, "v2", simulated=False)
        generation: Literal["v1", "v2"] = "v1" if unknown.call("GET", "/cache/stats").status == 404 else "v2"
        yield Runtime(URL, generation, simulated=False)
        return
    command = [sys.executable, "-m", "aether_load.simulator", "--port", "0", "--generation", request.param]
    with subprocess.Popen(
        [*command, "--exit-with-parent"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().decode().rsplit(" ", 1)[1].strip()
            yield Runtime(url, request.param, simulated=True)
        finally:
            process.terminate()
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.fixture
def v1(runtime: Runtime) -> Runtime:
    """A runtime of the first generation."""
    if runtime.generation != "v1":
        pytest.skip("of the first generation only")
    return runtime


@pytest.fixture
def v2(runtime: Runtime) -> Runtime:
    """A runtime of today's generation."""
    if runtime.generation != "v2":
        pytest.skip("of today's generation only")
    return runtime


@pytest.fixture
def mock(runtime: Runtime) -> Runtime:
    """A runtime that answers by its built-in mock."""
    output = runtime.run(runtime.llm("probe"))["results"][0]["output"]
    if output != "TODO" and not output.startswith("[Mock Response]"):
        pytest.skip("a runtime with a provider's key does not answer by its mock, nor in the mock's time")
    return runtime
