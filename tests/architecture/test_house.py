"""The rules of the house, one sentence each. They read the repository's files and run none of its code."""

from __future__ import annotations

import ast
import io
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LONGEST: Final = 450
"""Lines of a source file: a longer one is two ideas."""

# The forbidden words are put together here, so that this file does not hold them.
MACHINE: Final = re.compile("|".join(("/" + "work/(?:main|shared|\\.library)", "/" + "root/", "/" + "tmp/" + "bash")))
"""Places of one machine. A job's own workspace appears at the first of them too, so what follows it is named."""
REGISTRIES: Final = re.compile(
    "|".join(
        re.escape(".".join(labels))
        for labels in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "org"),
            ("yarnpkg", "com"),
            ("crates", "io"),
            ("proxy", "golang", "org"),
            ("deb", "debian", "org"),
            ("archive", "ubuntu", "com"),
        )
    )
)
FRAGMENT_TYPES: Final = ("feature", "bugfix", "doc", "removal", "misc")
"""Towncrier's own, used where the configuration names none."""

FENCE: Final = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
CODE: Final = re.compile(r"`[^`\n]*`")
LINK: Final = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[^)]*)?\)|^ {0,3}\[[^\]]+\]:\s+<?([^\s>]+)", re.MULTILINE)
ELSEWHERE: Final = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
REQUIREMENT: Final = re.compile(r"[A-Za-z0-9]")
EXCUSE: Final = re.compile(
    r"#\s*(?:noqa(?::\s*[A-Z]+\d+(?:[,\s]+[A-Z]+\d+)*)?|type:\s*ignore(?:\[[^\]]*\])?)(?P<rest>.*)", re.IGNORECASE
)
TABLE: Final = re.compile(r"\[\[?(?P<name>[^\]]+)\]?\]\s*(?:#.*)?")
ENTRY: Final = re.compile(r"""(?P<key>[\w."*/-]+)\s*=\s*(?P<value>.*)""")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # every word of the command is written in this file
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )


