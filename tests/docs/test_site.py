"""The site that is built from the pages: whole, searchable, and nobody else's."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
LEAVES: Final = re.compile(r"(?:^|[\s,(;='\"])(?:https?:)?//[\w.-]+", re.IGNORECASE)
"""An address of another host, also inside a list of pictures or a style."""
CSS: Final = re.compile(r"url\(\s*['\"]?(?!data:)(?:https?:)?//|@import", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built anew, every warning an error."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-c", "docs", "-d", str(folder / "tree")]
    built = subprocess.run(  # noqa: S603  # our own words
        [*words, ".", str(folder / "site")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


class _Fetched(HTMLParser):
    """What a browser would fetch for a page without being asked: all addresses but those of ordinary links."""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        for name, value in attrs:
            if tag != "a" and not name.startswith("xmlns") and value and LEAVES.search(value):
                self.elsewhere.append(f"<{tag} {name}={value!r}>")

    def handle_data(self, data: str) -> None:
        if self._within == "style" and CSS.search(data):
            self.elsewhere.append(data)


def elsewhere(html: str) -> list[str]:
    parser = _Fetched()
    parser.feed(html)
    return parser.elsewhere


def pages(site: Path) -> Iterator[Path]:
    found = list(site.rglob("*.html"))
    assert len(found) > 20
    yield from found


def test_no_page_fetches_anything_from_another_host(site: Path) -> None:
    assert not {page.name: found for page in pages(site) if (found := elsewhere(page.read_text()))}
    styles = [path for path in site.rglob("*.css") if CSS.search(path.read_text())]
    assert not styles


def test_an_address_of_another_host_is_noticed_wherever_a_page_may_hold_it() -> None:
    assert not elsewhere('<a href="https://e.org">x</a><img src="a.svg"><svg xmlns="http://www.w3.org/2000/svg"></svg>')
    for html in (
        '<script src="https://e.org/x.js"></script>',
        '<link rel="stylesheet" href="//e.org/x.css">',
        '<img srcset="a.png 1x, https://e.org/b.png 2x">',
        "<div style=\"background: url('http://e.org/x.png')\"></div>",
        '<style>@import "x.css";</style>',
        '<meta http-equiv="refresh" content="0; url=https://e.org/">',
    ):
        assert elsewhere(html), html


def test_the_site_is_searched_in_the_readers_own_browser(site: Path) -> None:
    assert "searchindex.js" in (site / "search.html").read_text()
    assert "docs/index" in (site / "searchindex.js").read_text()


def test_light_and_dark_follow_the_readers_system(site: Path) -> None:
    assert "prefers-color-scheme:dark" in (site / "_static" / "styles" / "furo.css").read_text().replace(" ", "")
    drawings = list((site / "_images").glob("*.svg"))
    assert drawings
    assert all("prefers-color-scheme" in drawing.read_text() for drawing in drawings)


def test_the_folder_itself_leads_to_the_first_page(site: Path) -> None:
    target = re.search(r"url=([^\"]+)\"", (site / "index.html").read_text())
    assert target
    assert (site / target[1]).is_file()


def test_no_page_shows_a_comment_that_is_for_the_tests(site: Path) -> None:
    shown = (re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.DOTALL) for page in pages(site))
    assert not any("not run:" in text or "stays until:" in text for text in shown)
