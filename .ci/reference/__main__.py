"""Write docs/reference/ from the code and the notebooks from their scripts, or check that they are up to date.

python .ci/reference            writes them
python .ci/reference --check    exits with 1 and names those that differ
"""

import sys
from pathlib import Path

from columns import columns_page
from data_frames import frames_page
from keys import report_page, scenario_page
from lists import exit_codes_page, metrics_page, warnings_page
from notebook import notebook_of
from options import options_page

ROOT = Path(__file__).parents[2]
PAGES = {
    "options.md": options_page,
    "scenario.md": scenario_page,
    "report.md": report_page,
    "columns.md": columns_page,
    "frames.md": frames_page,
    "metrics.md": metrics_page,
    "warnings.md": warnings_page,
    "exit-codes.md": exit_codes_page,
}
MARK = "<!-- Generated from the code by `python .ci/reference`. Change the code, and run it again. -->\n\n"


def pages() -> dict[str, str]:
    """Return each file's text by its path."""
    made = {f"docs/reference/{name}": MARK + make() for name, make in PAGES.items()}
    return made | {"examples/analysis.ipynb": notebook_of("analysis")}


def main() -> int:
    """Write or check the files; return the exit code."""
    texts = pages()
    if "--check" in sys.argv[1:]:
        stale = [name for name, text in texts.items() if _read(ROOT / name) != text]
        for name in stale:
            print(f"{name} is not what the code says: run python .ci/reference", file=sys.stderr)
        return 1 if stale else 0
    for name, text in texts.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text, encoding="utf-8")
    return 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
