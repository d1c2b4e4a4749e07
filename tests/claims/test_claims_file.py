"""The file of claims: the one that ships, and mistakes in others."""

import re
from pathlib import Path

import pytest

from aether_load.claims.claim import PUBLISHED, read_claims
from aether_load.errors import UsageError
from aether_load.scenario.command_line.secrets import toml_value
from aether_load.scenario.load import load_scenario, shipped_scenarios
from processes import REPOSITORY

GOOD = """\
[[runs]]
scenario = "claims"

[[claims]]
id = "one"
claim = "p50"
source = "a page"
published = "100 ms"
"""


def test_the_shipped_file_is_explained() -> None:
    """Each claim has a place in docs/claims.md, and no other is named there; what says nothing says why."""
    file = read_claims()
    (table,) = re.findall(
        r"^\| claim \| published \| what decides it \|\n(.*?)\n\n",
        (REPOSITORY / "docs" / "claims.md").read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    named = {id_ for line in table.splitlines()[1:] for id_ in re.findall(r"`([^`]+)`", line.split("|")[1])}
    assert named == {claim.id for claim in file.claims}


def test_the_settings_of_the_shipped_file_fit_their_scenarios() -> None:
    """Each assignment for a simulated runtime, and for a checkout, is one that its scenario takes."""
    for run in read_claims().runs:
        for settings in (run.simulated, run.checkout, (*run.checkout, *run.simulated)):
            pairs = (text.partition("=") for text in settings)
            load_scenario(shipped_scenarios()[run.scenario], {key: toml_value(value) for key, _, value in pairs})


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("", "claim 'one': quantity: say what decides it, or with undecidable why nothing does."),
        ("at_least = 1", "claim 'one': at_least: without a quantity nothing is measured; say quantity too."),
        ('quantity = "hit_rate"\nat_least = 1', "claim 'one': of: say which phase is measured, as SCENARIO/PHASE."),
        (
            'quantity = "latency_p50_ms"\nof = "claims/warm"',
            "claim 'one': at_least, at_most, about: give exactly one of them, the published number.",
        ),
        (
            'quantity = "speedup"\nof = "claims/warm"\nat_least = 2',
            "claim 'one': against: speedup needs the phase that it is compared with.",
        ),
        (
            'quantity = "latency_p50_ms"\nof = "claims/wram"\nat_most = 2',
            "claim 'one': of = 'claims/wram': scenario claims has no phase 'wram'; did you mean 'warm'?",
        ),
        (
            'quantity = "capacity_rps"\nof = "claims/warm"\nat_least = 2',
            "claim 'one': of = 'claims/warm': scenario claims has no search 'warm'; there are none.",
        ),
        (
            'quantity = "latency_p50_ms"\nof = "claim/warm"\nat_most = 2',
            "claim 'one': of = 'claim/warm': runs has no scenario 'claim'; did you mean 'claims'?",
        ),
        ('quantity = "latency_p50"', "claims.0.quantity = 'latency_p50': did you mean 'latency_p50_ms'?"),
        ("tolerence = 1", "unknown key claims.0.tolerence (= 1); did you mean 'tolerance'?"),
        ("tolerance = 1.0", "claims.0.tolerance = 1.0: expected a number < 1.0."),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(tmp_path: Path, more: str, sentence: str) -> None:
    """File, claim, key, and what to do."""
    path = tmp_path / "mine.toml"
    path.write_text(f"{GOOD}{more}\n")
    with pytest.raises(UsageError) as refused:
        read_claims(path)
    assert str(refused.value) == f"Claims {path}: {sentence}"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(UsageError, match=r"Claims .*none\.toml cannot be read: No such file or directory\."):
        read_claims(tmp_path / "none.toml")


def test_the_shipped_file_is_beside_the_code() -> None:
    """It is part of the package, and so of the wheel."""
    assert PUBLISHED.parent.name == "claims"
    assert PUBLISHED.is_file()
