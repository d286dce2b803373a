"""Apps and their templates, as an operator writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobgate.config import check, load, reference
from jobgate.model.catalogue import App, Version
from jobgate.model.job import Argv, Numeric, Replication, Validator
from jobgate.model.resources import Gpu, Network, Resources
from jobgate.model.template import InputSlot, OutputSlot, Template

WHOLE = """
[apps.uppercase]
command = ["tr", "a-z", "A-Z"]
version = 120
accounts = ["ann", "bob"]
deprecated = true

[apps.uppercase.versions.90]
command = ["old-tr"]
env = {MODE = "old"}

[apps.uppercase.template]
arguments = "--usual 'two words'"
credit = 2.5

[[apps.uppercase.template.inputs]]
path = "data/in"
executable = true

[[apps.uppercase.template.inputs]]
file = "table_1.dat"

[[apps.uppercase.template.inputs]]
path = "model"
url = "https://example.org/model"
size = "5MB"
md5 = "0123456789ABCDEF0123456789abcdef"

[[apps.uppercase.template.outputs]]
path = "out"
limit = "4 MiB"

[[apps.uppercase.template.outputs]]
path = "trace"
optional = true

[apps.uppercase.template.resources]
memory = "500MB"
walltime = "2 h"
gpus = {a100 = 2}
network = "outbound"
operations = 6e10

[apps.uppercase.template.replication]
replicas = 2
quorum = 2
compare = "numeric"
relative = 0.001
"""


def read(tmp_path: Path, toml: str) -> App:
    path = tmp_path / "jobgate.toml"
    path.write_text(toml)
    (app,) = load(path).catalogue.apps.values()
    return app


def test_an_app_is_read_with_its_versions_and_its_template(tmp_path: Path) -> None:
    app = read(tmp_path, WHOLE)
    assert app.command == ("tr", "a-z", "A-Z")
    assert (app.version, app.accounts, app.deprecated) == (120, frozenset({"ann", "bob"}), True)
    assert app.versions == {90: Version(command=("old-tr",), env={"MODE": "old"})}
    assert app.template == Template(
        inputs=(
            InputSlot(path="data/in", executable=True),
            InputSlot(file="table_1.dat"),
            InputSlot(
                path="model",
                url="https://example.org/model",
                size=5_000_000,
                md5="0123456789abcdef0123456789abcdef",
            ),
        ),
        outputs=(OutputSlot(path="out", limit=4 << 20), OutputSlot(path="trace", optional=True)),
        arguments="--usual 'two words'",
        resources=Resources(
            memory=500_000_000,
            walltime=7200.0,
            gpus=(Gpu(2, "a100"),),
            network=Network.OUTBOUND,
            operations=6e10,
        ),
        replication=Replication(replicas=2, quorum=2, errors=1, successes=2, total=2, compare=Numeric(relative=0.001)),
        credit=2.5,
    )


def test_an_app_that_says_nothing_of_it_has_no_template_and_is_everybodys(tmp_path: Path) -> None:
    app = read(tmp_path, "[apps.plain]\ntitle = 'x'\n")
    assert app == App(name="plain", title="x")


def test_a_program_may_say_which_attempts_agree(tmp_path: Path) -> None:
    more = 'compare = "validator"\nvalidator = ["judge", "-q"]\n'
    app = read(tmp_path, f'[apps.a]\ncommand = ["a"]\n[apps.a.template.replication]\n{more}')
    assert app.template is not None
    assert app.template.replication.compare == Validator(command=Argv(("judge", "-q")))


HEAD = '[apps.a]\ncommand = ["a"]\n'


@pytest.mark.parametrize(
    ("toml", "line", "key", "says"),
    [
        ("[apps.a.template]\narguments = 'x'", 0, "apps.a.command", "name it"),
        ("[apps.a]\ncommand = ['a\\u0000']".replace("'", '"'), 2, "apps.a.command", "NUL"),
        (f"{HEAD}[apps.a.versions.new]\n", 3, "apps.a.versions.new", "by a number"),
        (f"{HEAD}[apps.a.versions.0]\n", 3, "apps.a.versions.0", "by a number"),
        (
            f"{HEAD}[[apps.a.template.inputs]]\n[[apps.a.template.inputs]]\npath='/x'",
            5,
            "apps.a.template.inputs.1.path",
            "path",
        ),
        (f"{HEAD}[[apps.a.template.inputs]]\nfile='a/b'", 4, "apps.a.template.inputs.0.file", "a name"),
        (f"{HEAD}[[apps.a.template.inputs]]\nfile='a'\nurl='http://x'", 5, "apps.a.template.inputs.0.url", "one of"),
        (f"{HEAD}[[apps.a.template.inputs]]\nurl='http://x'", 4, "apps.a.template.inputs.0.url", "together"),
        (f"{HEAD}[[apps.a.template.inputs]]\nmd5='00'", 4, "apps.a.template.inputs.0.md5", "together"),
        (
            f"{HEAD}[[apps.a.template.inputs]]\nurl='http://x'\nmd5='00'",
            5,
            "apps.a.template.inputs.0.md5",
            "32 hexadecimal",
        ),
        (f"{HEAD}[[apps.a.template.outputs]]\nlimit=4", 3, "apps.a.template.outputs.0.path", "named"),
        (f"{HEAD}[[apps.a.template.outputs]]\npath='o'\nlimit='big'", 5, "apps.a.template.outputs.0.limit", "a size"),
        (f"{HEAD}[apps.a.template.replication]\nquorum = 2", 4, "apps.a.template.replication.quorum", "<= replicas"),
        (f"{HEAD}[apps.a.template.replication]\ncompare = 'eye'", 4, "apps.a.template.replication.compare", "one of"),
        (
            f"{HEAD}[apps.a.template.replication]\ncompare = 'validator'",
            4,
            "apps.a.template.replication.compare",
            "which program",
        ),
        (f"{HEAD}[apps.a.template.resources]\ncores = 1e30", 4, "apps.a.template.resources.cores", "cores"),
    ],
)
def test_what_is_wrong_with_an_app_is_told_with_its_line(toml: str, line: int, key: str, says: str) -> None:
    (fault,) = check(toml)
    assert (fault.key, fault.line or line) == (key, line or fault.line)
    assert says in fault.message


def test_the_reference_lists_every_part_of_a_template() -> None:
    page = reference()
    for section in ("apps.NAME.versions.NUMBER", "[apps.NAME.template.inputs]", "apps.NAME.template.replication"):
        assert f"## `[{section}]`" in page
    assert "| `limit` | size | `0` |" in page
