"""What looks like a placeholder of a sweep and is none: every other brace stays, so a slip in a name would too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from jobgate.client.words import near, plain

PLACES: Final = ("index", "number")
"""Names that every job of a sweep has."""
_LOOKS: Final = re.compile(r"(?<!\$)\{([A-Za-z_]\w{0,99})\}", re.ASCII)
"""`{name}`; a variable of a shell, `${name}`, is meant as it stands."""
_OF_INPUT: Final = ("path", "url", "file")


def left(template: Mapping[str, Any], columns: Iterable[str]) -> list[str]:
    """A line for each `{name}` that no column fills in, in order; in a script or a file only what comes near to one.

    `template` is a job as the API takes it.
    """
    names = (*columns, *PLACES)
    found: dict[str, str] = {}
    for text, prose in _texts(template):
        for name in _LOOKS.findall(text):
            if name in names:
                continue
            meant = near(name, names)
            if meant or not prose:
                found[name] = f"; did you mean {{{plain(meant)}}}?" if meant else ""
    return [f"{{{name}}} stays as it stands: no column is called {name}{guess}" for name, guess in found.items()]


def columns(sweep: object) -> list[str]:
    """The names of a sweep as the API takes it: a table, whose rows have the same ones, or a product."""
    first = sweep[0] if isinstance(sweep, Sequence) and sweep else sweep
    return list(map(str, first)) if isinstance(first, Mapping) else []


def _texts(template: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """The texts in which places are filled in, and whether braces are usual there; other forms are the server's."""
    said: list[tuple[object, bool]] = [(template.get("script"), True)]
    said += [(template.get(name), False) for name in ("workdir", "stdin")]
    said += [(word, False) for word in _list(template.get("command"))]
    env = template.get("env")
    said += [(value, False) for value in env.values()] if isinstance(env, Mapping) else []
    for item in [*_list(template.get("inputs")), *_list(template.get("outputs"))]:
        if isinstance(item, Mapping):
            said += [(item.get(name), False) for name in _OF_INPUT] + [(item.get("content"), True)]
    yield from ((text, prose) for text, prose in said if isinstance(text, str))


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
