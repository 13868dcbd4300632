"""Which code this is."""

import subprocess
from pathlib import Path


def code_commit() -> str | None:
    """Git commit of this code, with -dirty where it was changed; None outside a checkout."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        # A thread may wait at this process' standard input; on Windows a child that shares it would wait too.
        described = subprocess.run(
            command,
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        return described.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
