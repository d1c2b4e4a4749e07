"""A master, two workers and a runtime, each in a network of its own with a real address, and a bridge between them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from processes import EVAL, LIMIT_S, locust_environment

ADDRESSES = {"runtime": "10.79.9.1", "master": "10.79.9.2", "worker-1": "10.79.9.3", "worker-2": "10.79.9.4"}
NETWORKS = """\
set -e
mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns
ip link add bridge0 type bridge && ip link set bridge0 up
network() { # its name, its number, its address
  ip netns add "$1"
  ip link add "cable-$2" type veth peer name eth0 netns "$1"
  ip link set "cable-$2" master bridge0 up
  ip -n "$1" link set lo up
  ip -n "$1" address add "$3/24" dev eth0
  ip -n "$1" link set eth0 up
}
"""


def in_network(name: str, *words: Any) -> str:
    return " ".join(["ip", "netns", "exec", name, *map(_quoted, words)])


def _quoted(word: str | Path) -> str:
    return "'" + str(word) + "'"


def script(folder: Path) -> str:
    """The networks, a runtime and two workers in the background, and the master, whose exit code is the script's."""
    locust = [sys.executable, "-m", "locust", "-f", EVAL]
    runtime = [sys.executable, "-m", "aether_load", "simulate", "--bind", "0.0.0.0", "--latency", "constant:5ms"]
    master = [
        *locust, "--headless", "--master", "--expect-workers", "2", "--host", f"http://{ADDRESSES['runtime']}:3000",
        "--no-page", "--no-self-check", "--limit", "40", "--dataset", "piqa", "--set", "phases.0.passes=2", "--json",
    ]  # fmt: skip
    worker = [*locust, "--worker", "--master-host", ADDRESSES["master"]]
    return "\n".join(
        [
            NETWORKS,
            *(f"network {name} {number} {address}" for number, (name, address) in enumerate(ADDRESSES.items())),
            f"{in_network('runtime', *runtime)} >{folder}/runtime.txt 2>&1 &",
            *(f"{in_network(name, *worker)} >{folder}/{name}.txt 2>&1 &" for name in ("worker-1", "worker-2")),
            f"until grep -q 'listening on' {folder}/runtime.txt; do sleep 0.1; done",
            in_network("master", *master),
        ]
    )


@pytest.mark.slow
def test_a_fleet_of_four_networks_is_one_run(tmp_path: Path) -> None:
    """Nothing is on a loopback: the master is found by its address, and so is the runtime, by all of them."""
    isolated = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("network namespaces want Linux, root, ip (apt-get install iproute2) and unshare")
    if subprocess.run(
        [*isolated, "ip", "link", "add", "b0", "type", "bridge"], capture_output=True, check=False
    ).returncode:
        pytest.skip("this machine has no network namespaces with bridges")
    done = subprocess.run(
        [*isolated, "bash", "-c", script(tmp_path)],
        cwd=tmp_path, env=locust_environment(AETHER_LOAD_CLUSTER_TOKEN="a-token-of-the-tests"), capture_output=True,
        text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    said = {name: (tmp_path / f"{name}.txt").read_text() for name in ADDRESSES if name != "master"}
    assert done.returncode == 0, (done.stderr, said)
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    report = json.loads((folder / "report.json").read_bytes())
    (phase,) = report["phases"]
    assert report["target"]["url"] == f"http://{ADDRESSES['runtime']}:3000"
    assert (phase["all"]["ok_total"], phase["reconciliation"]["trust"]) == (80, "trusted")
    assert [worker["requests_total"] for worker in report["workers"]] == [40, 40]
