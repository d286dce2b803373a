from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobgate.config import Settings, check, load, reference, text
from jobgate.config.lines import locate
from jobgate.model.errors import Invalid

SECTIONS = {
    "server": "port",
    "storage": "reserve",
    "egress": "timeout",
    "environments.gpu": "slots",
    "environments.gpu.defaults": "memory",
    "apps.r": "title",
    "apps.r.versions.90": "image",
    "apps.r.template": "credit",
    "apps.r.template.resources": "memory",
    "apps.r.template.replication": "quorum",
    "images.r": "root",
    "limits": "batch",
    "retention": "files",
}


def told(toml: str) -> list[tuple[int, str, str]]:
    return [(fault.line, fault.key, fault.message) for fault in check(toml)]


@pytest.mark.parametrize(("section", "key"), SECTIONS.items())
def test_a_misspelt_key_is_named_with_its_line_and_what_was_meant(section: str, key: str) -> None:
    wrong = key[:-1] + "z" if len(key) < 5 else key[0] + key[2:]
    toml = f"# a comment\n\n[{section}]\n{wrong} = 1\n"
    assert told(toml) == [(4, f"{section}.{wrong}", f"there is no such key; did you mean {key}?")]


def test_a_misspelt_section_is_named_with_what_was_meant() -> None:
    assert told("[sever]\nport = 1") == [(1, "sever", "there is no such key; did you mean server?")]


def test_a_key_like_no_other_is_named_without_a_guess() -> None:
    assert told("[server]\nxyzzy = 1") == [(2, "server.xyzzy", "there is no such key")]


@pytest.mark.parametrize(
    ("line", "key", "message"),
    [
        ("port = 'a'", "server.port", "must be a whole number"),
        ("port = 1.0", "server.port", "must be a whole number"),
        ("port = true", "server.port", "must be a whole number"),
        ("port = 65536", "server.port", "must be from 0 to 65535"),
        ("port = -1", "server.port", "must be from 0 to 65535"),
        ("host = 5", "server.host", "must be a text"),
        ("stop_jobs = 1", "server.stop_jobs", "must be true or false"),
        ("role = 'both'", "server.role", "must be one of all, runner, server"),
        ("trusted_proxies = '10.0.0.0/8'", "server.trusted_proxies", "must be a list"),
        ("trusted_proxies = ['10.0.0.0/8', 'x']", "server.trusted_proxies.1", "must be a network such as 10.1.0.0/16"),
        ("public_url = 'x'", "server.public_url", "must be an address such as https://jobs.example.org"),
    ],
)
def test_a_wrong_value_of_the_server_is_named_with_its_line(line: str, key: str, message: str) -> None:
    ((number, where, said),) = told(f"[server]\n{line}\n")
    assert (number, where) == (2, key)
    assert said.startswith(message)


@pytest.mark.parametrize(
    ("toml", "line", "key", "message"),
    [
        ("server = 5", 1, "server", "must be a section"),
        ("environments = 5", 1, "environments", "must be a table"),
        ("[environments]\nlocal = 5", 2, "environments.local", "must be a section"),
        ("[environments.'No']\n", 1, "environments.No", "is no name: small letters, digits, and . _ - between them"),
        ("[environments.a]\nslots = -1", 2, "environments.a.slots", "must be at least 0"),
        ("[environments.a]\ncores = 'x'", 2, "environments.a.cores", "must be a number"),
        ("[environments.a]\ngpus = {a100 = 'x'}", 2, "environments.a.gpus.a100", "must be a whole number"),
        ("[environments.a]\nmemory = '4 gigs'", 2, "environments.a.memory", "must be a size such as"),
        ("[environments.a]\nnetwork = 'all'", 2, "environments.a.network", "must be one of host, none, outbound"),
        ("[egress.hosts]\n'a.b' = 'x'", 2, "egress.hosts.a.b", "must be an address such as"),
        ("[retention]\nfiles = '1 w'", 2, "retention.files", "must be a duration such as"),
        ("[dialects]\nnative = 5", 2, "dialects.native", "must be a table"),
    ],
)
def test_a_wrong_value_anywhere_is_named_with_its_line(toml: str, line: int, key: str, message: str) -> None:
    ((number, where, said),) = told(toml)
    assert (number, where) == (line, key)
    assert said.startswith(message)


def test_every_fault_is_told_at_once_in_the_order_of_lines() -> None:
    toml = "[server]\nprot = 1\nhost = 5\n\n[environments.b]\nslots = 'x'\n[limits]\nbatch = 'y'\n"
    assert [(line, key) for line, key, _ in told(toml)] == [
        (2, "server.prot"),
        (3, "server.host"),
        (6, "environments.b.slots"),
        (8, "limits.batch"),
    ]


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("a = ", 1),
        ("[server]\nport = 1\nport = 2\n", 3),
        ("[server]\n\n[server]\n", 3),
        ("[server\n", 1),
        ("x = 'abc\ny = 1", 2),
        ('x = "\\q"', 1),
        ("x = [1,\n2", 2),
    ],
)
def test_what_is_no_toml_is_told_with_its_line_and_nothing_else(toml: str, line: int) -> None:
    ((number, key, message),) = told(toml)
    assert (number, key) == (line, "")
    assert message


