"""Micro-Manager as a source of frames: devices, hook, pairing, and the ways to run its cameras."""
