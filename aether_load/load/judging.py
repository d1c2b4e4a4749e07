"""Has a phase judged by the analysis, in a child process: its weight stays out of this one."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
from gevent import subprocess as gsubprocess

from aether_load.rundata.folder import RunFolder
from aether_load.schedule.probe import Judgement

LIMIT_S = 120


def judge(folder: RunFolder, phase: str) -> Judgement:
    """Return the judgement on a phase whose samples are written; one that could not be made is undecided."""
    child = gsubprocess.Popen(
        [sys.executable, "-m", "aether_load.observer.judge", str(folder.path), phase],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # The parent decides when the child ends: a Ctrl-C at the terminal reaches the parent alone.
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        said, complaints = child.communicate(timeout=LIMIT_S)
        return msgspec.json.decode(said, type=Judgement)
    except (gsubprocess.TimeoutExpired, msgspec.MsgspecError) as error:
        last_words = "" if isinstance(error, gsubprocess.TimeoutExpired) else complaints.decode(errors="replace")
        why = last_words.strip().splitlines()[-1:] or [str(error)]
        return Judgement(holds=None, against=(f"the phase could not be judged: {why[0]}",))
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
