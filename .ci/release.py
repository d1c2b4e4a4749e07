"""Say which version was built, and write the release's notes: `python .ci/release.py FOLDER [TAG]`.

FOLDER/dist has the sdist and the wheel; notes.md is written beside it from CHANGELOG.md. Exit 1, with one sentence,
where the files are not of the tag's version, or the changelog says nothing of it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[1] / "CHANGELOG.md"


def built_version(dist: Path) -> str:
    """Return the version that both files are of."""
    wheels = {path.name.split("-")[1] for path in dist.glob("aether_load-*.whl")}
    sdists = {path.name.removesuffix(".tar.gz").split("-")[1] for path in dist.glob("aether_load-*.tar.gz")}
    if len(wheels) != 1 or wheels != sdists:
        sys.exit(f"{dist} should hold one wheel and one sdist of one version; it holds {sorted(wheels | sdists)}.")
    return wheels.pop()


def notes(changelog: str, heading: str) -> str:
    """Return the section of a changelog under `## [heading]`; empty where there is none."""
    found = re.search(rf"^## \[{re.escape(heading)}\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.DOTALL | re.MULTILINE)
    return found[1].strip() if found else ""


def main() -> int:
    """Check the version, write the notes, print the version."""
    folder, tag = Path(sys.argv[1]), "".join(sys.argv[2:3])
    version = built_version(folder / "dist")
    if tag and tag != f"v{version}":
        sys.exit(f"The tag is {tag}, and what was built is of version {version}: tag a commit without changes on it.")
    text = notes(CHANGELOG.read_text(encoding="utf-8"), version if tag else "Unreleased")
    if not text:
        sys.exit(f"CHANGELOG.md has no section for {version if tag else 'Unreleased'}; write '## [{version}] - DATE'.")
    (folder / "notes.md").write_text(text + "\n", encoding="utf-8")
    print(version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
