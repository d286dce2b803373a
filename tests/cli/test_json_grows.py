"""What `--json` prints only ever gains members: each command's is recorded in `schemas/`, and held to that.

A new member is recorded by JOBGATE_GOLDEN=1; one that is gone, of another type, or without one of its words fails.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from gateways import Gateway
from json_shapes import Schema, bare, drawn, fits, lost, reached, worded

from jobgate.auth.desk import open_accounts
from jobgate.cli.main import TABLE
from jobgate.cli.root import commands, run
from jobgate.dialects.dialect import Setup
from jobgate.dialects.native.routes import Native
from jobgate.model.account import Kind

SCHEMAS: Final = Path(__file__).parent / "schemas"
GOLDEN: Final = bool(os.environ.get("JOBGATE_GOLDEN"))
OF_API: Final[Mapping[str, tuple[str, ...]]] = {
    "submit": ("JobView", "BatchView"),
    "list": ("BatchPage", "JobPage"),
    "status": ("JobView", "BatchView", "JobsFound"),
    "wait": ("JobView", "BatchView"),
    "events": ("EventView",),
    "cancel": ("JobView", "CancelView"),
    "renew": ("BatchView",),
    "retire": ("BatchView",),
    "retry": ("JobView", "RetryView"),
    "hold": ("JobView", "BatchView"),
    "release": ("JobView", "BatchView"),
    "change": ("JobView", "BatchView"),
    "files": ("FileList",),
    "upload": ("UploadView",),
    "folders list": ("FolderList", "EntryList"),
    "folders create": ("FolderView",),
    "environments": ("EnvironmentList", "EnvironmentView"),
    "apps": ("AppList",),
    "estimate": ("EstimatedView",),
    "whoami": ("AccountView",),
    "login": ("AccountView",),
    "webhooks list": ("WebhookPage",),
    "webhooks create": ("WebhookView",),
    "webhooks rotate": ("WebhookView",),
    "webhooks enable": ("WebhookView",),
    "webhooks test": ("DeliveryView",),
    "webhooks resend": ("DeliveryView",),
    "webhooks deliveries": ("DeliveryPage",),
}
"""Commands that print a body of the API: one of these. The others' are drawn from what they print below."""
CONFIG: Final = """
[environments.local]
slots = 2
[images.host]
[apps.sh]
"""


def document() -> dict[str, Schema]:
    """The API's own schemas, as they are now."""
    found = json.loads(Native(Setup(prefix="/v1")).document())["components"]["schemas"]
    return {name: worded(name, bare(schema)) for name, schema in found.items()}


