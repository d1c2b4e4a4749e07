"""Measure the figures that the runtime's project publishes, and hold each against what was measured."""
