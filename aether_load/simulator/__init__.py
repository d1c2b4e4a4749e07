"""Simulate an Aether runtime: the wire contract written again, without code of the harness."""
