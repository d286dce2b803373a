"""Tables that lead from each sentence of a text to what answers it, and the check that this exists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
NOTHING: Final = "nothing"
"""The page's own frame, which asks nothing of a server."""
Answers = list[tuple[str, list[str]]]


def plain(text: str) -> str:
    return " ".join(text.split())


def read(table: str) -> Answers:
    """Sentence and answers, in the order of the table."""
    found: Answers = []
    lines: list[str] = []
    for line in table.strip().split("\n"):
        if line.startswith("    -> "):
            if lines:
                found.append((plain(" ".join(lines)), []))
                lines = []
            found[-1][1].append(line.removeprefix("    -> "))
        else:
            lines.append(line)
    assert not lines
    return found


def named(answers: Answers) -> list[str]:
    """What they name, once each."""
    return sorted({one for _, each in answers for one in each} - {NOTHING})


def whole(text: str, answers: Answers) -> None:
    """Every sentence of the text is in the table, and in its order. Raises AssertionError."""
    left = plain(text.replace("\u00a0", " "))
    for sentence, _ in answers:
        before, there, left = left.partition(sentence)
        assert there, f"not in the text, or not at this place: {sentence}"
        assert not before.strip(), f"a sentence that nothing answers: {before}"
    assert not left.strip(), f"sentences that nothing answers: {left}"


def exists(answer: str, files: Mapping[str, str]) -> None:
    """A test of that file, less its `test_`; words below a heading of a page; or an exchange. Raises AssertionError."""
    where, _, name = answer.partition(" ")
    if where == "exchange":
        rpc, _, title = name.partition(": ")
        assert f"=== {title}\n" in (ROOT / files[where] / f"{rpc}.txt").read_text()
        return
    text = (ROOT / files[where]).read_text()
    if where == "docs":
        anchor, _, words = name.partition(": ")
        assert words in sections(text)[anchor]
    else:
        assert f"\ndef test_{name}(" in text


def sections(page: str) -> dict[str, str]:
    """Text by heading, this as a viewer of Markdown names it in addresses."""
    _, *parts = re.split(r"^#+ ", page, flags=re.MULTILINE)
    titles = (part.partition("\n") for part in parts)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-"): text for title, _, text in titles}
