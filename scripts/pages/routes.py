"""The page of every dialect's addresses."""

from __future__ import annotations

from jobgate.dialects import DIALECTS, load
from jobgate.dialects.dialect import Setup


def page() -> str:
    """The page."""
    lines = ["# Routes", "", "Generated from the dialects; `make docs` writes it again.", ""]
    for name, (prefix, _) in DIALECTS.items():
        lines += [
            f"## {name}, below `{prefix}`",
            "",
            "| method | path | asks of the credential | |",
            "|---|---|---|---|",
        ]
        for route in load(name, Setup(prefix=prefix)).routes:
            methods = " ".join(sorted(route.methods))
            asks = "no credential" if route.page else route.scope.value
            lines.append(f"| {methods} | `{route.path or '/'}` | {asks} | {route.summary} |")
        lines.append("")
    lines += [
        "## The server's own",
        "",
        "`GET /` (index), `/docs` (the reference), `/healthz`, `/readyz`, `/metrics` (loopback, or an operator's key).",
    ]
    return "\n".join(lines) + "\n"
