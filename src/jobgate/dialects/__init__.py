"""The APIs this server speaks: one folder each, and one line in the table below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, cast

from jobgate.dialects.dialect import Dialect, Setup
from jobgate.model.errors import Invalid, NotFound

DIALECTS: Final[Mapping[str, tuple[str, str]]] = {
    "boinc": ("/boinc", "jobgate.dialects.boinc.routes:Boinc"),
    "charity_engine": ("/remotejobs/v2", "jobgate.dialects.charity_engine.routes:CharityEngine"),
    "native": ("/v1", "jobgate.dialects.native.routes:Native"),
}
"""Name to prefix and class."""


def load(name: str, setup: Setup) -> Dialect:
    """The dialect of that name, ready to speak. Raises NotFound for an unknown one, Invalid for wrong settings."""
    if name not in DIALECTS:
        raise NotFound(f"there is no dialect {name!r}; there are: {', '.join(sorted(DIALECTS))}", field="dialects")
    module, _, attribute = DIALECTS[name][1].partition(":")
    build = cast("Callable[[Setup], Dialect]", getattr(import_module(module), attribute))
    variants: frozenset[str] = getattr(build, "variants", frozenset())
    if setup.variant and setup.variant not in variants:
        there = f"there are: {', '.join(sorted(variants))}" if variants else "it has none"
        raise Invalid(f"{name} has no variant {setup.variant!r}; {there}", field=f"dialects.{name}.mounts")
    return build(setup)
