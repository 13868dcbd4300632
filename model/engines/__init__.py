"""Engines: everything that turns frames into localizations behind one contract."""
