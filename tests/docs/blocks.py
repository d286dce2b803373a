"""The fenced blocks of a page, each with what the page says of it in comments that no reader sees.

Before a block:

    <!-- not run: WHY -->        it is shown only; a reason is needed
    <!-- status: 1 -->           it is to end so (unless said: 0)
    <!-- stays until: WORDS -->  it has a terminal of its own and goes on; the page goes on once it printed WORDS

Anywhere on the page, `<!-- with: a gateway -->`: one is there from the start, and its address and keys are exported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT: Final = Path(__file__).resolve().parents[2]
RUNS: Final = frozenset({"sh", "console", "python", "toml", "json"})
"""Languages that are carried out, or read by what reads them."""
TALKS: Final = frozenset({"sh", "python"})
"""Those whose output a `text` block right after them shows."""
SAYING: Final = re.compile(r"<!--\s*(not run|status|stays until|with):\s*(.*?)\s*-->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str = ""
    status: int = 0
    until: str = ""
    shown: str | None = None
    """What it is to print."""

    @property
    def loose(self) -> bool:
        """Whether nothing is done with it, and it does not say why."""
        return self.language not in RUNS and not self.not_run

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass
class Page:
    """All of one page that can be held to something."""

    path: Path
    blocks: list[Block] = field(default_factory=list)
    with_gateway: bool = False
    faults: list[str] = field(default_factory=list)
    """What cannot be held to anything, and does not say why."""
    generated: bool = False

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


def read(path: Path, text: str | None = None) -> Page:
    """The page at `path`."""
    text = path.read_text() if text is None else text
    page = Page(path, generated="\nGenerated from " in text)
    said: dict[str, str] = {}
    talked = False
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "html_block":
            said |= dict(SAYING.findall(token.content))
            page.with_gateway |= bool(said.pop("with", ""))
        elif token.type == "fence":
            block = _block(path, token, said)
            if block.language == "text" and talked and not said:
                page.blocks[-1] = replace(page.blocks[-1], shown=block.text)
            else:
                page.blocks.append(block)
            talked = block.language in TALKS
            said = {}
        elif token.nesting >= 0:
            page.faults += [f"{page.name}: {said} stands before no block"] if said else []
            said, talked = {}, False
    if not page.generated:
        page.faults += [
            f"{each.where}: nothing holds this block, and it says not why" for each in page.blocks if each.loose
        ]
    return page


def _block(path: Path, token: Token, said: dict[str, str]) -> Block:
    return Block(
        path,
        (token.map or [0])[0] + 1,
        token.info.strip(),
        token.content,
        said.get("not run", ""),
        int(said.get("status", "0")),
        said.get("stays until", ""),
    )


def expected(shown: str) -> re.Pattern[str]:
    """What a shown output stands for: its own words, with other ids, times, sizes and seconds than those of that day.

    A line `…` is any number of lines, and `…` in a line any words of that line.
    """
    lines = [r"(?:.*\n)*" if line.strip() == "…" else _line(line) + r"[ \t]*\n" for line in shown.strip().splitlines()]
    return re.compile(r"\s*" + "".join(lines) + r"\s*")


_KINDS: Final = {
    "time": (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z| UTC)?", None),
    "key": (r"\bjg_[\w-]{20,}|\b[0-9a-f]{32,64}\b", r"(?:jg_[\w-]+|[0-9a-f]{32,64})"),
    "id": (r"\b(?=[0-9a-z]*[a-z])(?=[a-z]*\d)[0-9a-z]{8,13}\b", r"[0-9a-z]{8,13}"),
    "number": (r"\b\d{12,}\b", r"\d+"),
    "measure": (
        r"\b\d[\d,]*(?:\.\d+)?(?=\s?(?:ns|ms|s|min|h|d|B|KiB|MiB|GiB|KB|MB|GB|/s|%)(?![\w]))|\b\d+\.\d+\b",
        r"\d[\d,]*(?:\.\d+)?",
    ),
    "any": ("…", ".*"),
    "gap": (r"[ \t]+", r"[ \t]+"),
}
_VARIES: Final = re.compile("|".join(f"(?P<{name}>{found})" for name, (found, _) in _KINDS.items()))


def _line(line: str) -> str:
    pieces, at = [], 0
    for match in _VARIES.finditer(line.rstrip()):
        found, stands = _KINDS[match.lastgroup or ""]
        pieces += [re.escape(line[at : match.start()]), stands or found]
        at = match.end()
    return "".join([*pieces, re.escape(line.rstrip()[at:])])
