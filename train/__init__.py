"""Offline work: simulation, ground truth and evaluation."""
