"""The page of what `/metrics` tells: every family, its labels and its kind, from a server that has answered once."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from jobgate.server.metrics import Metrics


def page() -> str:
    """The page."""
    counted = Metrics()
    counted.count("native", "submit", 201, 0.01)
    lines = ["# Metrics", "", "Generated from the server; `make docs` writes it again. What may read them: "]
    lines[-1] += "[HTTP, whatever the API](../http.md)."
    lines += ["", "| name | kind | labels | |", "|---|---|---|---|"]
    for family in text_string_to_metric_families(counted.text().decode()):
        if family.name.endswith("_created"):
            continue  # the moment each was first counted
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        name = f"{family.name}_total" if family.type == "counter" else family.name
        shown = ", ".join(f"`{label}`" for label in labels) or "none"
        lines.append(f"| `{name}` | {family.type} | {shown} | {family.documentation} |")
    return "\n".join(lines) + "\n"
