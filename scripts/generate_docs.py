"""Writes the pages that are drawn from the code; `--check` only says whether they are current."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from jobgate.config import reference
from pages import command_line, metrics, python, routes, states

FOLDER = Path(__file__).parent.parent / "docs" / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "states.md": states.page,
    "job-states.svg": states.job_drawing,
    "attempt-states.svg": states.attempt_drawing,
    "configuration.md": reference,
    "routes.md": routes.page,
    "commands.md": command_line.page,
    "metrics.md": metrics.page,
    "python.md": python.page,
}


def main() -> int:
    """Writes or checks the pages; 1 when one is not current."""
    stale = 0
    for name, write in PAGES.items():
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.write_text(write())
        elif not path.exists() or path.read_text() != write():
            print(f"{name} is not current: run make docs")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
