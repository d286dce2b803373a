"""From the words of `jobgate submit` to the request that says so: options, a document, a sweep, another job's spec."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from jobgate.cli.connect import Session, Wrong
from jobgate.cli.render import WARN
from jobgate.cli.written import check_document
from jobgate.client import placeholders
from jobgate.client.drafts import JobDraft, Writer, batch_draft
from jobgate.client.options import FolderFile, JobOptions, Source, SubmitOptions
from jobgate.client.records import Upload
from jobgate.client.words import near, plain

WHAT: Final = "Not submitted."
LINES: Final = frozenset({".ndjson", ".jsonl"})
"""Endings of files with a job on each line."""
_BATCH: Final = frozenset({"template", "jobs", "count", "sweep", "placeholders"})
_SECONDS: Final = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86_400}
_WRITTEN: Final = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,6})?) ?(?P<unit>[a-z]*)", re.ASCII)
_HOW: Final = "--compare bitwise, numeric or numeric:1e-3; a validator is given in a document, with --file"
_ABOUT: Final = ("name", "labels", "priority", "held", "webhook", "expires")
_MEMBERS: Final = frozenset(JobDraft.__struct_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options say."""

    command: tuple[str, ...] = ()
    options: SubmitOptions
    file: Path | None = None
    sweep: Path | None = None
    count: int | None = None
    like: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request: `POST /v1/jobs`, or `/v1/batches`."""

    batch: bool
    body: Mapping[str, Any]
    lines: Path | None = None
    """A file of drafts, one a line, that is sent as it is; the body is then about the batch alone."""


async def request(session: Session, asked: Asked) -> Request:
    """The request. Files of this machine are sent on the way. Raises Wrong, Invalid."""
    if asked.file is not None and asked.file.suffix in LINES:
        return _lines(asked)
    base: dict[str, Any] = {}
    if asked.file is not None:
        base = document(asked.file)
        check_document(WHAT, base, asked.file)
    if asked.like:
        base = await _like(session, asked.like) | base
    if asked.sweep is not None and asked.count is not None:
        raise Wrong(WHAT, "--sweep makes a job of each row, and --count so many equal ones", "give one of them")
    batch = bool(_BATCH & set(base)) or asked.sweep is not None or asked.count is not None
    template = dict(base.pop("template", {})) if "template" in base else {}
    if batch and "jobs" not in base:
        template = {name: base.pop(name) for name in list(base) if name in _MEMBERS} | template
    told = await _draft(session, asked)
    if asked.file is not None and asked.command and {"command", "script"} & {*base, *template}:
        session.screen.talk(f"{plain(str(asked.file))} has a command too; the one given here takes its place", WARN)
    about = msgspec.to_builtins(batch_draft(asked.options))
    if not batch:
        job = base | _over(base, told)
        _complete(job, asked.file)
        return Request(batch=False, body=job | about)
    if "jobs" in base:
        if told:
            raise Wrong(
                WHAT, f"{asked.file} has jobs of its own; {min(told)} would change none of them", "use template"
            )
        return Request(batch=True, body=base | about)
    template |= _over(template, told)
    _complete(template, asked.file)
    body = base | {"template": template} | about
    if asked.sweep is not None:
        body["sweep"] = table(asked.sweep)
    if asked.count is not None:
        body |= {"count": asked.count, "placeholders": True}
    if not {"sweep", "count"} & set(body):
        body["count"] = 1
    if "sweep" in body or body.get("placeholders"):
        for line in placeholders.left(template, placeholders.columns(body.get("sweep"))):
            session.screen.talk(line, WARN)
    return Request(batch=True, body=body)


def _lines(asked: Asked) -> Request:
    beside = set(asked.options) - {*_ABOUT, "idempotency_key"}
    if asked.command or beside or asked.sweep is not None or asked.count is not None or asked.like:
        raise Wrong(
            WHAT, f"{asked.file} has a whole job on each line", "give --name, --label, --priority, --held alone"
        )
    assert asked.file is not None  # noqa: S101  # mypy wants it said
    return Request(batch=True, body=msgspec.to_builtins(batch_draft(asked.options)), lines=asked.file)


async def _draft(session: Session, asked: Asked) -> dict[str, Any]:
    """What the command and the options say of the job, as the API takes it."""
    of_job = cast("JobOptions", {name: value for name, value in asked.options.items() if name not in _ABOUT})
    with session.patience():
        draft = await Writer(session.line).members(asked.command or None, of_job)
    found: dict[str, Any] = msgspec.to_builtins(draft)
    return found


def _over(base: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """What is told, laid over what there was: what runs takes the place of what ran, variables are added to."""
    found = dict(told)
    if "env" in told:
        found["env"] = {**base.get("env", {}), **told["env"]}
    for name in ("inputs", "outputs"):
        if name in told:
            new = {item["path"] for item in told[name]}
            found[name] = [item for item in base.get(name, ()) if item["path"] not in new] + list(told[name])
    if isinstance(base, dict) and {"command", "arguments", "files"} & set(told):
        for name in ("command", "script") if "command" not in told else ("script", "arguments", "files"):
            base.pop(name, None)
    return found


def _complete(job: Mapping[str, Any], file: Path | None) -> None:
    strange = sorted(set(job) - _MEMBERS - _BATCH - set(_ABOUT))
    if strange:
        meant = near(strange[0], _MEMBERS)
        guess = f"; did you mean {meant}?" if meant else ""
        raise Wrong(WHAT, f"{file}: a job has no member {plain(strange[0])}{guess}", "it has those of POST /v1/jobs")
    if not job.get("command") and not job.get("script") and "arguments" not in job and not job.get("files"):
        raise Wrong(WHAT, "there is no command", "jobgate submit -- COMMAND WORDS…")


def document(path: Path) -> dict[str, Any]:
    """A job or batch document, TOML or JSON. Raises Wrong."""
    import tomllib  # noqa: PLC0415  # a command without a document starts sooner

    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise Wrong(WHAT, f"{path}: {error.strerror}", "paths are read from where you are") from error
    except UnicodeDecodeError as error:
        raise Wrong(WHAT, f"{path}: it is no text in UTF-8", "write it as TOML (.toml) or JSON") from error
    except ValueError as error:
        form = "TOML" if path.suffix == ".toml" else "JSON"
        raise Wrong(WHAT, f"{path}: it is no {form}: {error}", "a document is .toml, .json or .ndjson") from error
    if not isinstance(found, dict):
        raise Wrong(WHAT, f"{path}: it holds no job or batch", "a document is one object of names and values")
    return found


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; its first line has the names. Raises Wrong."""
    import csv  # noqa: PLC0415  # as above

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = []
            names = reader.fieldnames or ()
            if twice := next((name for name in names if list(names).count(name) > 1), None):
                raise Wrong(WHAT, f"{path}: two columns are called {plain(twice)}", "give each a name of its own")
            for row in reader:
                if None in row or None in row.values():
                    raise Wrong(
                        WHAT, f"{path}:{reader.line_num}: as many values as names are needed", "correct the row"
                    )
                rows.append({str(name): str(value) for name, value in row.items()})
    except OSError as error:
        raise Wrong(WHAT, f"{path}: {error.strerror}", "paths are read from where you are") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise Wrong(WHAT, f"{path}: {error}", "a table is CSV in UTF-8, with names in its first line") from error
    if not rows:
        raise Wrong(WHAT, f"{path}: it has no rows", "one job is made for each row below the names")
    return rows


