"""Check what the main job wrote: files, schema, and that every node is accounted for."""

import json
import re
import sys
from pathlib import Path

import jsonschema

REPOSITORY = Path(__file__).parents[1]


def main() -> int:
    """Return 0 when a results folder holds one run that passed and reconciles."""
    results = Path(sys.argv[1])
    (nightly,) = results.glob("nightly_*.json")
    (run,) = (results / "runs").iterdir()
    report = json.loads(nightly.read_bytes())
    jsonschema.validate(report, json.loads((REPOSITORY / "docs" / "nightly.schema.json").read_bytes()))
    expected = {
        "run.json",
        "records.bin",
        "samples.arrow",
        "scrapes.jsonl",
        "sender.jsonl",
        "server.jsonl",
        "report.json",
        "summary.csv",
        "series.csv",
        "report.md",
        "junit.xml",
        "report.html",
    }
    found = {path.name for path in run.iterdir()}
    reconciliations = [phase["reconciliation"] for phase in report["phases"]]
    problems = [
        *(f"{name} is missing in {run}" for name in sorted(expected - found)),
        *(f"{name} should not be in {run}" for name in sorted(found - expected)),
        *(
            f"unexplained nodes: {reconciliation}"
            for reconciliation in reconciliations
            if reconciliation["unexplained_nodes_total"] != 0
        ),
    ]
    if report["verdict"]["status"] != "passed" or report["phases"][0]["all"]["ok_total"] != 400:
        problems.append(f"verdict: {report['verdict']}")
    expected = ("summary.csv", "results_smaller_is_better.json", "results_bigger_is_better.json")
    problems += [f"{name} is missing" for name in expected if not (results / name).is_file()]
    if '<div class="chart" data-chart=' not in (run / "report.html").read_text(encoding="utf-8"):
        problems.append("the page has no chart")
    problems += _not_as_printed((results / "printed").read_text(encoding="utf-8"))
    print("\n".join(problems) or f"main job: {nightly.name} keeps to its schema, 0 nodes unexplained")
    return 1 if problems else 0


def _not_as_printed(printed: str) -> list[str]:
    """Return a problem for each line of the README's output that the run did not print, figures aside."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```\n(aether-load: eval .*?)^```", readme, re.DOTALL | re.MULTILINE)
    lines = {_without_figures(line) for line in printed.splitlines()}
    return [f"the README shows, and the run did not print: {line}" for line in block.splitlines()
            if _without_figures(line) not in lines]  # fmt: skip


def _without_figures(line: str) -> str:
    """Return a line with `#` for each figure or interval, and single spaces."""
    return " ".join(re.sub(r"(>=)?\d[\d.]*( to \d[\d.]*)?", "#", line).split())


if __name__ == "__main__":
    sys.exit(main())
