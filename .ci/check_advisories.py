"""Hold what is installed against known advisories; exit 1 where one concerns it, or where a reason is missing.

`.ci/advisories` lists those that do not concern us: an id a line, and the reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

IGNORED = Path(__file__).parent / "advisories"


def ignored() -> list[str]:
    """Return the ids that do not concern us; end where one has no reason."""
    ids = []
    for number, line in enumerate(IGNORED.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            id_, _, reason = line.strip().partition(" ")
            if not reason:
                sys.exit(f"{IGNORED}, line {number}: {id_} has no reason; write it behind the id.")
            ids.append(id_)
    return ids


def audit() -> list[dict[str, Any]] | None:
    """Return what pip-audit says of each package, None where it could not ask."""
    command = ["pip-audit", "--skip-editable", "--progress-spinner", "off", "--format", "json"]
    command += [word for id_ in ignored() for word in ("--ignore-vuln", id_)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except ValueError:
        return None
    return packages


def main() -> None:
    """Print what concerns us; a package that could not be looked up is said, and is no pass."""
    packages = audit()
    if packages is None:
        print("skipped: the advisories cannot be had here")
        return
    unknown = [package["name"] for package in packages if "could not be audited" in package.get("skip_reason", "")]
    found = [(package, advisory) for package in packages for advisory in package.get("vulns", ())]
    for package, advisory in found:
        fixed = ", ".join(advisory["fix_versions"]) or "no release"
        print(f"{package['name']} {package['version']}: {advisory['id']}, fixed in {fixed}")
    looked_up = len([package for package in packages if "vulns" in package])
    print(f"{looked_up} packages were looked up, {len(found)} advisories found")
    if unknown:
        print(f"not looked up, because this index has no advisories of them: {len(unknown)}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
