"""The files in deploy/: what they name is there, what they say is valid, and our own commands take their words."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from processes import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "load.yaml").read_text()))
OPERATOR = yaml.safe_load((DEPLOY / "kubernetes" / "locust-operator.yaml").read_text())
BY_KIND = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in MANIFESTS}
OLDEST, NEWEST = "1.29", "1.33"


def container(kind: str, name: str) -> dict[str, Any]:
    (found,) = BY_KIND[kind, name]["spec"]["template"]["spec"]["containers"]
    answer: dict[str, Any] = found
    return answer


def words_of(command: list[str]) -> list[str]:
    """A service's command with the defaults of its variables."""
    return [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word) for word in command]


def all_command_lines() -> Iterator[list[str]]:
    yield words_of(COMPOSE["services"]["master"]["command"])
    yield words_of(COMPOSE["services"]["worker"]["command"])
    yield container("Job", "aether-load-master")["args"]
    yield container("Deployment", "aether-load-worker")["args"]
    yield ["--master", *shlex.split(OPERATOR["spec"]["args"])]
    yield ["--worker", "--master-host", "master", *shlex.split(OPERATOR["spec"]["args"])]


PARSE = """
import json, sys
from locust.argument_parser import get_parser
from aether_load.load.options import add_options
from aether_load.scenario.load import load_scenario, find_scenario
for words in json.load(sys.stdin):
    parser = get_parser(default_config_files=[])
    add_options(parser, "eval")
    options, rest = parser.parse_known_args(words)
    assert rest == [] and (options.master or options.worker), words
    assert not options.master or load_scenario(find_scenario(options.scenario)).phases, words
"""


def test_every_option_is_one_of_ours_or_of_locusts() -> None:
    """And the scenario is one that is shipped. Locust wants to be imported first, so this is another process."""
    lines = json.dumps(list(all_command_lines()))
    done = subprocess.run([sys.executable, "-c", PARSE], input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("kind", list(BY_KIND), ids="/".join)
def test_each_manifest_keeps_to_kubernetes_own_schema(kind: tuple[str, str], version: str) -> None:
    """Strictly: a key that is not known is refused."""
    kubernetes_validate.validate(BY_KIND[kind], version, strict=True)


def test_the_manifests_fit_each_other() -> None:
    """The service selects the master, its name is what workers look for, and it waits for as many as there are."""
    service = BY_KIND["Service", "aether-load-master"]["spec"]
    job = BY_KIND["Job", "aether-load-master"]["spec"]["template"]
    assert service["selector"].items() <= job["metadata"]["labels"].items()
    master = container("Job", "aether-load-master")
    assert [port["port"] for port in service["ports"]] == [port["containerPort"] for port in master["ports"]]
    worker = container("Deployment", "aether-load-worker")
    assert "--master-host=aether-load-master" in worker["args"]
    deployment = BY_KIND["Deployment", "aether-load-worker"]["spec"]
    assert f"--expect-workers={deployment['replicas']}" in master["args"]
    assert deployment["selector"]["matchLabels"] == deployment["template"]["metadata"]["labels"]
    assert master["env"] == worker["env"]
    (volume,) = job["spec"]["volumes"]
    assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in BY_KIND
    assert worker["resources"]["requests"] == worker["resources"]["limits"]


def test_the_operators_resource_has_only_keys_that_it_documents() -> None:
    spec = OPERATOR["spec"]
    assert (OPERATOR["apiVersion"], OPERATOR["kind"]) == ("locust.io/v1", "LocustTest")
    assert set(spec) <= {"image", "workers", "args", "env", "locustfile", "labels", "annotations", "master", "worker"}
    assert set(spec["worker"]) <= {"labels", "annotations", "resources"}
    assert f"--expect-workers {spec['workers']}" in spec["args"]


def test_what_the_compose_file_names_is_there() -> None:
    """Files that are mounted, services that others wait for or scrape, and the image's entry point."""
    services = COMPOSE["services"]
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    assert [path for path in mounted if not (DEPLOY / path).exists()] == []
    assert {name for service in services.values() for name in service.get("depends_on", [])} <= set(services)
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in scraped for config in job["static_configs"] for target in config["targets"]]
    assert targets == ["master:9646", "runtime:3000"]
    assert "--prometheus-port=9646" in services["master"]["command"]
    assert "--web-allowed-host=master" in services["master"]["command"]
    assert f"--master-host={'master'}" in services["worker"]["command"]
    dashboards = yaml.safe_load((DEPLOY / "grafana" / "dashboards.yaml").read_text())["providers"]
    inside = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    assert {provider["options"]["path"] for provider in dashboards} <= set(inside)
    assert 'ENTRYPOINT ["locust"' in (REPOSITORY / "Dockerfile").read_text()


def test_no_port_is_open_to_other_machines_and_the_token_is_demanded() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "AETHER_LOAD_CLUSTER_TOKEN:?" in COMPOSE["services"]["master"]["environment"]["AETHER_LOAD_CLUSTER_TOKEN"]


def test_docker_takes_the_compose_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no docker compose here")
    command = [docker, "compose", "--file", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, env={"AETHER_LOAD_CLUSTER_TOKEN": "x"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
