"""Start a gate's servers by their commands, wait until they answer, and end them in every case."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import urllib3

from aether_load.errors import TargetError, UsageError
from aether_load.gate.signals import undisturbed
from aether_load.protocol import HEALTH_PATH
from aether_load.redaction import REDACTOR, foreign_text

_END_LIMIT_S = 10.0
_LOOK_EVERY_S = 0.1
_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 1 << 20


def split_cores() -> tuple[int | None, frozenset[int] | None]:
    """Return the core for both servers in turn and those for the sender; None where there is nothing to choose.

    The two builds share a core because no two cores of a machine are equally fast, and the sender has others because
    it would take of the very time that is compared.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = os.sched_getaffinity(0)
    if len(usable) < 2:
        return None, None
    core = max(usable)
    return core, frozenset(usable - {core})


def before_exec(cores: frozenset[int] | None) -> Callable[[], None]:
    """Return what a child does before its program: stay on `cores`, and end with this process on Linux.

    A process that is killed by force cannot end its children; the kernel then sends them SIGTERM.
    """
    libc = None
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 -- nothing else needs it

        libc = ctypes.CDLL(None)

    def prepare() -> None:
        if cores is not None:
            os.sched_setaffinity(0, cores)
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare


@contextmanager
def started(side: str, command: str, core: int | None, limit_s: float, log: Path) -> Iterator[str]:
    """Start a server and yield its base URL once it is healthy; end it afterwards.

    `{port}` in the command is filled in with a free port, `{core}` with the core that it runs on. Raises UsageError
    for a command that cannot be one, and TargetError for a server that does not come up within `limit_s`.
    """
    port = _free_port()
    words = _words(side, command, port, core)
    with log.open("wb") as out:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # A Ctrl-C at the terminal is for the gate; its servers are needed until the last answer is in.
                start_new_session=True,
                preexec_fn=before_exec(None if core is None else frozenset({core})),  # noqa: PLW1509 -- no threads here
            )
        except OSError as error:
            raise UsageError(f"--{side}-command: {words[0]} cannot be started: {error.strerror}.") from None
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(side, process, url, limit_s, log)
        yield url
    finally:
        with undisturbed():
            _end(process)


def _words(side: str, command: str, port: int, core: int | None) -> list[str]:
    if "{port}" not in command:
        raise UsageError(
            f"--{side}-command {command!r}: {{port}} does not stand in it, so that nobody knows where the server will "
            "listen; where its port is fixed, give it a container, as in: docker run -p {port}:3000 IMAGE."
        )
    filled = command.replace("{port}", str(port)).replace("{core}", str(core or 0))
    try:
        return shlex.split(filled)
    except ValueError as error:
        raise UsageError(f"--{side}-command {command!r}: {error}.") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_healthy(side: str, process: subprocess.Popen[bytes], url: str, limit_s: float, log: Path) -> None:
    deadline = time.monotonic() + limit_s
    last = "nothing answered"
    with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=1.0)) as pool:
        while time.monotonic() < deadline:
            if (code := process.poll()) is not None:
                said = f": {line}" if (line := _last_line(log)) else ""
                raise TargetError(f"The {side} did not start: its command ended with exit code {code}{said}.")
            try:
                status = pool.request("GET", url + HEALTH_PATH, redirect=False).status
                if status == 200:
                    return
                last = f"GET {HEALTH_PATH} answered {status}"
            except urllib3.exceptions.HTTPError:
                last = "nothing answered"
            time.sleep(_LOOK_EVERY_S)
    words = f"; it said last: {line}" if (line := _last_line(log)) else ""
    raise TargetError(
        f"The {side} was not healthy at {url} within {limit_s:g} s ({last}){words}. "
        "Give it longer with --start-limit, or look at its command."
    )


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read(_TAIL_BYTES).decode(errors="replace").strip().splitlines()
    return foreign_text(lines[-1].strip().rstrip("."), 300) if lines else ""


def copy_log(log: Path, path: Path) -> None:
    """Copy what a server said, without secrets: it may write down the headers that it was sent."""
    with log.open("rb") as said, path.open("w", encoding="utf-8") as kept:
        while line := said.readline(_TAIL_BYTES):
            kept.write(REDACTOR.redact_foreign(line.decode(errors="replace").rstrip("\n")) + "\n")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and whatever it started: kindly, then by force."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_LIMIT_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
