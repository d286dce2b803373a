"""The record of a verb, under the name by which this dialect's modules know it."""

from __future__ import annotations

from jobgate.dialects.verb import NoQuery, Verb, route

__all__ = ["NoQuery", "Verb", "route"]
