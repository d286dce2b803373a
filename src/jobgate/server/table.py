"""Which dialect owns a path, and which of its routes answers there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from starlette.routing import compile_path

from jobgate.dialects.dialect import Dialect, Route
from jobgate.model.errors import Invalid, MethodNotAllowed, NotFound

DOCS: Final = "/docs"
"""Where the dialects that have a reference show it."""
RESERVED: Final = ("/healthz", "/readyz", "/metrics", DOCS)
"""No dialect may claim these."""


class Mount(msgspec.Struct, frozen=True):
    """A dialect and where it is spoken."""

    prefix: str
    dialect: Dialect


Methods = dict[str, Route]


class Table:
    """The routes below one prefix, ready for look-up: plain paths by a dict, the others by their patterns."""

    def __init__(self, mount: Mount) -> None:
        self.prefix = mount.prefix.rstrip("/")
        if self.prefix and not self.prefix.startswith("/"):
            raise Invalid(f"the prefix of {mount.dialect.name} must begin with a slash", field="dialects")
        self.dialect = mount.dialect
        self.fixed: dict[str, Methods] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], Methods]] = {}
        for route in mount.dialect.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        path = route.path.rstrip("/")
        if "{" in path:
            methods = self._patterns.setdefault(shape(path), (compile_path(path)[0], {}))[1]
        else:
            methods = self.fixed.setdefault(path, {})
        for method in (*route.methods, *(("HEAD",) if "GET" in route.methods else ())):
            other = methods.setdefault(method, route)
            if other is route:
                continue
            if method == "HEAD" and ("GET" in route.methods) != ("GET" in other.methods):
                methods[method] = other if "GET" in route.methods else route  # one that answers HEAD alone goes before
                continue
            first, second = f"{self.dialect.name} {other.verb}", f"{self.dialect.name} {route.verb}"
            raise Invalid(f"{first} and {second} both claim {method} {self.prefix}{path}", field="dialects")

    def owns(self, path: str) -> bool:
        """Whether `path` is at or below the prefix."""
        return path.startswith(self.prefix) and path[len(self.prefix) : len(self.prefix) + 1] in ("", "/")

    def find(self, path: str, method: str) -> tuple[Route, Mapping[str, str]]:
        """The route and what its parameters are. Raises NotFound, MethodNotAllowed with the others as its arguments."""
        fixed = self.fixed.get(path)
        if fixed is not None:  # OpenAPI says it too: a name goes before what any name may stand for
            if method in fixed:
                return fixed[method], {}
            raise WrongMethod(set(fixed))
        allowed: set[str] = set()
        for pattern, methods in self._patterns.values():
            match = pattern.match(path)
            if match is not None:
                if method in methods:
                    return methods[method], match.groupdict()
                allowed.update(methods)
        if not allowed:
            raise NotFound("there is nothing at this address", code="unknown-operation")
        raise WrongMethod(allowed)


class WrongMethod(MethodNotAllowed):
    """This path answers to another method."""

    def __init__(self, allowed: set[str]) -> None:
        self.allow = ", ".join(sorted(allowed))
        super().__init__(f"this address answers to {self.allow}")


def shape(path: str) -> str:
    """The path with its parameters' names taken out: two routes of one shape are one claim."""
    return re.sub(r"\{[^:}]*", "{", path)


def tables(mounts: Sequence[Mount]) -> tuple[Table, ...]:
    """Longest prefix first. Raises Invalid, naming both, when two claim one prefix or one route."""
    found: list[Table] = []
    for table in sorted(map(Table, mounts), key=lambda table: -len(table.prefix)):
        for taken in RESERVED:
            if table.owns(taken) and table.prefix:
                raise Invalid(f"{table.dialect.name} claims {taken}, which is the server's own", field="dialects")
        for other in found:
            _apart(other, table)
        found.append(table)
    return tuple(found)


def _apart(inner: Table, outer: Table) -> None:
    """Raises Invalid when the prefixes are one, or a route of `outer` could never be reached behind `inner`."""
    both = f"{inner.dialect.name} and {outer.dialect.name} both claim"
    if inner.prefix == outer.prefix:
        raise Invalid(f"{both} {inner.prefix or '/'}", field="dialects")
    for route in outer.dialect.routes:
        path = outer.prefix + route.path.rstrip("/")
        if inner.owns(path) or inner.owns(path.partition("/{")[0]):
            raise Invalid(f"{both} {path}", field="dialects")
