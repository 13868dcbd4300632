"""`python -m dashboard`: the dashboard alone, as runs open it."""

import argparse
from pathlib import Path

from dashboard.priority import step_back


def main() -> int:
    """Open the dashboard; gives its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dashboard", description=__doc__)
    parser.add_argument("--connect", help="address of the run; left out: any run on this computer")
    parser.add_argument("--keys", type=Path, help="folder with the keys for a run on another computer")
    given = parser.parse_args()
    step_back()  # before Qt and all else is loaded, which takes a second of a core
    from dashboard.app import open_dashboard

    return open_dashboard(given.connect, given.keys)


if __name__ == "__main__":
    raise SystemExit(main())