async def _like(session: Session, id_: str) -> dict[str, Any]:
    """What would submit another job again. Raises Wrong for one that only another API can say."""
    body = await session.look(f"/v1/jobs/{id_}", id_, query={"expand": "draft"})
    view = msgspec.json.decode(body)
    if "draft" not in view:
        why = f"{id_} came by the {view.get('dialect', 'other')} API, with more than can be said here"
        raise Wrong(WHAT, why, f"jobgate status {id_} --json shows it; submit it by that API again")
    own = {name: view[name] for name in ("name", "labels") if name in view}
    return own | {name: value for name, value in view["draft"].items() if name in _MEMBERS}


# --- values


def pairs(said: Sequence[str], option: str, what: str = WHAT) -> dict[str, str]:
    """`K=V`, each. Raises Wrong: `what` did not happen."""
    found = {}
    for word in said:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise Wrong(what, f"{option} {plain(word)} is no NAME=VALUE", f"{option} {plain(name) or 'NAME'}=VALUE")
        found[name] = value
    return found


def inputs(said: Sequence[str]) -> dict[str, Source]:
    """`PATH[:NAME]`: a file or directory here, an address, `folder://FOLDER/PATH` or `upload://SHA256:NAME`."""
    found: dict[str, Source] = {}
    for word in said:
        source, name = _input(word)
        found[name] = source
    return found


def sources(said: Sequence[str]) -> list[Source]:
    """As `inputs`, in order, without names."""
    return [_input(word)[0] for word in said]


def _input(word: str) -> tuple[Source, str]:
    scheme = next((s for s in ("http://", "https://", "folder://", "upload://") if word.startswith(s)), "")
    path, colon, name = word.removeprefix(scheme).rpartition(":")
    if not colon or not path or "/" in path[-1:] or (scheme.startswith("http") and ("/" in name or name.isdigit())):
        path, name = word.removeprefix(scheme), ""
    if scheme == "upload://":
        return Upload(sha256=path), name or path[:12]
    called = name or (path.rstrip("/").rpartition("/")[2] if scheme else _called(path))
    if scheme == "folder://":
        return FolderFile(path), called
    return (f"{scheme}{path}" if scheme else Path(path)), called


def _called(path: str) -> str:
    """As the client has it: a relative path keeps its name, others their last part."""
    there = Path(path)
    return there.name if there.is_absolute() or ".." in there.parts else there.as_posix()


def replication(replicas: int | None, quorum: int | None, compare: str) -> dict[str, Any]:
    """What the options say of replicas; nothing where none is given. Raises Wrong."""
    found: dict[str, Any] = {"replicas": replicas, "quorum": quorum}
    how, colon, tolerance = compare.partition(":")
    if how == "numeric":
        try:
            found["compare"] = {"numeric": {"relative": float(tolerance)} if colon else {}}
        except ValueError:
            raise Wrong(WHAT, f"--compare {plain(compare)}: what follows numeric: is a number", _HOW) from None
    elif how == "bitwise" and not colon:
        found["compare"] = how
    elif compare:
        raise Wrong(WHAT, f"--compare {plain(compare)} is not known", _HOW)
    return {name: value for name, value in found.items() if value is not None}


def ahead(text: str, option: str, now: datetime) -> datetime | None:
    """A time, or so long from now; None where there is none. Raises Wrong."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        later = seconds(text, option)
    return None if later is None else now + timedelta(seconds=later)


def seconds(text: str, option: str) -> float | None:
    """A duration; None where there is none. Raises Wrong."""
    if not text:
        return None
    found = _WRITTEN.fullmatch(text)
    if found is None or found["unit"] not in _SECONDS:
        raise Wrong("Nothing was done.", f"{option} {plain(text)} is no duration", f"{option} 90s, 5min, 2h, 3d")
    return float(found["number"]) * _SECONDS[found["unit"]]
