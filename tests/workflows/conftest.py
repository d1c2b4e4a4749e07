"""Fixtures for the workflows' tests."""

import socket
from pathlib import Path

import pytest

from workflows.pages_repository import PagesRepository
from workflows.runtime_repository import RuntimeRepository
from workflows.stand_ins import GitHub


def github_in(folder: Path) -> GitHub:
    return GitHub(folder, RuntimeRepository(folder / "aether-lang"), PagesRepository(folder / "pages.git"))


@pytest.fixture
def github(tmp_path: Path) -> GitHub:
    return github_in(tmp_path)


@pytest.fixture(scope="module")
def github_of_the_module(tmp_path_factory: pytest.TempPathFactory) -> GitHub:
    return github_in(tmp_path_factory.mktemp("github"))


@pytest.fixture(scope="module")
def free_port_of_the_module() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        answer: int = probe.getsockname()[1]
        return answer
