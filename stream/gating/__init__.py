"""Open or closed: idealisation of a tethered indicator."""
