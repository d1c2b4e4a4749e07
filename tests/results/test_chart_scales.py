"""Scales of charts: a logarithm where values span much, on whose lower edge 0 lies."""

from typing import Any

import pytest

from aether_load.outputs.charts.chart import scale_of


@pytest.mark.parametrize(
    ("values", "zero", "scale"),
    [
        ([0, 5, 200], False, {"type": "log", "nice": True, "domainMin": 5, "clamp": True}),
        ([5, 200], True, {"type": "log", "nice": True, "domainMin": 5, "clamp": True}),
        ([0, 50, 60], False, {"zero": False}),
        ([50, 60], True, {"zero": True}),
        ([0, 0], True, {"zero": True}),
        ([], False, {"zero": False}),
    ],
)
def test_a_wide_span_is_logarithmic(values: list[float], zero: bool, scale: dict[str, Any]) -> None:
    assert scale_of(values, zero=zero) == scale
