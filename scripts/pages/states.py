"""The page of states, and its two drawings: of jobs and of attempts."""

from __future__ import annotations

from jobgate.model.advance import ON_ATTEMPT
from jobgate.model.state import ATTEMPT_MOVES, MOVES, AttemptState, Failure, JobState, Limit, Verdict
from pages.drawing import Moves, drawing
from pages.tables import table


def job_drawing() -> str:
    """Every way a job may go."""
    return drawing("The states of a job", _named(MOVES))


def attempt_drawing() -> str:
    """Every way an attempt may go."""
    return drawing("The states of an attempt", _named(ATTEMPT_MOVES))


def page() -> str:
    """The page of states."""
    head = list(AttemptState)
    lines = ["# States", "", "Generated from `jobgate.model`; `make docs` writes it again.", "", "## Job"]
    lines += [*table(JobState), *_moves("job", "job-states.svg", _named(MOVES)), "## Attempt"]
    lines += [*table(AttemptState), *_moves("attempt", "attempt-states.svg", _named(ATTEMPT_MOVES))]
    lines += [
        "## Events about an attempt",
        "",
        "`moves`: it goes on. `late`: nothing changes. `illegal`: refused.",
        "",
    ]
    lines += ["| event | " + " | ".join(s.value for s in head) + " |", "|---" * (len(head) + 1) + "|"]
    lines += [f"| {e.__name__} | " + " | ".join(row[s].value for s in head) + " |" for e, row in ON_ATTEMPT.items()]
    lines += ["", "## Verdicts", *table(Verdict)]
    lines += ["## Failures", *table(Failure), "## Limits", *table(Limit)]
    return "\n".join(lines).rstrip() + "\n"


def _named(moves: dict[JobState, frozenset[JobState]] | dict[AttemptState, frozenset[AttemptState]]) -> Moves:
    """Names in the order of the model, which is that of a life."""
    order = [state.value for state in (JobState if JobState.HELD in moves else AttemptState)]
    ends = {state.value: {end.value for end in each} for state, each in moves.items()}
    return {name: tuple(end for end in order if end in ends.get(name, ())) for name in order}


def _moves(what: str, file: str, moves: Moves) -> list[str]:
    rows = [
        f"| `{a}` | {', '.join(f'`{end}`' for end in ends) or 'nothing: it is over'} |" for a, ends in moves.items()
    ]
    alt = f"The states of {'an' if what[0] in 'aeiou' else 'a'} {what}, one below the other; the table has every arrow"
    return [f"![{alt}]({file})", "", "| from | may become |", "|---|---|", *rows, ""]
