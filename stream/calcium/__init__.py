"""Calcium at tracks: traces and events."""