def recorded() -> dict[str, Schema]:
    """Those of the API, as they are recorded."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.json")}


def jsons() -> set[str]:
    """Every command that has `--json`."""

    def walk(command: Any, name: str) -> Iterator[str]:
        for below in getattr(command, "commands", ()):
            yield from walk(command.commands[below], f"{name} {below}".strip())
        if any("--json" in parameter.opts for parameter in command.params):
            yield name

    root: Any = typer.main.get_group(commands)
    return {name for word in TABLE for name in walk(root.commands[word], word)}


def held(name: str, now: Schema) -> Schema:
    """The recorded schema, which `now` has lost nothing of; recorded anew where that is asked for."""
    path = SCHEMAS / f"{name.replace(' ', '-')}.json"
    if not (GOLDEN and not path.exists()):
        was = json.loads(path.read_text(encoding="utf-8"))
        missed = list(lost(was, now))
        assert not missed, f"{name}: {missed}"
    if GOLDEN:
        path.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    found: Schema = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", sorted({name for names in OF_API.values() for name in names}))
def test_no_body_of_the_api_that_a_command_prints_loses_anything(name: str) -> None:
    for each, schema in reached(name, document()).items():
        assert held(each, schema) == schema, f"{each} has gained something: JOBGATE_GOLDEN=1 records it"


# --- what the commands print, in front of a gateway


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Any]]]:
    """The documents that each command printed, by its name."""
    folder = tmp_path_factory.mktemp("json")
    for above in (folder, *list(folder.parents)[:3]):
        above.chmod(0o711 | (above.stat().st_mode & 0o7777))
    gateway = Gateway(folder / "data", CONFIG)
    gateway.data.mkdir(mode=0o711)
    desk = open_accounts(gateway.data, "", "tests", make=True)
    desk.create("lab")
    key = desk.add("lab", Kind.API_KEY, None)[1]
    gateway.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOBGATE_SERVER", gateway.url)
        patch.setenv("JOBGATE_KEY", key)
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("HOME", str(folder))
        patch.chdir(folder)
        try:
            yield Typed(patch, folder / "data").all()
        finally:
            gateway.kill()


class Typed:
    """Types the commands one after the other, and keeps what they print."""

    def __init__(self, patch: pytest.MonkeyPatch, data: Path) -> None:
        self._patch = patch
        self._data = data
        self.found: dict[str, list[Any]] = {}

    def __call__(self, name: str, *words: str) -> Any:
        out = io.StringIO()
        with self._patch.context() as patch:
            patch.setattr(sys, "stdout", out)
            code = run([*name.split(), "--json", *words])
        assert code in (0, 1), (name, words, code)
        documents = [json.loads(line) for line in out.getvalue().splitlines()]
        assert documents, (name, words)
        self.found.setdefault(name, []).extend(documents)
        return documents[-1]

    def all(self) -> dict[str, list[Any]]:
        """Each command that has `--json`."""
        self._jobs()
        self._files()
        self._places()
        self._webhooks()
        self._operator()
        return self.found

    def _jobs(self) -> None:
        job = self("submit", "--output", "o", "--output", "none", "--wait", "--", "sh", "-c", "echo hi | tee o")["id"]
        two = ("--count", "2", "--label", "a=b", "--name", "two")
        batch = self("submit", *two, "--", "sh", "-c", "exit {index}")["id"]
        self("wait", batch)
        self("wait", job)
        self("wait", job, batch)
        waiting = self("submit", "--held", "--", "true")["id"]
        self("list")
        self("list", "--jobs")
        for words in ([job], [batch], [waiting], [job, batch]):
            self("status", *words)
        self("logs", job)
        self("events", job)
        self("files", job)
        self("download", "--to", "there", job)
        self("retry", f"{batch}-2")
        self("wait", batch)
        self("retry", "--failed", batch)
        self("wait", batch)
        self("change", "--priority", "3", waiting)
        self("release", waiting)
        self("wait", waiting)
        more = self("submit", "--held", "--count", "2", "--", "true")["id"]
        self("hold", more)
        self("cancel", f"{more}-1")
        self("cancel", more)
        self("delete", more)
        self("renew", batch, "--expires", "30d")
        self("retire", batch)
        self("estimate", "--", "true")

    def _files(self) -> None:
        Path("a.txt").write_text("a")
        self("upload", "a.txt")
        self("folders create", "box")
        self("folders put", "a.txt", "box/a.txt")
        self("folders list")
        self("folders list", "box")
        self("folders get", "--to", "b.txt", "box/a.txt")
        self("folders remove", "box/a.txt")
        self("folders delete", "box")

    def _places(self) -> None:
        for name in ("environments", "apps", "whoami", "top"):
            self(name)
        self("environments", "local")
        Path("key").touch(mode=0o600)
        Path("key").write_text(os.environ["JOBGATE_KEY"])
        self("login", "--server", os.environ["JOBGATE_SERVER"], "--key-file", "key")
        self("doctor")

    def _webhooks(self) -> None:
        hook = self("webhooks create", "http://127.0.0.1:9/hook")["id"]
        self("webhooks list")
        self("webhooks rotate", hook)
        self("webhooks enable", hook)
        message = self("webhooks test", hook)["id"]
        self("webhooks deliveries", hook)
        self("webhooks resend", hook, message)
        self("webhooks delete", hook)

    def _operator(self) -> None:
        data = ("--data", str(self._data))
        self("account create", "other", *data)
        self("account list", *data)
        self("account limit", "other", *data)
        self(
            "account limit",
            "other",
            "--live-jobs",
            "5",
            "--running",
            "5",
            "--cores",
            "5",
            "--calls",
            "5",
            "--storage",
            "1GiB",
            *data,
        )
        self("account block", "other", *data)
        self("account block", "other", "--undo", *data)
        self("account history", "other", *data)
        self("credential add", "other", "--expires", "2", *data)
        made = self("credential add", "other", *data)
        assert made["value"]
        self("credential revoke", "other", str(self("credential list", "other", *data)[0]["id"]), *data)
        self("account merge", "other", "lab", *data)
        self("account list", *data)
        self("account history", "lab", *data)
        Path("good.toml").write_text(CONFIG)
        Path("bad.toml").write_text("[server]\nprot = 1\n")
        self("config check", "good.toml")
        self("config check", "bad.toml")
        self("key history", *data)
        self("completion show", "bash")
        self("completion install", "bash")


def test_every_command_with_json_is_tried(printed: dict[str, list[Any]]) -> None:
    assert jsons() - printed.keys() == {"key rotate"}  # only beside no server: `tests/cli/test_people_commands.py`


@pytest.mark.parametrize("name", sorted(OF_API))
def test_a_body_of_the_api_is_printed_as_it_is_recorded(printed: dict[str, list[Any]], name: str) -> None:
    known = recorded()
    for found in printed[name]:
        if not any(fits(found, known[one], known) for one in OF_API[name]):  # several, each as it is alone
            assert name in ("wait", "status"), found
            assert all(any(fits(one, known[view], known) for view in OF_API["wait"]) for one in found["items"])


def test_top_prints_three_bodies_of_the_api(printed: dict[str, list[Any]]) -> None:
    (found,) = printed["top"]
    parts = {"environments": "EnvironmentList", "account": "AccountView", "batches": "BatchPage"}
    known = recorded()
    for name, view in parts.items():
        assert fits(found[name], known[view], known), name


@pytest.mark.parametrize("name", sorted(jsons() - OF_API.keys() - {"key rotate", "top"}))
def test_a_body_of_the_commands_own_loses_nothing(printed: dict[str, list[Any]], name: str) -> None:
    now = drawn(printed[name])["items"]
    held(f"{name} of its own", now)


# --- the comparison itself


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"properties": {"a": {"type": "string"}}}, ".b is gone"),
        ({"properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}}}, ".a was string, and is integer"),
        ({"properties": {"a": {"type": "string"}, "b": {"enum": ["x"]}}}, ".b is never y any more"),
        (
            {"properties": {"a": {"type": "string"}, "b": {"enum": ["x", "y"]}}, "required": []},
            "the body may lack a, which were always there",
        ),
    ],
)
def test_what_is_lost_is_named(now: Schema, told: str) -> None:
    was = {"properties": {"a": {"type": "string"}, "b": {"enum": ["x", "y"]}}, "required": ["a"]}
    assert told in list(lost(was, {"required": ["a"], **now}))
    assert not list(lost(was, was))


def test_what_is_new_is_nothing_lost() -> None:
    was: Schema = {"type": "object", "properties": {"a": {"enum": ["x"]}}, "anyOf": [{"type": "string"}]}
    now = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}, "b": {}}, "anyOf": [{}, {"type": "string"}]}
    assert not list(lost(was, now))
