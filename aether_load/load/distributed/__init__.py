"""Spread a load over several processes: one master and its workers."""
