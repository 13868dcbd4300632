"""How many threads an engine on the CPU may use."""

import os


def usable_threads() -> int:
    """Threads that this process may run at once."""
    if hasattr(os, "sched_getaffinity"):  # a container or a scheduler may have given us fewer
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
