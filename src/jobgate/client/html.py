"""Records in a notebook: small tables, every text escaped, no script, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from jobgate.client.words import plain


def fields(facts: Mapping[str, object]) -> str:
    """Two columns: what it is, and its value; what has none is left out."""
    lines = [(name, value) for name, value in facts.items() if value not in (None, "", ())]
    body = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in lines)
    return f"<table>{body}</table>"


def rows(heads: Sequence[str], values: Iterable[Sequence[object]]) -> str:
    """A table with a head."""
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{_text(value)}</td>" for value in line) + "</tr>" for line in values)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def block(text: str) -> str:
    """Lines as they stand."""
    return f"<pre>{_escaped(text)}</pre>"


def _text(value: object) -> str:
    if isinstance(value, datetime):
        value = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return _escaped("" if value is None else plain(str(value)))


def _escaped(text: str) -> str:
    import html  # noqa: PLC0415  # its table of names is large, and a terminal needs none of it

    return html.escape(text)
