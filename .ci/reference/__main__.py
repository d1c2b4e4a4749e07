"""Write docs/reference/ from the code, or check that it is up to date.

python .ci/reference            writes the pages
python .ci/reference --check    exits with 1 and names the pages that differ
"""

import sys
from pathlib import Path

from columns import columns_page
from keys import report_page, scenario_page
from lists import exit_codes_page, metrics_page, warnings_page
from options import options_page

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGES = {
    "options.md": options_page,
    "scenario.md": scenario_page,
    "report.md": report_page,
    "columns.md": columns_page,
    "metrics.md": metrics_page,
    "warnings.md": warnings_page,
    "exit-codes.md": exit_codes_page,
}
MARK = "<!-- Generated from the code by `python .ci/reference`. Change the code, and run it again. -->\n\n"


def pages() -> dict[str, str]:
    """Return each page's text by its name."""
    return {name: MARK + make() for name, make in PAGES.items()}


def main() -> int:
    """Write or check the pages; return the exit code."""
    texts = pages()
    if "--check" in sys.argv[1:]:
        stale = [name for name, text in texts.items() if _read(REFERENCE / name) != text]
        for name in stale:
            print(f"docs/reference/{name} is not what the code says: run python .ci/reference", file=sys.stderr)
        return 1 if stale else 0
    REFERENCE.mkdir(exist_ok=True)
    for name, text in texts.items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
