"""lm-eval's command run on rows of this machine, and the answer keys that fit how it asks them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aether_load.datasets.rows import SAMPLE_FOLDER
from processes import LIMIT_S, REPOSITORY, SHARED_DATASETS

SPLITS = {
    "Rowan/hellaswag": ({"default": ""}, "validation"),
    "baber/piqa": ({"default": ""}, "validation"),
    "allenai/winogrande": ({"winogrande_xl": "winogrande_xl/"}, "validation"),
    "allenai/ai2_arc": ({"ARC-Easy": "ARC-Easy/", "ARC-Challenge": "ARC-Challenge/"}, "test"),
}
FILES = {
    "hellaswag": "Rowan/hellaswag/validation.jsonl",
    "piqa": "baber/piqa/validation.jsonl",
    "winogrande": "allenai/winogrande/winogrande_xl/validation.jsonl",
    "arc_easy": "allenai/ai2_arc/ARC-Easy/test.jsonl",
    "arc_challenge": "allenai/ai2_arc/ARC-Challenge/test.jsonl",
    "arc_challenge_chat": "allenai/ai2_arc/ARC-Challenge/test.jsonl",
}


def lay_out_like_the_hub(folder: Path) -> Path:
    """Make the hub's repositories as folders: `datasets` takes a folder of that name before it asks the hub.

    lm-eval's tasks want a training split to be there, whether it is used or not.
    """
    source = SHARED_DATASETS if SHARED_DATASETS.is_dir() else SAMPLE_FOLDER
    for repo, (configs, split) in SPLITS.items():
        about = ["---", "configs:"]
        for config, below in configs.items():
            lines = (source / repo / below / f"{split}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
            (folder / repo / below).mkdir(parents=True, exist_ok=True)
            (folder / repo / below / f"{split}.jsonl").write_text("".join(lines[:200]), encoding="utf-8")
            (folder / repo / below / "train.jsonl").write_text("".join(lines[:4]), encoding="utf-8")
            about += [f"- config_name: {config}", "  data_files:"]
            for name in ("train", split):
                about += [f"  - split: {name}", f"    path: {below}{name}.jsonl"]
        (folder / repo / "README.md").write_text("\n".join([*about, "---", ""]), encoding="utf-8")
    return folder


def documents(rows: Path, task: str, limit: int) -> list[dict[str, Any]]:
    """Return a task's first documents as its dataset has them."""
    lines = (rows / FILES[task]).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:limit]]


def gold_letter(document: dict[str, Any]) -> str:
    """Return the letter of a document's right option, read here and not by the code that is tested."""
    if "answerKey" in document:
        return "ABCDE"[document["choices"]["label"].index(document["answerKey"])]
    if "sentence" in document:
        return "AB"[int(document["answer"]) - 1]
    return "ABCD"[int(document["label"])]


def write_key(path: Path, rows: Path, limits: dict[str, int]) -> int:
    """Write an answer key for the prompts that lm-eval makes of its tasks' first documents; return the rows' number."""
    entries = [_entry(document) for task, limit in limits.items() for document in documents(rows, task, limit)]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return len(entries)


def _entry(document: dict[str, Any]) -> dict[str, Any]:
    if "endings" in document:
        ending = document["endings"][int(document["label"])]
        return {"match": _tidy(document["ctx_a"]).strip(), "answer": _tidy(ending)}
    if "goal" in document:
        return {"match": document["goal"], "answer": document[f"sol{int(document['label']) + 1}"]}
    if "sentence" in document:
        return {"match": document["sentence"], "answer": document[f"option{document['answer']}"]}
    choices = document["choices"]
    return {"match": document["question"], "answer": choices["text"][choices["label"].index(document["answerKey"])]}


def _tidy(text: str) -> str:
    """Return a HellaSwag text without its marks, as lm-eval's task shows it."""
    return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def readme_command(tasks: str, url: str | None = None) -> list[str]:
    """Return the command of docs/lm-eval.md for these tasks as words for `python -m`, at another runtime if given."""
    page = (REPOSITORY / "docs" / "lm-eval.md").read_text(encoding="utf-8")
    commands = [line.split() for line in page.splitlines() if "--model aether_stub" in line]
    (words,) = [words for words in commands if tasks == " ".join(words).partition("--tasks ")[2]]
    words = words[2:] if words[0] == "python" else ["aether_load", *words[1:]]
    return [word.replace("http://localhost:3000", url) if url else word for word in words]


@dataclass
class Evaluated:
    """An lm-eval process that has ended, and the folder it ran in."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def run_folder(self) -> Path:
        (folder,) = (self.folder / "results" / "runs").iterdir()
        return folder

    @property
    def report(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads((self.run_folder / "report.json").read_bytes())
        return answer

    @property
    def phase(self) -> dict[str, Any]:
        (phase,) = self.report["phases"]
        answer: dict[str, Any] = phase
        return answer

    def metric(self, task: str, name: str = "acc") -> float:
        """Return a figure of the table that lm-eval prints."""
        table = [line.split("|") for line in self.out.splitlines() if line.startswith("|")]
        found, current = {}, ""
        for cells in table[2:]:
            current = cells[1].strip() or current
            found[current, cells[5].strip()] = cells[7].strip()
        return float(found[task, name])


class Evaluations:
    """Runs lm-eval in a folder of its own, whose sub-folder `here` has the rows."""

    def __init__(self, rows: Path, folder: Path) -> None:
        self.rows = rows
        self.folder = folder / "here"
        self.folder.mkdir()
        for repo in SPLITS:
            owner = self.folder / repo.split("/")[0]
            if not owner.exists():
                owner.symlink_to(rows / owner.name, target_is_directory=True)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(self.rows / ".cache"),
            "LMEVAL_LOG_LEVEL": "WARNING",
            # The package as it is installed, with what stands beside it: a path would hide a broken installation.
            "PYTHONPATH": "",
        }

    def start(self, *words: str, stderr: int = subprocess.PIPE, **more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            env={**self.environment, **more},
        )

    def run(self, *words: str, **more: Any) -> Evaluated:
        """Run `python -m WORDS` to its end."""
        process = self.start(*words, **more)
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
        return Evaluated(process.returncode, out.decode(), err.decode(), self.folder)


class CapturingServer(ThreadingHTTPServer):
    """The requests that a server has received."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _CapturingHandler)
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.read: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _CapturingHandler(BaseHTTPRequestHandler):
    server: CapturingServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is the base class's
        pass

    def do_GET(self) -> None:
        self.server.read.append(self.path)
        self._answer(200 if self.path.endswith("/health") else 404, b"OK")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"{}":
            self._answer(422, b"missing field `dag`")
            return
        self.server.bodies.append(body)
        self.server.paths.append(self.path)
        self.server.headers.append(dict(self.headers))
        result = {"node_id": "answer", "output": "A", "execution_time_ms": 1, "token_cost": 1}
        answer = {"execution_id": "0" * 32, "results": [result], "total_execution_time_ms": 1, "errors": []}
        self._answer(200, json.dumps(answer).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def capturing_runtime() -> Iterator[CapturingServer]:
    """A runtime that always answers A and keeps every request, to see what was sent."""
    with CapturingServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
