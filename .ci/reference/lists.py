"""The pages of metrics, warnings and exit codes."""

from comments import field_comments
from markdown import code, table

from aether_load.errors import ExitCode
from aether_load.scenario.metrics import ALIASES, METRICS
from aether_load.scenario.warning_codes import MEANINGS

_OF = {
    "row": ("Requests of a phase", "All requests of a phase, or those of one dataset."),
    "phase": ("A phase", "A whole phase."),
    "search": ("A search", "A search for the largest load."),
    "window": ("A window of the gate", "Only in `aether-load gate --metric`."),
}


def metrics_page() -> str:
    """Return the page of metrics."""
    text = (
        "# Metrics\n\n"
        "The names that thresholds, the SLO of a search and the gate take. A name is the way to the number in the "
        "[report](report.md). A distribution needs an aggregation, as in `response_latency_ms:p(95)`. How they are "
        "decided: [Thresholds](../thresholds.md).\n\n"
    )
    text += table(("alias", "metric"), ((code(alias), code(name)) for alias, name in ALIASES.items()))
    for of, (title, sentence) in _OF.items():
        rows = [
            (
                code(metric.name),
                metric.unit,
                metric.form,
                metric.better or "",
                "yes" if metric.in_search else "",
                "yes" if metric.in_gate else "",
            )
            for metric in METRICS.values()
            if metric.of == of
        ]
        text += f"\n## {title}\n\n{sentence}\n\n"
        text += table(("metric", "unit", "form", "better", "in a search", "in the gate"), rows)
    return text


def warnings_page() -> str:
    """Return the page of warnings."""
    rows = [(code(name), one.when, one.remedy) for name, one in MEANINGS.items()]
    return (
        "# Warnings\n\n"
        "What threatens the meaning of a run's figures. A warning alone changes no exit code; name its code in "
        "`fail_on_warning` or `--fail-on-warning` to make the run invalid (exit code 5). The formulas and limits: "
        "[Correlation](../correlation.md).\n\n" + table(("code", "when it is given", "what to do"), rows)
    )


def exit_codes_page() -> str:
    """Return the page of exit codes."""
    comments = field_comments(ExitCode)
    rows = [(code(member.value), comments[member.name]) for member in _in_order()]
    return (
        "# Exit codes\n\n"
        "Where several apply, the first of this table is given. They are the same for `aether-load` and for `locust` "
        "with one of our locustfiles.\n\n" + table(("code", "meaning"), rows)
    )


def _in_order() -> list[ExitCode]:
    order = ("USAGE", "TARGET", "FAILED", "THRESHOLD", "INVALID", "INTERRUPTED", "PASSED")
    assert set(order) == set(ExitCode.__members__)
    return [ExitCode[name] for name in order]
