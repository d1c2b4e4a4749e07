"""Describe the charts of a report as Vega-Lite specifications."""
