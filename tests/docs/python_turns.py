"""Carries out blocks of Python one after the other, as one long session: names stay, `await` may stand outside.

Each line of standard input names a script, the file for its output and one with the shell's variables. How a script
ended is said on the descriptor that the command line names.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import os
import sys
import traceback
from pathlib import Path
from typing import Any

RUNNER = asyncio.Runner()
NAMES: dict[str, Any] = {"__name__": "__main__"}


def turn(script: str, out: str, variables: str) -> int:
    """0, or 1 with the traceback at the end of the output."""
    with contextlib.suppress(FileNotFoundError):
        pairs = (entry.split("=", 1) for entry in Path(variables).read_text().split("\0") if "=" in entry)
        os.environ.update(dict(pairs))
    with Path(out).open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        try:
            code = compile(Path(script).read_text(), script, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, NAMES)  # noqa: S307  # the pages' own blocks
            if inspect.iscoroutine(result):
                RUNNER.run(result)
        except BaseException:  # noqa: BLE001  # whatever a block does is told to the page's test
            traceback.print_exc()
            return 1
    return 0


if __name__ == "__main__":
    for line in sys.stdin:
        status = turn(*line.rstrip("\n").split("\t"))
        os.write(int(sys.argv[1]), f"{status}\n".encode())
