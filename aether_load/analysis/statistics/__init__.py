"""Compute percentiles with intervals, quantiles of histograms, and paired tests."""
