"""One thing, one word: the glossary's words that we do not use are in no page, no help text and no problem's title."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from blocks import ROOT
from markdown_it import MarkdownIt
from markdown_it.token import Token
from test_snippets import PAGES

from jobgate.dialects.native.problems import PROBLEMS
from pages import command_line

HEADING: Final = "## Words we do not use\n"


def unwanted() -> tuple[str, ...]:
    """As the glossary lists them: words before a bracket, or before the next dot."""
    listed = (ROOT / "docs" / "glossary.md").read_text().partition(HEADING)[2]
    parts = re.sub(r"\([^)]*\)", "", listed).replace("\n", " ").rstrip(". \n").split("·")
    return tuple(word.strip() for part in parts for word in part.split(","))


WORDS: Final = unwanted()
WORD: Final = re.compile(rf"\b(?:{'|'.join(map(re.escape, WORDS))})s?\b", re.IGNORECASE)

ALLOWED: Final = (
    ("docs/glossary.md", r".*", "it says what other APIs call our things, and lists the words"),
    ("docs/decisions/*", r"hosts in BOINC's way", "BOINC's own word, said to be BOINC's"),
    ("docs/dialects/charity-engine.md", r"service", "the vendor's service, and the text's own external services"),
    ("*", r"(?:an)?other hosts?|that host|no host|hosts of registries|own host", "a host of the network, by its name"),
    ("docs/reference/python.md", r"results?", "the client's `Result`, as Python's own futures have one"),
    ("docs/http.md", r"\bhost\b", "the header of that name"),
    ("*", r"slots?'s? (?:own )?users?|user namespaces|user number|user names|gateway's own user", "of the system"),
    ("*", r"gateway of any other user|server's user", "of the operating system"),
    ("docs/dialects/boinc.md", r"HTCondor's helper", "BOINC's clients' own program of that name"),
    ("docs/dialects/boinc.md", r"an instance", "BOINC's own word, said to be BOINC's"),
    ("*", r"users pass|user space|a user of its own|user of the operating system", "of the operating system"),
    ("*", r"user and (?:no |a )?password", "HTTP Basic's own words"),
    ("*", r"a user (?:can notice|sees|brings)|words for users|user sees", "a person, who may have no account"),
)
"""Page, words around it and the reason why one may stand there."""


def prose(markdown: str) -> Iterator[tuple[int, str]]:
    """Line and text of everything that is not code, nor a comment."""
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        if token.type == "inline":
            yield (token.map or [0])[0] + 1, "".join(_plain(child) for child in token.children or ())


def _plain(token: Token) -> str:
    if token.type == "text":
        return token.content
    return " " if token.type in ("softbreak", "hardbreak") else "\0" if token.type == "code_inline" else ""


def found(name: str, text: str, used: set[int]) -> Iterator[str]:
    """Each unwanted word with what stands around it; `used` gets the places of what allowed the others."""
    for match in WORD.finditer(text):
        allowed = [
            place
            for place, (page, around, _) in enumerate(ALLOWED)
            if fnmatch(name, page)
            and any(m.start() <= match.start() < m.end() for m in re.finditer(around, text, re.IGNORECASE))
        ]
        used.update(allowed)
        if not allowed:
            yield f"{match[0]!r} in: {text[max(match.start() - 50, 0) : match.end() + 50]}"


def test_every_text_for_people_uses_the_glossarys_words() -> None:
    used: set[int] = set()
    wrong = []
    for page in PAGES:
        for line, text in prose(page.path.read_text()):
            wrong += [f"{page.name}:{line}: {word}" for word in found(page.name, text, used)]
    for command, text in command_line.helps():
        spoken = re.sub(r"--?[\w-]+|<[^>]*>|\{[^}]*\}", "\0", text)
        wrong += [f"{command} --help: {word}" for word in found("--help", spoken, used)]
    for code, (_, _, title) in PROBLEMS.items():
        wrong += [f"problem {code}: {word}" for word in found("problem", title, used)]
    assert not wrong, "\n".join(wrong)
    assert not [ALLOWED[place] for place in range(len(ALLOWED)) if place not in used]


def test_the_words_are_those_that_the_glossary_lists() -> None:
    assert {"task", "user", "token", "stage", "plug-in", "helper"} <= set(WORDS)
    assert all(re.fullmatch(r"[a-z-]+", word) for word in WORDS)


def test_a_word_is_found_in_prose_and_not_in_code(tmp_path: Path) -> None:
    page = "# A worker\n\nThe `token` of a\ntask.\n\n```sh\nuser\n```\n\n| helper |\n|---|\n| [host](x.md) |\n"
    told = [word.split(" in: ")[0] for _, text in prose(page) for word in found("page", text, set())]
    assert told == ["'worker'", "'task'", "'helper'", "'host'"]
