"""A hub for datasets on a socket of this machine: as much of the HTTP API as loading a dataset asks for."""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from aether_load.datasets.dataset import HUB_DATASETS
from aether_load.datasets.rows import SAMPLE_FOLDER

HANG = 0
"""In place of a status: the request is taken and never answered."""

_REPO = r"(?P<repo>[^/]+/[^/]+)"
_INFO = re.compile(rf"/api/datasets/{_REPO}(?:/revision/(?P<revision>.+))?")
_TREE = re.compile(rf"/api/datasets/{_REPO}/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?")
_RESOLVE = re.compile(rf"/datasets/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


class Hub(ThreadingHTTPServer):
    """The hub's repositories, how it is to fail, and what it was asked.

    `repos` maps a repository to its files; `revisions` to its one commit. `failures` maps a pattern, searched in
    "METHOD /path", to the status that such a request is answered with, or to `HANG`.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[str, dict[str, bytes]] = {}
        self.revisions: dict[str, str] = {}
        self.failures: dict[str, int] = {}
        self.asked: list[str] = []
        self.let_go = threading.Event()

    def publish(self, repos: dict[str, dict[str, bytes]]) -> None:
        """Put up the files of `repos`, each as a commit whose hash depends on them."""
        for repo, files in repos.items():
            self.repos[repo] = files
            digest = hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False)
            self.revisions[repo] = digest.hexdigest()

    def failure(self, request: str) -> int | None:
        return next((status for pattern, status in self.failures.items() if re.search(pattern, request)), None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is the base class's
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        request = f"{self.command} {path}"
        self.server.asked.append(request)
        failure = self.server.failure(request)
        if failure == HANG:
            self.server.let_go.wait()
            self.close_connection = True
        elif failure is not None:
            self._send(failure, b"", {})
        elif match := _RESOLVE.fullmatch(path):
            self._file(**match.groupdict())
        elif match := _TREE.fullmatch(path):
            self._tree(**match.groupdict())
        elif match := _INFO.fullmatch(path):
            self._info(**match.groupdict())
        else:
            self._send(404, b"", {})

    def _known(self, repo: str, revision: str | None) -> bool:
        if repo not in self.server.repos:
            self._send(404, b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"})
            return False
        if revision not in {None, "main", self.server.revisions[repo]}:
            self._send(404, b'{"error":"Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
            return False
        return True

    def _info(self, repo: str, revision: str | None) -> None:
        if self._known(repo, revision):
            siblings = [{"rfilename": path} for path in self.server.repos[repo]]
            self._json(
                {
                    "_id": "0",
                    "id": repo,
                    "sha": self.server.revisions[repo],
                    "siblings": siblings,
                    "tags": [],
                    "private": False,
                    "downloads": 0,
                    "likes": 0,
                }
            )

    def _tree(self, repo: str, revision: str, path: str | None) -> None:
        if not self._known(repo, revision):
            return
        prefix = f"{path.rstrip('/')}/" if path else ""
        entries = [
            entry
            for entry in self._entries(repo)
            if entry["path"].startswith(prefix) and "/" not in entry["path"][len(prefix) :]
        ]
        if entries:
            self._json(entries)
        else:
            self._send(404, b'{"error":"not found"}', {"X-Error-Code": "EntryNotFound"})

    def _entries(self, repo: str) -> list[dict[str, Any]]:
        files = self.server.repos[repo]
        folders = {str(parent) for path in files for parent in Path(path).parents if str(parent) != "."}
        return [{"type": "directory", "oid": "0" * 40, "size": 0, "path": folder} for folder in sorted(folders)] + [
            {"type": "file", "oid": _etag(data), "size": len(data), "path": path} for path, data in files.items()
        ]

    def _file(self, repo: str, revision: str, path: str) -> None:
        if not self._known(repo, revision):
            return
        commit = {"X-Repo-Commit": self.server.revisions[repo]}
        data = self.server.repos[repo].get(path)
        if data is None:
            self._send(404, b"Entry not found", {"X-Error-Code": "EntryNotFound", **commit})
            return
        self._send(200, data, {"ETag": f'"{_etag(data)}"', **commit})

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _etag(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Run an empty hub on a free port, and let go of every request that hangs at the end."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        hub.let_go.set()
        hub.shutdown()
        thread.join()
        hub.server_close()


def sample_rows(name: str) -> list[dict[str, Any]]:
    """Return the bundled rows of one of `HUB_DATASETS`, as they stand in the file."""
    hub = HUB_DATASETS[name]
    file = SAMPLE_FOLDER.joinpath(*(part for part in (hub.repo, hub.config, f"{hub.split}.jsonl") if part))
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def parquet(rows: list[dict[str, Any]]) -> bytes:
    """Return `rows` as the bytes of a Parquet file."""
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def sample_repos() -> dict[str, dict[str, bytes]]:
    """Return the bundled rows in the layouts that the hub's repositories have.

    A repository with configs keeps a folder for each and names them in its README; one without keeps its shards
    in `data/`, with a README that names them or without. Beside the split that is loaded there is always another.
    """
    rows = {name: sample_rows(name) for name in HUB_DATASETS}
    return {
        "Rowan/hellaswag": {
            "README.md": _readme({"default": ("data", ("train", "validation"))}),
            "data/train-00000-of-00001.parquet": parquet(rows["hellaswag"][:3]),
            "data/validation-00000-of-00001.parquet": parquet(rows["hellaswag"]),
        },
        "baber/piqa": {
            "data/train-00000-of-00001.parquet": parquet(rows["piqa"][:3]),
            "data/validation-00000-of-00002.parquet": parquet(rows["piqa"][:50]),
            "data/validation-00001-of-00002.parquet": parquet(rows["piqa"][50:]),
        },
        "allenai/winogrande": {
            "README.md": _readme({"winogrande_xl": ("winogrande_xl", ("train", "validation"))}),
            "winogrande_xl/train-00000-of-00001.parquet": parquet(rows["winogrande"][:3]),
            "winogrande_xl/validation-00000-of-00001.parquet": parquet(rows["winogrande"]),
        },
        "allenai/ai2_arc": {
            "README.md": _readme({config: (config, ("test", "train")) for config in ("ARC-Challenge", "ARC-Easy")}),
            "ARC-Challenge/test-00000-of-00001.parquet": parquet(rows["arc_challenge"]),
            "ARC-Challenge/train-00000-of-00001.parquet": parquet(rows["arc_challenge"][:3]),
            "ARC-Easy/test-00000-of-00001.parquet": parquet(rows["arc_easy"]),
            "ARC-Easy/train-00000-of-00001.parquet": parquet(rows["arc_easy"][:3]),
        },
    }


def _readme(configs: dict[str, tuple[str, tuple[str, ...]]]) -> bytes:
    lines = ["---", "configs:"]
    for config, (folder, splits) in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {folder}/{split}-*"]
    return "\n".join([*lines, "---", ""]).encode()
