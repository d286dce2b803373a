"""What a submit may say, as keyword arguments with types: one list for submit, sweep, map and estimate."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypedDict

import msgspec

from jobgate.client.records import Upload, Value

Word = str | os.PathLike[str] | int | float
Command = Sequence[Word]
"""The words of a command as they stand. No shell reads them; a text for one goes to `script`."""


class FolderFile(msgspec.Struct, frozen=True):
    """A file of one of this account's folders, as an input: `{"data.csv": FolderFile("shared/data.csv")}`."""

    path: str
    """`FOLDER/PATH`."""


Source = bytes | str | os.PathLike[str] | Upload | FolderFile
"""Content; the path of a file or directory here; an address with http(s)://; what `upload` gave; a folder's file."""
Inputs = Iterable[str | os.PathLike[str]] | Mapping[str, Source]
"""Paths of files and directories here, or what each is called there and where it comes from."""
Table = Sequence[Mapping[str, Value]]
"""One job a row."""
Product = Mapping[str, Iterable[Value]]
"""One job for each combination; the last name varies fastest. A range is sent as a range."""


class Output(TypedDict, total=False):
    """An output with more to say than its path."""

    path: str
    kind: Literal["file", "directory", "wildcard"]
    keep: Literal["always", "success"]
    required: bool
    max_bytes: int
    """A job that leaves more has failed."""


class Numeric(TypedDict, total=False):
    """How far numbers may lie apart: as far as one of these allows."""

    absolute: float
    relative: float


class Validator(TypedDict, total=False):
    """A program that compares; it is run as a job of the same account."""

    command: Iterable[str]
    script: str
    app: str
    image: str


class Compare(TypedDict, total=False):
    """One of the two."""

    numeric: Numeric
    validator: Validator


class Replication(TypedDict, total=False):
    """How often a job is run, and how many of its attempts must agree: `Replication(replicas=3, quorum=2)`."""

    replicas: int
    quorum: int
    errors: int
    successes: int
    total: int
    compare: Literal["bitwise"] | Compare


class JobOptions(TypedDict, total=False):
    """What one job is to do, beside its command."""

    script: str
    """A text for the shell, or for what its first line names (`#!/usr/bin/env python3`), instead of a command."""
    app: str
    accept_licence: bool
    app_version: int
    arguments: str | Sequence[Word]
    """With an app in place of a command: what follows the app's own. A text is taken apart at blanks."""
    files: Iterable[Source]
    """With an app in place of a command: one for each open slot of its template, in order."""
    image: str
    env: Mapping[str, str]
    workdir: str
    stdin: str
    """The path, in the workspace, of the file that the command reads."""
    inputs: Inputs
    outputs: Iterable[str | Output]
    """Paths in the workspace; a pattern (`*.png`) and a directory (`results/`) are told by their form."""
    cores: float
    memory: int | str
    """Bytes, or `4GiB`."""
    disk: int | str
    gpus: int
    walltime: float | timedelta
    """Longest run; seconds."""
    network: Literal["none", "outbound"]
    environment: str
    tries: int
    operations: float
    """Floating-point operations that it is expected to take: credit and estimates follow from them."""
    credit: float
    """Granted to each attempt that succeeds; without it what the operations are worth."""
    replication: Replication
    """Run it several times, each in another environment where there are several, and compare what each leaves."""


class BatchOptions(TypedDict, total=False):
    """What a request says beside its jobs."""

    name: str
    labels: Mapping[str, str]
    priority: int
    held: bool
    webhook: str
    expires: datetime
    """When it is cancelled and retired, unless that is put off; without it, never."""
    idempotency_key: str
    """Yours, where a second run of your own program must not submit again; else the client makes one for each call."""


class SubmitOptions(JobOptions, BatchOptions, total=False):
    """What a submit may say, each by its name: what the job is to do, and what the request says beside it."""


class Draft(JobOptions, total=False):
    """One job of `submit_many`."""

    command: Command
    name: str
    """What this job is called; no other job of the account is called so."""
