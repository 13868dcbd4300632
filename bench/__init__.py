"""Benchmarks: each measures one promise and prints the figures behind the documentation."""
