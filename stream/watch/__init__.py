"""Watching a run: the analysis' desk and pictures, and the client that dashboards and scripts use."""
