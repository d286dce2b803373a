"""The states that a filter may name: the API's own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jobgate.cli.connect import Wrong
from jobgate.client.words import near, plain

OF_JOBS: Final = (
    *("held", "queued", "staging_in", "running", "staging_out", "cancelling"),
    *("succeeded", "failed", "cancelled"),
)
OF_BATCHES: Final = tuple(word for word in OF_JOBS if not word.startswith("staging"))
"""A batch with a job on its way, staging too, is running or cancelling."""


def states(said: Sequence[str], of: Sequence[str], what: str) -> list[str]:
    """The states that are named, each as a word, or several with commas between. Raises Wrong."""
    found = [word.strip() for part in said for word in part.split(",")]
    for word in found:
        if word not in of:
            meant = near(word, of)
            guess = f"; did you mean {meant}?" if meant else ""
            raise Wrong(what, f"--state {plain(word)} is no state{guess}", f"one of {', '.join(of)}")
    return found
