"""Measures: every figure against a rival in the same run. `scripts/bench` runs them and prints one table."""
