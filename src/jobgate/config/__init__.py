"""The one configuration file: typed settings, and faults with their line."""

from jobgate.config.apps import AppEntry
from jobgate.config.read import Fault, check, load, text
from jobgate.config.reference import reference
from jobgate.config.settings import (
    Defaults,
    Egress,
    Environment,
    ImageEntry,
    Retention,
    Server,
    Settings,
    Storage,
)

__all__ = [
    "AppEntry",
    "Defaults",
    "Egress",
    "Environment",
    "Fault",
    "ImageEntry",
    "Retention",
    "Server",
    "Settings",
    "Storage",
    "check",
    "load",
    "reference",
    "text",
]
