"""Jobs that say only what differs: arguments, and files in the order of a template's slots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobgate.model.binding import Binder, Brought, bind
from jobgate.model.catalogue import App, Version
from jobgate.model.errors import Invalid, NotFound
from jobgate.model.files import Copied, FileRef, HostFile, Inline, Remote, StagedFile, Stored, UserFile
from jobgate.model.ids import Digest, FolderId
from jobgate.model.job import AppRef, Argv, Replication
from jobgate.model.resources import Network, Resources
from jobgate.model.template import InputSlot, OutputSlot, Template, words

TEMPLATE = Template(
    inputs=(InputSlot(path="in"), InputSlot(file="table_1.dat", path="table"), InputSlot(executable=True)),
    outputs=(OutputSlot(path="out", limit=4000), OutputSlot(path="trace", optional=True)),
    arguments="--usual 'two words'",
    resources=Resources(memory=1000, operations=6e10),
    credit=2.5,
)
APP = App(
    name="upper", command=("upper", "-q"), template=TEMPLATE, charge=2.0, versions={90: Version(command=("old",))}
)
A, B = Brought(Inline(b"a"), "a.txt"), Brought(Inline(b"b"), "b.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ()),
        (" \t\n ", ()),
        ("--t 10", ("--t", "10")),
        ("--t\n10\r\n x", ("--t", "10", "x")),
        ("'one word' \"and 'another'\"", ("one word", "and 'another'")),
        ("--name='two words'", ("--name='two", "words'")),
        ("a\\ b \\'c d\\'", ("a\\", "b", "\\'c", "d\\'")),
        ("''", ("",)),
        ("'a'b", ("a", "b")),
        ("x 'to the end ", ("x", "to the end ")),
        ('"', ("",)),
    ],
)
def test_a_line_of_arguments_is_split_as_boinc_splits_it(text: str, said: tuple[str, ...]) -> None:
    assert words(text) == said


@given(st.lists(st.text(st.characters(exclude_characters="'\"", exclude_categories=("Z", "C")), min_size=1)))
def test_words_without_blanks_and_quotes_are_what_was_joined(parts: list[str]) -> None:
    assert words(" ".join(parts)) == tuple(parts)


@given(st.lists(st.text(st.characters(exclude_characters="'"))))
def test_quoted_words_hold_anything_but_their_quote(parts: list[str]) -> None:
    assert words(" ".join(f"'{part}'" for part in parts)) == tuple(parts)


@given(st.text(st.sampled_from("'\" ab\\\n")))
def test_no_text_is_refused_and_none_of_its_letters_is_made_up(text: str) -> None:
    assert set("".join(words(text))) <= set(text)


def test_a_bound_job_says_what_runs_and_with_what() -> None:
    spec = bind(APP, None, (A, B), "--t '1 0'")
    (step,) = spec.steps
    assert step.command == Argv(("upper", "-q", "--t", "1 0"))
    assert step.program == AppRef("upper")
    assert [(item.path, item.source, item.executable) for item in spec.inputs] == [
        ("in", A.source, False),
        ("table", StagedFile("table_1.dat"), False),
        ("b.txt", B.source, True),
    ]
    assert [(item.path, item.limit, item.required) for item in spec.outputs] == [
        ("out", 4000, True),
        ("trace", 0, False),
    ]
    assert spec.resources == TEMPLATE.resources
    assert spec.replication == Replication(errors=1, successes=1, total=1)
    assert (spec.charge, spec.credit) == (2.0, 2.5)


def test_a_job_without_arguments_has_the_templates_and_one_with_none_has_none() -> None:
    assert bind(APP, None, (A, B)).steps[0].command == Argv(("upper", "-q", "--usual", "two words"))
    assert bind(APP, None, (A, B), ()).steps[0].command == Argv(("upper", "-q"))
    assert bind(APP, None, (A, B), ("a b", "")).steps[0].command == Argv(("upper", "-q", "a b", ""))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_files_is_told_with_both_numbers(count: int) -> None:
    with pytest.raises(Invalid, match=f"need 2, got {count}") as raised:
        bind(APP, None, (A,) * count)
    assert (raised.value.field, raised.value.code) == ("files", "wrong-number")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (StagedFile("jf_1"), "jf_1"),
        (UserFile(FolderId(0), "data/a.csv", "project"), "a.csv"),
        (HostFile("/srv/data/b.bin"), "b.bin"),
        (Remote("https://example.org/d/c%20d.gz?x=/y"), "c d.gz"),
        (Copied("https://example.org/e"), "e"),
        (Inline(b""), "jf_d41d8cd98f00b204e9800998ecf8427e"),
    ],
)
def test_a_slot_without_a_name_takes_what_the_file_is_called(source: FileRef, name: str) -> None:
    template = Template(inputs=(InputSlot(),))
    assert bind(APP, template, (Brought(source),)).inputs[0].path == name
    assert bind(APP, template, (Brought(source, "mine"),)).inputs[0].path == "mine"


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ((Brought(Stored(Digest("0" * 64), 1)),), "no-name"),
        ((Brought(HostFile("/srv/..")),), "invalid"),
        ((A,), "same-name"),
    ],
)
def test_a_file_that_can_have_no_name_of_its_own_is_refused(files: tuple[Brought, ...], code: str) -> None:
    slots = (InputSlot(), InputSlot(path="a.txt", file="constant"))
    with pytest.raises(Invalid) as raised:
        bind(APP, Template(inputs=slots), files)
    assert raised.value.code == code


def test_a_slot_with_an_address_brings_its_file_by_itself() -> None:
    slot = InputSlot(path="in", url="https://example.org/x", size=3, md5="0" * 32)
    (item,) = bind(APP, Template(inputs=(slot,)), ()).inputs
    assert item.source == Remote("https://example.org/x", size=3, md5="0" * 32)


def test_an_app_without_a_command_of_its_own_is_not_given_arguments() -> None:
    with pytest.raises(Invalid, match="no command of its own") as raised:
        bind(App(name="bare"), None, (), "x")
    assert raised.value.code == "no-command"


def test_a_version_has_its_own_command_and_an_unknown_one_is_not_found() -> None:
    spec = bind(APP, None, (A, B), (), version=90)
    assert spec.steps[0].command == Argv(("old",))
    assert spec.steps[0].program == AppRef("upper", version=90)
    with pytest.raises(NotFound, match="there are: 100, 90") as raised:
        bind(APP, None, (A, B), version=91)
    assert raised.value.code == "app-version-not-found"


def test_what_a_job_says_wins_over_its_template_and_what_it_leaves_open_does_not() -> None:
    own = Resources(operations=7.0, walltime=60.0)
    spec = Binder(APP).bind((A, B), resources=own, replication=Replication(replicas=2), credit=0.0)
    assert spec.resources == Resources(memory=1000, operations=7.0, walltime=60.0)
    assert spec.replication.replicas == 2
    assert spec.credit == 0.0


@given(st.builds(Resources, cores=st.floats(0, 9), memory=st.integers(0, 9), network=st.sampled_from(Network)))
def test_an_open_request_changes_nothing_and_a_full_one_everything(asked: Resources) -> None:
    assert Resources().over(asked) == asked
    assert asked.over(Resources()) == asked
    assert asked.over(asked) == asked
