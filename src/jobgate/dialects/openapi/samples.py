"""How a verb is asked with curl: from its own example."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from jobgate.dialects.dialect import Body
from jobgate.dialects.verb import Verb

JSON = "application/json"


def curl(verb: Verb, address: str, headers: Mapping[str, str]) -> str:
    """The command, as it can be pasted where URL and KEY are set. `headers` are those that every example needs."""
    query = f"?{urlencode(verb.asks, safe='/:,')}" if verb.asks else ""
    words = [f'curl -s{_method(verb)} "$URL{address}{query}"']
    words += [f'-H "{name}: {value}"' for name, value in {**headers, **verb.sends}.items()]
    if verb.body is not Body.NONE and verb.example is not None:
        words.append(f'-H "Content-Type: {media(verb, verb.example)}"')
        option = "--data-binary" if isinstance(verb.example, str) else "-d"
        words.append(f"{option} {shlex.quote(text(verb.example))}")
    return " \\\n  ".join(words)


def text(example: object) -> str:
    """A body as it is sent: JSON in one line, or a text as it stands."""
    return example if isinstance(example, str) else msgspec.json.encode(example).decode()


def _method(verb: Verb) -> str:
    if verb.method == "HEAD":
        return "I"
    usual = "POST" if verb.body is not Body.NONE and verb.example is not None else "GET"
    return "" if verb.method == usual else f" -X {verb.method}"


def media(verb: Verb, example: object) -> str:
    """Which of its media types an example is of: JSON, or the first that is not."""
    return next(one for one in verb.media if (one == JSON) != isinstance(example, str))
