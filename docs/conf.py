"""How the pages become a site: `make docs` builds it into docs/_build/site.

The source folder is the repository itself, not docs/: a link on a page is then the same on the site and in a browser of
the repository, also where it leads to the README or to a file of the source. Nothing on a page comes from another host.
"""

from __future__ import annotations

from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGES: Final[dict[str, tuple[str, ...]]] = {
    "Tutorial": ("docs/tutorial/*",),
    "How-to": ("docs/howto/*",),
    "APIs": ("docs/dialects/native", "docs/dialects/*"),
    "Engines": ("docs/engines/*",),
    "For operators": ("docs/accounts", "docs/http", "docs/security", "SECURITY"),
    "Reference": (
        "docs/reference/commands",
        "docs/reference/python",
        "docs/reference/configuration",
        "docs/reference/*",
        "docs/glossary",
    ),
    "Why it is so": ("docs/discussions/*",),
    "Taking part": ("README", "CONTRIBUTING", "docs/testing", "docs/decisions/README", "news/README", "CHANGELOG"),
}
"""The order of the site. A page that stands nowhere here stops the build; a pattern takes what was not named before."""
ROOT: Final = "docs/index"
REPOSITORY: Final = Path(__file__).resolve().parent.parent

project = "Jobgate"
author = "the Jobgate authors"
project_copyright = "the Jobgate authors, Apache License 2.0"
release = version = installed("jobgate")

extensions = ["myst_parser"]
root_doc = ROOT
include_patterns = ["*.md", "news/README.md", "docs/**.md"]
exclude_patterns = [".*", "docs/_build", "examples", "news/[!R]*", "requirements", "scripts", "src", "tests"]
myst_heading_anchors = 3
nitpicky = True
pygments_style = "friendly"
pygments_dark_style = "github-dark"

html_theme = "furo"
html_title = "Jobgate"
html_copy_source = False
html_show_sourcelink = False
html_permalinks_icon = "#"
html_theme_options = {"navigation_with_keys": True}
templates_path = ["_templates"]
html_additional_pages = {"index": "first.html"}
"""Of the site's folder itself: it leads on to the first page."""


def _contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """The list of pages, added where only the site sees it."""
    if name == ROOT:
        source[0] += "".join(_toctree(caption, pages) for caption, pages in PAGES.items())
    elif name == "docs/decisions/README":
        source[0] += _toctree("", ("docs/decisions/0*",))


def _toctree(caption: str, pages: tuple[str, ...]) -> str:
    """One part of the list; empty while it has no page."""
    there = [page for page in pages if any(REPOSITORY.glob(f"{page}.md"))]
    head = ["```{toctree}", ":hidden:", ":glob:", *([f":caption: {caption}"] if caption else []), ""]
    return "\n".join(["", *head, *(f"/{page}" for page in there), "```", ""]) if there else ""


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's own hook."""
    app.connect("source-read", _contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