@cache
def files() -> tuple[Path, ...]:
    """What is committed, or would be by adding everything."""
    git = shutil.which("git")
    assert git, "the rules of the house ask git which files there are"
    listed = run(git, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    assert listed.returncode == 0, listed.stderr
    paths = (ROOT / name for name in sorted(set(listed.stdout.split("\0"))) if name)
    return tuple(path for path in paths if path.is_file())


@cache
def text(path: Path) -> str:
    """Empty for a file that is no text."""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode(errors="replace")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def of_kind(suffix: str, *folders: str) -> Iterator[Path]:
    for path in files():
        if path.suffix == suffix and (not folders or named(path).split("/")[0] in folders):
            yield path


def numbered(path: Path) -> Iterator[tuple[str, str]]:
    """Each line with the place it stands at."""
    for number, line in enumerate(text(path).splitlines(), 1):
        yield f"{named(path)}:{number}", line


def lines_that_hold(pattern: re.Pattern[str]) -> list[str]:
    holding = (path for path in files() if pattern.search(text(path)))
    return [f"{place}: {line.strip()}" for path in holding for place, line in numbered(path) if pattern.search(line)]


def test_every_import_stays_on_its_floor() -> None:
    result = run(Path(sys.executable).parent / "lint-imports", "--no-cache")
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_source_file_is_longer_than_one_idea() -> None:
    lengths = {named(path): len(text(path).splitlines()) for path in of_kind(".py", "src", "scripts")}
    assert lengths
    assert not {name: length for name, length in lengths.items() if length > LONGEST}


def test_no_file_holds_a_path_of_one_machine() -> None:
    assert not lines_that_hold(MACHINE)


def test_no_file_names_the_host_of_a_registry() -> None:
    assert not lines_that_hold(REGISTRIES)


def unhashed(requirements: str) -> list[str]:
    """The requirements without a hash; a line that ends in a backslash goes on in the next."""
    whole = requirements.replace("\\\n", " ").splitlines()
    return [line for line in whole if REQUIREMENT.match(line) and "--hash=sha256:" not in line]


def test_every_requirement_has_a_hash() -> None:
    locks = list(of_kind(".txt", "requirements"))
    assert locks
    assert not [f"{named(lock)}: {line}" for lock in locks for line in unhashed(text(lock))]
    assert unhashed("a==1 \\\n    --hash=sha256:0\nb==2\n# c\n    # via a\n") == ["b==2"]


def links(markdown: str) -> list[str]:
    """Where its links lead, as far as that is inside the repository; code is no link."""
    prose = CODE.sub("", FENCE.sub("", markdown))
    found = (match[1] or match[2] for match in LINK.finditer(prose))
    inside = (link.split("#")[0] for link in found if not ELSEWHERE.match(link))
    return [link for link in inside if link]


def test_every_link_inside_the_repository_leads_to_a_file_of_it() -> None:
    targets = {place for path in files() for place in (path, *path.parents)}
    broken = [
        f"{named(page)}: {link}"
        for page in of_kind(".md")
        for link in links(text(page))
        if (page.parent / link).resolve() not in targets
    ]
    assert not broken
    assert links("[a](b.md#c) [d](https://e) [f](#g)\n```\n[h](i)\n```\n`[j](k)`\n[l]: m.md\n") == ["b.md", "m.md"]


def test_every_news_fragment_has_a_known_type() -> None:
    settings = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["towncrier"]
    own = settings.get("type", ())
    known = {kind.get("directory", kind["name"].lower()) for kind in own} if isinstance(own, list) else set(own)
    known = known or set(settings.get("fragment", ())) or set(FRAGMENT_TYPES)
    fragments = [path for path in files() if path.parent == ROOT / settings["directory"] and path.name != "README.md"]
    shape = re.compile(rf"[^.]+\.({'|'.join(map(re.escape, sorted(known)))})(\.\d+)?\.md")
    assert not [named(path) for path in fragments if not shape.fullmatch(path.name)]
    assert not [named(path) for path in fragments if not text(path).strip()]


def sleeps(source: str) -> list[int]:
    """Lines where a fixed time is slept. Waiting for 0 seconds gives way to others, and is no sleep."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    asleep = (call for call in calls if ast.unparse(call.func).split(".")[-1] == "sleep")
    return [
        call.lineno
        for call in asleep
        for length in [*call.args, *(keyword.value for keyword in call.keywords)][:1]
        if isinstance(length, ast.Constant) and length.value
    ]


def test_no_test_sleeps() -> None:
    tests = [path for path in of_kind(".py", "tests") if "sleep" in text(path)]
    assert not [f"{named(path)}:{line}" for path in tests for line in sleeps(text(path))]
    assert sleeps("time.sleep(0.1)\nawait asyncio.sleep(0)\nsleep(pause)\nawait asyncio.sleep(delay=1)\n") == [1, 4]


def bare_excuses(source: str) -> list[int]:
    """Lines where a linter is told to look away, and not why."""
    comments = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT]
    told = [(comment.start[0], EXCUSE.search(comment.string)) for comment in comments]
    return [line for line, match in told if match and not match["rest"].strip(" #:-")]


def test_every_exception_to_a_linter_in_the_code_has_its_reason() -> None:
    assert not [f"{named(path)}:{line}" for path in of_kind(".py") for line in bare_excuses(text(path))]
    told = "a  # noqa: A001\nb  # noqa: A001, B002  # why\nc  # type: ignore[misc]\nd = '# noqa'\ne  # noqa\n"
    assert bare_excuses(told) == [1, 3, 5]


def unexplained(settings: str) -> list[int]:
    """Lines of a TOML file that excuse something (their key or their table says `ignore`) and not why."""
    table, key, found = "", "", []
    for number, line in enumerate(settings.splitlines(), 1):
        head = TABLE.fullmatch(line)
        entry = ENTRY.match(line)
        if head:
            table, key = head["name"], ""
            continue
        if entry:
            key = entry["key"]
        value = entry["value"] if entry else line
        excuses = "ignore" in table or "ignore" in key
        opens = value.split("#")[0].strip() in ("", "[", "]", "],")
        if excuses and not opens and not re.search(r"#\s*\S", value):
            found.append(number)
    return found


def test_every_exception_to_a_linter_in_the_settings_has_its_reason() -> None:
    assert not [f"pyproject.toml:{line}" for line in unexplained(text(ROOT / "pyproject.toml"))]
    told = '[x]\nignore = [\n  "A", # why\n  "B",\n]\nlist = [\n  "C",\n]\n[x.per-file-ignores]\n"t/**" = ["D"]\n'
    assert unexplained(told) == [4, 10]
