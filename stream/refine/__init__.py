"""Refinement of a finished run with laptrack: links again, closes gaps, finds splits and merges."""
