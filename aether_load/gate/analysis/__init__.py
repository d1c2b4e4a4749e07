"""Compare two builds: figures by window, pairs of windows, ratios with intervals, the verdict and its warnings."""
