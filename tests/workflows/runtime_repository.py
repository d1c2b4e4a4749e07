"""A git repository laid out like the runtime's: a Cargo workspace whose runtime is whatever a test wants it to be."""

from __future__ import annotations

import subprocess
from pathlib import Path

WORKSPACE = '[workspace]\nresolver = "2"\nmembers = ["aether-runtime"]\n'
PACKAGE = '[package]\nname = "aether-runtime"\nversion = "0.1.0"\nedition = "2021"\n'
# Written with no crate, so that cargo needs no registry.
MAIN = """\
use std::os::unix::process::CommandExt;

fn main() {
    let error = std::process::Command::new("sh").arg("-c").arg(include_str!("start.sh")).exec();
    panic!("sh: {error}");
}
"""
SIMULATED = 'exec python -m aether_load simulate --port "$RUNTIME_PORT"\n'
DIES = "echo 'no provider is configured' >&2; exit 7\n"
NEVER_LISTENS = "echo 'loading'; exec sleep 60\n"
HEALTHY_STRANGER = """\
exec python -c '
import http.server, os
class Stranger(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["RUNTIME_PORT"])), Stranger).serve_forever()'
"""


class RuntimeRepository:
    """The repository; a commit's `start.sh` is what its runtime does, `options` what its image is started with."""

    def __init__(self, path: Path) -> None:
        """Begin it with one commit, whose runtime is the simulated one."""
        self.path = path
        (path / "aether-runtime" / "src").mkdir(parents=True)
        (path / "Cargo.toml").write_text(WORKSPACE)
        (path / ".gitignore").write_text("/target/\nCargo.lock\n")
        (path / "aether-runtime" / "Cargo.toml").write_text(PACKAGE)
        (path / "aether-runtime" / "src" / "main.rs").write_text(MAIN)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.first = self.commit(SIMULATED)

    def git(self, *arguments: str) -> str:
        author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        command = ["git", *author, "-C", str(self.path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, start: str, options: str = "") -> str:
        (self.path / "aether-runtime" / "src" / "start.sh").write_text(start)
        (self.path / "options").write_text(options)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Change the runtime")
        return self.git("rev-parse", "HEAD")

    def pull_request(self, options: str, since: str) -> str:
        """Return the commit that merges a branch, one change since a commit, as GitHub makes it for a pull request."""
        self.git("checkout", "--quiet", "-B", "change", since)
        self.commit(SIMULATED, options)
        self.git("checkout", "--quiet", "--detach", "main")
        self.git("merge", "--quiet", "--no-ff", "--message", "Merge", "change")
        return self.git("rev-parse", "HEAD")

    def check_out(self, folder: Path, ref: str, depth: str) -> None:
        """Do what actions/checkout does: an empty repository, and so many commits of one ref fetched into it."""
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        fetch = ["fetch", "--quiet", "--depth", depth, self.path.as_uri(), ref or "main"]
        for command in (fetch, ["checkout", "--quiet", "FETCH_HEAD"]):
            subprocess.run(["git", "-C", str(folder), *command], check=True)
