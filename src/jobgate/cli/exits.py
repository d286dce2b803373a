"""Exit statuses, so that a script knows whose doing an end was."""

from __future__ import annotations

from typing import Final

WRONG: Final = 2
"""The line asks for what cannot be."""
TIME_IS_OVER: Final = 124
"""`--timeout` ran out; the work goes on."""
NOT_ITS_DOING: Final = 125
"""It is not the program's doing: no server, refused, a limit, lost, cancelled."""
BY_SIGNAL: Final = 128
"""And the signal's number: the program was ended by it."""
INTERRUPTED: Final = 130
"""Left by Ctrl-C; jobs are untouched. 128 and the number of SIGINT, as shells have it."""
CLOSED: Final = 141
"""128 and SIGPIPE: who read our answer has gone."""
