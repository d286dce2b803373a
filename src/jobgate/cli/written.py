"""How a document writes what people write otherwise: a slip in form is told with the form, before it is sent.

The server judges all else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from jobgate.cli.connect import Wrong
from jobgate.client.words import plain


class Form(NamedTuple):
    """What a member is, and how it is written."""

    is_: Callable[[object], bool]
    kind: str
    toml: str
    json: str


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _size(value: object) -> bool:
    return _number(value) or isinstance(value, str)


FORMS: Final[Mapping[str, Form]] = {
    "command": Form(_words, "list of words", 'command = ["python", "train.py"]', '"command": ["python", "train.py"]'),
    "env": Form(_texts, "table of texts", 'env = { SEED = "1" }', '"env": {"SEED": "1"}'),
    "inputs": Form(
        _tables,
        "list of tables",
        'inputs = [{ path = "a.txt", content = "text" }]    or leave it away, and name a file here with --input a.txt',
        '"inputs": [{"path": "a.txt", "content": "text"}]    or leave it away, and name a file here with --input a.txt',
    ),
    "outputs": Form(_tables, "list of tables", 'outputs = [{ path = "out.txt" }]', '"outputs": [{"path": "out.txt"}]'),
    "cores": Form(_number, "number", "cores = 1.5", '"cores": 1.5'),
    "gpus": Form(_number, "number", "gpus = 2", '"gpus": 2'),
    "tries": Form(_number, "number", "tries = 3", '"tries": 3'),
    "memory": Form(_size, "size", 'memory = "4GiB"', '"memory": "4GiB"'),
    "disk": Form(_size, "size", 'disk = "10GiB"', '"disk": "10GiB"'),
    "walltime": Form(
        _number, "number of seconds", "walltime = 300    or --walltime 5min", '"walltime": 300    or --walltime 5min'
    ),
}

BATCH: Final[Mapping[str, Form]] = {
    "template": Form(
        lambda value: isinstance(value, dict),
        "table",
        '[template]    and below it the members of a job: command = ["echo", "{index}"]',
        '"template": {"command": ["echo", "{index}"]}',
    ),
    "jobs": Form(
        _tables,
        "list of tables",
        '[[jobs]]    and below it: command = ["echo", "1"]',
        '"jobs": [{"command": ["echo", "1"]}]',
    ),
}


def check_document(what: str, found: Mapping[str, Any], file: Path) -> None:
    """Raises Wrong for the first member that has another form than the API takes, and shows how it is written."""
    _check(what, found, BATCH, file)
    for job in (found, found.get("template", {}), *found.get("jobs", ())):
        _check(what, job, FORMS, file)


def _check(what: str, job: Mapping[str, Any], forms: Mapping[str, Form], file: Path) -> None:
    for name, form in forms.items():
        if name in job and not form.is_(job[name]):
            next_ = form.toml if file.suffix == ".toml" else form.json
            raise Wrong(what, f"{plain(str(file))}: {name} is no {form.kind}", next_)
