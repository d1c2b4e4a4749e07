"""release.yml: what a tag publishes, what a pull request does not, and when neither goes on."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processes import REPOSITORY
from workflows.job import Ended, Machine, read, run_job

RELEASE = read("release.yml")
EXECUTED = {
    ("release.yml", "build"): {"Version and notes"},
    ("release.yml", "image"): {"Build the image and run the main job in it"},
    ("release.yml", "publish_image"): {"Push one image for both platforms"},
    ("release.yml", "github_release"): {"Release with the changelog's section"},
}
BUILD = "Build, check, install and run"
STAND_IN = """\
#!/usr/bin/env bash
# Writes down how it was called; an image is a file.
set -eu
echo "$(basename "$0") $*" >>"$STAND_INS/calls"
case "$1" in
  save) echo image ;;
  load) [ "$(cat)" = image ] ;;
  login) [ "$(cat)" = the-token ] ;;
esac
"""


@pytest.fixture
def github(tmp_path: Path) -> Path:
    """A machine on which docker and gh write down how they are called."""
    for name in ("docker", "gh"):
        path = tmp_path / "tools" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(STAND_IN)
        path.chmod(0o755)
    return tmp_path


def context(kind: str, name: str) -> dict[str, Any]:
    return {
        "github": {
            "repository": "Aether/Aether-Load", "token": "the-token", "actor": "ann",
            "ref_type": kind, "ref_name": name,
        },
        "vars": {"CONTAINER_REGISTRY": "registry.example"},
        "matrix": {"platform": "arm64"},
    }  # fmt: skip


TAG, BRANCH = context("tag", "v1.2.3"), context("branch", "main")


def machine(github: Path, job: str, *left_out: str) -> Machine:
    workspace = github / job

    def upload(inputs: dict[str, str]) -> None:
        (github / "artifacts").mkdir(exist_ok=True)
        (workspace / inputs["path"]).rename(github / "artifacts" / inputs["name"])

    def download(inputs: dict[str, str]) -> None:
        for path in (github / "artifacts" / inputs["name"]).iterdir():
            target = workspace / inputs["path"] / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)

    actions: dict[str, Callable[[dict[str, str]], Any]] = {
        "actions/checkout": lambda _inputs: (workspace / ".ci").symlink_to(REPOSITORY / ".ci"),
        "actions/setup-python": lambda _inputs: None,
        "actions/upload-artifact": upload,
        "actions/download-artifact": download,
        "actions/attest-build-provenance": lambda _inputs: None,
        "actions/attest-sbom": lambda _inputs: None,
        "pypa/gh-action-pypi-publish": lambda inputs: (github / "published").write_text(inputs["packages-dir"]),
    }
    environment = {"PATH": str(github / "tools"), "STAND_INS": str(github)}
    return Machine(workspace, github / f"temp-{job}", actions, environment, frozenset(left_out))


def build(github: Path, contexts: dict[str, Any], version: str) -> Ended:
    dist = github / "build" / "release" / "dist"
    dist.mkdir(parents=True)
    (dist / f"aether_load-{version}-py3-none-any.whl").touch()
    (dist / f"aether_load-{version}.tar.gz").touch()
    return run_job(RELEASE, "build", machine(github, "build", BUILD), contexts, {})


def needs(*ended: tuple[str, Ended]) -> dict[str, Any]:
    return {"needs": {name: {"result": job.conclusion, "outputs": job.outputs} for name, job in ended}}


def test_a_pull_request_is_built_and_not_published(github: Path) -> None:
    built = build(github, BRANCH, "1.2.4.dev3")
    assert (built.conclusion, built.outputs) == ("success", {"version": "1.2.4.dev3"}), built["Version and notes"].text
    assert (github / "artifacts" / "release" / "notes.md").read_text().startswith("### Added")
    held = {**BRANCH, **needs(("build", built))}
    image = run_job(RELEASE, "image", machine(github, "image"), held, {})
    assert image.conclusion == "success", image.steps
    assert (github / "calls").read_text().splitlines() == [
        "docker build --build-arg VERSION=1.2.4.dev3 --tag aether-load:arm64 .",
        "docker run --rm aether-load:arm64 --headless --limit 10",
        "docker save aether-load:arm64",
    ]
    held |= needs(("build", built), ("image", image), ("publish", built))
    for job in ("publish", "publish_image", "github_release"):
        assert run_job(RELEASE, job, machine(github, job), held, {}).conclusion == "skipped"


def test_a_tag_without_a_section_in_the_changelog_ends_there(github: Path) -> None:
    built = build(github, TAG, "1.2.3")
    assert built.conclusion == "failure"
    assert built["Version and notes"].text == ("CHANGELOG.md has no section for 1.2.3; write '## [1.2.3] - DATE'.\n")


def test_a_tag_of_another_version_ends_there(github: Path) -> None:
    """As where the tagged commit has changes on it, or where the tag is not the last one."""
    built = build(github, TAG, "1.2.2")
    assert built["Version and notes"].text == (
        "The tag is v1.2.3, and what was built is of version 1.2.2: tag a commit without changes on it.\n"
    )


def test_a_tag_is_published_everywhere(github: Path) -> None:
    """The files, the image for both platforms, and the release with its notes."""
    release = github / "artifacts" / "release" / "dist"
    release.mkdir(parents=True)
    (release / "aether_load-1.2.3.tar.gz").touch()
    for platform in ("amd64", "arm64"):
        folder = github / "artifacts" / f"image-{platform}"
        folder.mkdir()
        packed = subprocess.run(["gzip"], input=b"image\n", stdout=subprocess.PIPE, check=True).stdout
        (folder / f"{platform}.tar.gz").write_bytes(packed)
    done = {"result": "success", "outputs": {"version": "1.2.3"}}
    held = {**TAG, "needs": {"build": done, "image": done, "publish": done}}
    for job in ("publish", "publish_image", "github_release"):
        ended = run_job(RELEASE, job, machine(github, job), held, {})
        assert ended.conclusion == "success", [step.text for step in ended.steps]
    image = "registry.example/aether/aether-load:1.2.3"
    each = [["load", f"tag aether-load:{name} {image}-{name}", f"push {image}-{name}"] for name in ("amd64", "arm64")]
    latest = "registry.example/aether/aether-load:latest"
    assert (github / "published").read_text() == "release/dist"
    assert (github / "calls").read_text().splitlines() == [
        "docker login registry.example --username ann --password-stdin",
        *(f"docker {words}" for words in [*each[0], *each[1]]),
        f"docker buildx imagetools create --tag {image} --tag {latest} {image}-amd64 {image}-arm64",
        (
            "gh release create v1.2.3 --repo Aether/Aether-Load --verify-tag --title v1.2.3 "
            "--notes-file release/notes.md release/dist/aether_load-1.2.3.tar.gz release/sbom.cdx.json"
        ),
    ]


def test_where_there_is_no_registry_no_image_is_pushed(github: Path) -> None:
    done = {"result": "success", "outputs": {}}
    held = {**TAG, "vars": {}, "needs": {"build": done, "image": done, "publish": done}}
    assert run_job(RELEASE, "publish_image", machine(github, "publish_image"), held, {}).conclusion == "skipped"


def test_files_of_two_versions_are_no_release(tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "aether_load-1.0.0-py3-none-any.whl").touch()
    (dist / "aether_load-1.0.1.tar.gz").touch()
    command = [sys.executable, str(REPOSITORY / ".ci" / "release.py"), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (
        1, f"{dist} should hold one wheel and one sdist of one version; it holds ['1.0.0', '1.0.1'].\n",
    )  # fmt: skip
