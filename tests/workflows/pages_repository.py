"""The repository whose branch gh-pages the charts and the trend are published on."""

from __future__ import annotations

import subprocess
from pathlib import Path

BRANCH = "gh-pages"


class PagesRepository:
    """A bare repository, with or without the branch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._git("init", "--quiet", "--bare", "--initial-branch", "main", str(path))

    def begin(self) -> None:
        """Make the branch, empty, as docs/ci.md says."""
        author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        tree = self._git("-C", str(self.path), "mktree")
        commit = self._git("-C", str(self.path), *author, "commit-tree", tree, "-m", "Begin the charts")
        self._git("-C", str(self.path), "update-ref", f"refs/heads/{BRANCH}", commit)

    def read(self, name: str) -> str:
        """Return a file of the branch."""
        return self._git("-C", str(self.path), "show", f"{BRANCH}:{name}")

    def names(self) -> set[str]:
        """Return the files of the branch."""
        return set(self._git("-C", str(self.path), "ls-tree", "-r", "--name-only", BRANCH).splitlines())

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, input="")
        return done.stdout.strip()
