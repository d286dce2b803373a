"""Pages for people: HTML that needs no script, asks no other host for anything, and can hold no markup of a stranger's.

Light and dark follow the reader's system. Whatever is not `Markup` is escaped, so that forgetting to is not possible.
"""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from typing import Final

from jobgate.dialects.dialect import Call, Reply


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2430;--quiet:#5f6b7a;--paper:#fff;--tint:#f4f6f8;--line:#dde2e8;--accent:#1d5fd1;
--get:#11734b;--post:#1d5fd1;--put:#8a5a00;--delete:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--quiet:#9aa3ad;--paper:#0f1216;--tint:#181d24;--line:#2b323c;
--accent:#7fb0ff;--get:#57c99a;--post:#7fb0ff;--put:#f0bf5a;--delete:#ff8a80}}
*{box-sizing:border-box}
html{font:16px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper);scroll-padding-top:1rem;
-webkit-text-size-adjust:100%}
body{margin:0}
a{color:var(--accent);text-underline-offset:.18em}
a:focus-visible,summary:focus-visible,pre:focus-visible,.wide:focus-visible{outline:2px solid var(--accent);
outline-offset:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.4rem .8rem;z-index:1}
.page{display:grid;grid-template-columns:minmax(0,1fr);max-width:78rem;margin:auto;padding:0 1.5rem}
main{min-width:0;padding:2rem 0 5rem;max-width:52rem}
header p,.quiet{color:var(--quiet)}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .5rem}
h2{font-size:1.3rem;margin:3rem 0 .25rem;padding-top:1.5rem;border-top:1px solid var(--line)}
.page:not(.with-side) h2{font-size:1.1rem;margin:2rem 0 0;padding:0;border:0}
h3{font-size:1.05rem;margin:2.5rem 0 .25rem}
h4{font-size:.8rem;font-weight:600;color:var(--quiet);margin:1.2rem 0 .3rem}
p{margin:.4rem 0}
code,pre,kbd{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.86em}
code{overflow-wrap:anywhere}
pre{background:var(--tint);border:1px solid var(--line);border-radius:4px;padding:.7rem .9rem;overflow-x:auto;
line-height:1.45;margin:.3rem 0}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th{font-weight:600;font-size:.8rem;color:var(--quiet)}
th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line)}
td p{margin:0}
th:last-child,td:last-child{width:50%}
td:first-child{white-space:nowrap}
tr:target,h3:target,h2:target{background:var(--tint)}
.method{font-weight:700;margin-right:.5em}
.get{color:var(--get)}.post{color:var(--post)}.put,.patch{color:var(--put)}.delete{color:var(--delete)}
.anchor{text-decoration:none;color:var(--quiet);margin-left:.4em;font-weight:400}
details{margin:.3rem 0}
summary{cursor:pointer;color:var(--quiet);font-size:.85rem}
.refusals{font-size:.88rem;color:var(--quiet)}
.jump{display:none;margin:1.2rem 0 0}
nav ul{list-style:none;margin:.2rem 0 1rem;padding:0}
nav li{margin:.15rem 0;font-size:.9rem}
nav a{color:inherit;text-decoration:none}
nav a:hover{text-decoration:underline}
nav b{display:block;font-size:.8rem;color:var(--quiet);font-weight:600}
dl{margin:.4rem 0}dt{font-weight:600;margin-top:1rem}dd{margin:.2rem 0 0}
@media(min-width:64rem){.with-side{grid-template-columns:16rem minmax(0,1fr);column-gap:3rem}
.with-side>.side{position:sticky;top:0;max-height:100vh;overflow:hidden auto;overflow-wrap:anywhere;
padding:2rem .5rem 2rem 0}}
@media(max-width:63.99rem){.side{order:2;padding:0 0 4rem;border-top:1px solid var(--line)}.jump{display:block}}
@media(max-width:30rem){.page{padding:0 1rem}
.rows thead{display:none}.rows td{display:block;width:auto;border:0;padding:.1rem 0}
.rows tr{display:block;padding:.5rem 0;
border-bottom:1px solid var(--line)}}
@media print{.side,.skip{display:none}}
""".strip().replace("\n", "")
POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)
HTML: Final = "text/html; charset=utf-8"

_CODE: Final = re.compile(r"`([^`]+)`")


def tag(name: str, *content: str | None, **attributes: str) -> Markup:
    """An element; None is no content. `class_` and `for_` are written without their underscore, others with dashes."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    told = "".join(f' {key}="{escape(value)}"' for key, value in named.items())
    return Markup(f"<{name}{told}>{joined(*content)}</{name}>")


def joined(*content: str | None) -> Markup:
    """One after the other; what is no markup is escaped."""
    return Markup("".join(one if isinstance(one, Markup) else escape(one) for one in content if one is not None))


def prose(text: str) -> Markup:
    """A sentence in which names stand between back quotes."""
    return Markup(_CODE.sub(r"<code>\1</code>", escape(text)))


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]], *, label: str) -> Markup:
    """Rows below their heads; on a narrow screen each row becomes a paragraph."""
    head = tag("thead", tag("tr", *(tag("th", one, scope="col") for one in heads)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows))
    return tag("div", tag("table", head, body, class_="rows"), class_="wide", aria_label=label, role="group")


def page(title: str, content: Markup, *, side: Markup | None = None) -> Reply:
    """A whole page, with what its headers must say; `side`, whose id is `contents`, comes last on a narrow screen."""
    jump = tag("a", "Contents", class_="jump", href="#contents") if side else None
    frame = joined(
        Markup("<!doctype html>"),
        Markup('<html lang="en"><head><meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width,initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark">'),
        tag("title", title),
        tag("style", Markup(STYLE)),
        Markup("</head><body>"),
        tag("a", "Skip to the text", class_="skip", href="#text"),
        tag("div", side, tag("main", jump, content, id="text"), class_="page with-side" if side else "page"),
        Markup("</body></html>\n"),
    )
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "Vary": "Accept"}
    return Reply(headers=headers, body=frame.encode(), media=HTML)


def for_people(call: Call) -> bool:
    """Whether a browser asks: HTML is named among what it accepts, and JSON is not."""
    accepted = [one.partition(";")[0].strip().lower() for one in call.headers.get("accept", "").split(",")]
    return "text/html" in accepted and not any(one.endswith("json") for one in accepted)
