"""What may be said of a job on the command line: one list for submit and estimate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from jobgate.cli.request import ahead, inputs, pairs, replication, seconds, sources
from jobgate.client.drafts import required
from jobgate.client.options import SubmitOptions


class Network(StrEnum):
    """What a job reaches."""

    NONE = "none"
    OUTBOUND = "outbound"


Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- COMMAND...", help="The words of the command as they stand; no shell reads them."),
]
File = Annotated[Path | None, typer.Option("--file", help="A job or batch document: TOML, JSON, or NDJSON of jobs.")]
Sweep = Annotated[Path | None, typer.Option(help="A CSV file; one job a row, {name} in the command becomes the value.")]
Count = Annotated[int | None, typer.Option(help="So many jobs; {index} and {number} say which.", min=1)]
Like = Annotated[str, typer.Option(help="Another job's spec, with the changes that follow.", metavar="JOB")]
Name = Annotated[str, typer.Option(help="A name for the batch.")]
Label = Annotated[list[str] | None, typer.Option(help="A label, NAME=VALUE; may be repeated.", metavar="NAME=VALUE")]
Priority = Annotated[int, typer.Option(help="Orders this account's own jobs; higher goes first.")]
Held = Annotated[bool, typer.Option("--held", help="Keep from starting until released.")]
Webhook = Annotated[str, typer.Option(help="The id of a webhook to tell.")]
Expires = Annotated[
    str, typer.Option(help="When it is cancelled and retired: 90s, 2h, 30d from now, or a time of RFC 3339.")
]
Gpus = Annotated[int | None, typer.Option(help="GPUs.", min=0)]
Cores = Annotated[float | None, typer.Option(help="Cores.", min=0)]
Memory = Annotated[str, typer.Option(help="Memory: 512MiB, 4GiB.")]
DiskSpace = Annotated[str, typer.Option("--disk", help="Disk: 10GiB.")]
Walltime = Annotated[str, typer.Option(help="The longest run: 90s, 5min, 2h.")]
NetworkOption = Annotated[Network | None, typer.Option("--network", help="What it reaches.")]
Image = Annotated[str, typer.Option(help="An image of the catalogue, or one that the environment pulls.")]
AppName = Annotated[str, typer.Option("--app", help="A program of the catalogue.")]
Arguments = Annotated[
    bool,
    typer.Option("--arguments", help="The words are what follows the app's own command; so they are with --file-in."),
]
FileIn = Annotated[
    list[str] | None,
    typer.Option(
        "--file-in",
        help="A file for the next open slot of the app's template, given as for --input; may be repeated.",
        metavar="PATH",
    ),
]
AcceptLicence = Annotated[
    bool, typer.Option("--accept-licence", help="The licence of the app is accepted; jobgate apps says where it is.")
]
Env = Annotated[list[str] | None, typer.Option(help="A variable, NAME=VALUE; may be repeated.", metavar="NAME=VALUE")]
Workdir = Annotated[str, typer.Option(help="The directory it starts in, from the workspace.")]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        help="A file or directory here, an address, folder://FOLDER/PATH or upload://SHA256, and what it is called.",
        metavar="PATH[:NAME]",
    ),
]
Output = Annotated[
    list[str] | None,
    typer.Option(help="What is kept: a path, a pattern, or a directory with a / at its end.", metavar="PATH"),
]
Require = Annotated[
    list[str] | None,
    typer.Option(help="As --output; without it a job that succeeded otherwise fails.", metavar="PATH"),
]
Environment = Annotated[str, typer.Option(help="Where it runs; else wherever it fits.")]
Replicas = Annotated[int | None, typer.Option(help="Run it so many times, and compare what each leaves.", min=1)]
Quorum = Annotated[int | None, typer.Option(help="With --replicas: so many must agree; 1 takes the first.", min=1)]
Compare = Annotated[
    str, typer.Option(help="How: bitwise, numeric, or numeric:1e-3 for what may lie between.", metavar="HOW")
]
Tries = Annotated[int | None, typer.Option(help="Attempts at most, when it fails.", min=1)]


def options(said: Mapping[str, Any]) -> SubmitOptions:
    """What is said, by the client's names; what is not said is left out, so that a document or default holds."""
    found: dict[str, Any] = {
        "name": said["name"],
        "labels": pairs(said["label"] or (), "--label"),
        "priority": said["priority"],
        "held": said["held"],
        "webhook": said["webhook"],
        "expires": ahead(said.get("expires", ""), "--expires", datetime.now(UTC)),
        "memory": said["memory"],
        "disk": said["disk"],
        "walltime": seconds(said["walltime"], "--walltime"),
        "network": said["network"].value if said["network"] is not None else None,
        "image": said["image"],
        "app": said["app_"],
        "accept_licence": said["accept_licence"],
        "env": pairs(said["env"] or (), "--env"),
        "workdir": said["workdir"],
        "files": sources(said["file_in"] or ()),
        "inputs": inputs(said["input_"] or ()),
        "outputs": [*(said["output"] or ()), *map(required, said["require"] or ())],
        "environment": said["environment"],
        "replication": replication(said["replicas"], said["quorum"], said["compare"]),
        **{name: said[name] for name in ("gpus", "cores", "tries")},
    }
    numbers = {"gpus", "cores", "tries", "walltime"}
    kept = {n: v for n, v in found.items() if (v is not None if n in numbers else bool(v))}
    return cast("SubmitOptions", kept)
