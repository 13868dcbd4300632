"""The commands of `piezo1`; each imports what it needs when it runs."""