def test_nesting_without_end_is_refused() -> None:
    assert told("a = " + "[" * 100_000) == [(0, "", "it is nested too deeply")]


@pytest.mark.parametrize("depth", [100, 200, 300])
def test_deep_nesting_that_toml_can_read_is_a_fault_of_its_key(depth: int) -> None:
    faults = told("[server]\nhost = " + "[" * depth + "]" * depth)
    assert faults in ([(2, "server.host", "must be a text")], [(0, "", "it is nested too deeply")])


# --- files


def test_a_file_that_is_good_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[server]\nport = 0\n[storage]\nreserve = '2 GiB'\n[retention]\nfiles = '2 d'\n")
    settings = load(path, {"host": "::1"})
    assert (settings.server.port, settings.server.host) == (0, "::1")
    assert (settings.storage.reserve, settings.retention.files) == (2 << 30, 172_800.0)


def test_no_file_is_the_defaults_with_one_environment_called_local() -> None:
    settings = load(None)
    assert msgspec.structs.replace(settings, environments={}) == Settings(environments={})
    assert list(settings.environments) == ["local"]


def test_faults_of_a_file_are_told_with_its_name_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[server]\nprot = 1\nhost = 5\n")
    with pytest.raises(Invalid) as caught:
        load(path)
    assert caught.value.message.splitlines() == [
        f"{path}:2: server.prot: there is no such key; did you mean port?",
        f"{path}:3: server.host: must be a text",
    ]


def test_a_syntax_error_of_a_file_names_no_key(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("a = \n")
    with pytest.raises(Invalid) as caught:
        load(path)
    assert caught.value.message == f"{path}:1: Invalid value (at line 1, column 5)"


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"[server]\n# caf\xe9\n")
    with pytest.raises(Invalid, match=r"a\.toml:2: this is not UTF-8"):
        text(path)


def test_a_file_of_ten_megabytes_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    with path.open("wb") as file:
        file.truncate(10 << 20)
    with pytest.raises(Invalid, match="larger than 1 MiB"):
        load(path)
    with pytest.raises(Invalid, match="larger than 1 MiB"):
        text(Path("/dev/zero"))


def test_the_largest_file_that_is_taken_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[apps.host.env]\n" + "".join(f"v{n} = 'x'\n" for n in range(60_000)))
    assert len(load(path).apps["host"].env) == 60_000


@pytest.mark.parametrize("name", ["none.toml", ""])
def test_a_file_that_cannot_be_read_is_refused_in_words(name: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"cannot be read: (No such file|Is a directory)"):
        load(tmp_path / name)


# --- lines and the page

NAMES = st.text("ab-_", min_size=1, max_size=3) | st.just("'x.y'") | st.just('"q\\u0041"')
VALUES = st.recursive(
    st.sampled_from(["1", "'a'", '"b"', "true", "1979-05-27 07:32:00", "'''\nx\n'''", '"""\n\\"""\n"""']),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: "[\n" + ", # c\n".join(items) + "\n]"),
    max_leaves=5,
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.integers(0, 3))
def test_the_line_of_each_key_is_where_it_stands(pairs: list[tuple[str, str]], blanks: int) -> None:
    toml, wanted = "[t]\n" + "\n" * blanks, {}
    for name, value in pairs:
        key = tomllib.loads(f"{name} = 1").popitem()[0]
        if key in wanted:
            continue
        wanted[key] = toml.count("\n") + 1
        toml += f"{name} = {value}\n"
    tomllib.loads(toml)
    lines = locate(toml)
    assert {key: lines["t", key] for key in wanted} == wanted


@given(st.text("[]{}=.,#\"'\\\n ab1", max_size=40))
def test_whatever_the_text_is_faults_are_told_and_nothing_else_happens(toml: str) -> None:
    for fault in check(toml):
        assert 0 <= fault.line <= toml.count("\n") + 1


def test_the_page_names_every_key_with_its_default() -> None:
    page = reference()
    for name in ("`port`", "`reserve`", "`sandbox`", "`walltime`", "`licence_url`", "`live_jobs`", "`records`"):
        assert f"| {name} |" in page
    assert "| `reserve` | size | `1GiB` |" in page
    assert "| `records` | duration | `90 d` |" in page
    assert "On SQLite one process does both" in page


def test_no_setting_that_may_hold_a_secret_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(
        "[server]\ndatabase = 'postgresql://u:hush@h/d'\n[storage]\nurl = 's3://hush@x'\n"
        "[apps.r]\nenv = {TOKEN = 'hush'}\n[dialects.native]\nkey = 'hush'\n"
    )
    settings = load(path)
    for shown in (settings, settings.server, settings.storage, settings.apps["r"]):
        assert "hush" not in f"{shown!r} {shown}"
