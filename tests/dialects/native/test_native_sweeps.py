"""Sweeps: many jobs of one template, as if each had been written out."""

from __future__ import annotations

import itertools
import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from native_examples import post, setup

from jobgate.dialects import load
from jobgate.dialects.dialect import Dialect
from jobgate.dialects.native.rows import rows_of
from jobgate.dialects.native.sweep import text
from jobgate.model.errors import Invalid, TooLarge
from jobgate.model.job import Argv, JobSpec, Script, Value
from jobgate.model.limits import Limits
from jobgate.model.operations import Group, Submit

NATIVE: Dialect = load("native", setup())


def group(**body: Any) -> Group:
    operation = NATIVE.decode(post("batch-submit", body)).operation
    assert isinstance(operation, Submit)
    (one,) = operation.groups
    return one


def specs(**body: Any) -> list[JobSpec]:
    made = group(**body)
    assert made.each is not None
    found = [made.each(place) for place in range(made.count)]
    assert found[0] == made.spec
    return found


def words(**body: Any) -> list[tuple[str, ...]]:
    found = []
    for spec in specs(**body):
        assert isinstance(spec.steps[0].command, Argv)
        found.append(spec.steps[0].command.words)
    return found


def told(**body: Any) -> dict[str, str]:
    """Pointer to code of every fault in the problem."""
    call = post("batch-submit", body)
    with pytest.raises(Invalid) as caught:
        NATIVE.decode(call)
    reply = NATIVE.refuse(call, caught.value)
    assert isinstance(reply.body, bytes)
    assert reply.status == 422
    return {fault["pointer"]: fault["code"] for fault in msgspec.json.decode(reply.body)["errors"]}


# --- against a naive expansion


def naive(template: Any, row: dict[str, Any], place: int) -> Any:
    """Each text of a document with its places filled, one after the other and never within a value."""
    if isinstance(template, dict):
        return {key: naive(value, row, place) for key, value in template.items()}
    if isinstance(template, list):
        return [naive(value, row, place) for value in template]
    out, rest = "", template
    named = {**row, "index": place, "number": place + 1}
    while rest:
        name = next((name for name in named if rest.startswith(f"{{{name}}}")), None)
        if name is None:
            out, rest = out + rest[0], rest[1:]
        else:
            value = named[name]
            out += value if isinstance(value, str) else json.dumps(value)
            rest = rest[len(name) + 2 :]
    return out


_names = st.lists(st.text('ab[]."\\(é ', min_size=1, max_size=3), min_size=1, max_size=3, unique=True)
_values = st.one_of(
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(-1000, 1000).map(lambda n: n / 8),
    st.text("xy{}ab.é", max_size=4),
)


@st.composite
def _sweeps(draw: st.DrawFn) -> tuple[dict[str, Any], Any, list[dict[str, Any]]]:
    """A template in which every name stands, a sweep, and its rows."""
    names = draw(_names)
    columns = {name: draw(st.lists(_values, min_size=1, max_size=3)) for name in names}
    if draw(st.booleans()):
        rows = [dict(zip(columns, row, strict=True)) for row in itertools.product(*columns.values())]
        sweep: Any = columns
    else:
        sweep = rows = [{name: draw(_values) for name in names} for _ in range(draw(st.integers(1, 4)))]
    braces = ["{", "}", "{{", "}}", "{index}", "{number}", "{0}", "x"]
    pieces = st.sampled_from([*(f"{{{name}}}" for name in names), *braces])
    written = st.lists(pieces, max_size=5).map("".join)
    template = {
        "command": ["run", *(f"{{{name}}}" for name in names), draw(written)],
        "env": {"A": draw(written), "B": "{"},
        "inputs": [{"path": "in/x" + draw(st.sampled_from(["", "{index}"])), "content": draw(written)}],
        "outputs": [{"path": "out/{number}"}, {"path": "log"}],
    }
    return template, sweep, rows


@given(_sweeps())
def test_a_sweep_is_what_its_jobs_written_out_are(one: tuple[dict[str, Any], Any, list[dict[str, Any]]]) -> None:
    template, sweep, rows = one
    found = specs(template=template, sweep=sweep)
    jobs = [naive(template, row, place) for place, row in enumerate(rows)]
    operation = NATIVE.decode(post("batch-submit", {"jobs": jobs})).operation
    assert isinstance(operation, Submit)
    expected = [one.spec for one in operation.groups for _ in range(one.count)]
    assert [spec.parameters for spec in found] == rows
    assert [replace(spec, parameters={}) for spec in found] == expected


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(1 << 63), (1 << 63) - 1), st.booleans())
def test_a_value_is_written_as_json_writes_it(real: float, whole: int, truth: bool) -> None:
    for value in (real, whole, truth):
        assert json.loads(text(value)) == value
    written: dict[Value, str] = {"0.10": "0.10", True: "true", 0.1: "0.1", -3: "-3"}
    assert {value: text(value) for value in written} == written


# --- forms


def test_of_a_product_the_last_name_varies_fastest() -> None:
    found = words(template={"command": ["{lr}", "{seed}"]}, sweep={"lr": [0.1, 0.01], "seed": {"from": 0, "to": 3}})
    assert found == [("0.1", "0"), ("0.1", "1"), ("0.1", "2"), ("0.01", "0"), ("0.01", "1"), ("0.01", "2")]


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ({"to": 3}, [0, 1, 2]),
        ({"from": 2, "to": 10, "step": 4}, [2, 6]),
        ({"from": 3, "to": 0, "step": -1}, [3, 2, 1]),
        ({"from": 0.1, "to": 0.5, "step": 0.1}, [0.1, 0.2, 0.3, 0.4]),
        ({"from": 1, "to": 0, "step": -0.25}, [1.0, 0.75, 0.5, 0.25]),
        ({"from": 0, "to": 1e-300, "step": 1e-300}, [0.0]),
    ],
)
def test_a_range_ends_before_its_end_and_has_the_numbers_that_people_write(asked: Any, values: list[Any]) -> None:
    found = [spec.parameters["x"] for spec in specs(template={"command": ["{x}"]}, sweep={"x": asked})]
    assert found == values


@given(st.integers(-100, 100), st.integers(-100, 100), st.integers(-7, 7).filter(bool), st.sampled_from([1, 10, 1000]))
def test_a_range_of_decimals_is_the_range_of_integers_over_a_power_of_ten(a: int, b: int, step: int, ten: int) -> None:
    if not range(a, b, step):
        assert told(template={"command": ["{x}"]}, sweep={"x": {"from": a, "to": b, "step": step}}) == {
            "#/sweep/x": "empty"
        }
        return
    asked = {"from": a / ten, "to": b / ten, "step": step / ten}
    found = [spec.parameters["x"] for spec in specs(template={"command": ["{x}"]}, sweep={"x": asked})]
    assert found == [n / ten for n in range(a, b, step)]


def test_a_count_with_placeholders_numbers_its_jobs() -> None:
    assert words(template={"command": ["{index}", "{number}", "{x}"]}, count=2, placeholders=True) == [
        ("0", "1", "{x}"),
        ("1", "2", "{x}"),
    ]
    plain = group(template={"command": ["{index}"]}, count=2)
    assert (plain.count, plain.each, plain.spec.steps[0].command) == (2, None, Argv(("{index}",)))


def test_every_place_of_a_template_is_filled() -> None:
    template = {
        "script": "#!/bin/sh\n{x}\n",
        "env": {"A": "{x}"},
        "workdir": "d{x}",
        "stdin": "i{x}",
        "inputs": [{"path": "p{x}", "content": "c{x}"}, {"path": "q", "url": "https://e.org/{x}?{index}"}],
        "outputs": [{"path": "o{x}"}],
    }
    (spec,) = specs(template=template, sweep=[{"x": 7}])
    step = spec.steps[0]
    assert (step.command, step.env, step.workdir, step.stdin) == (Script("#!/bin/sh\n7\n"), {"A": "7"}, "d7", "i7")
    assert [item.path for item in spec.inputs] == ["p7", "q"]
    assert "https://e.org/7?0" in str(spec.inputs[1].source)
    assert spec.outputs[0].path == "o7"


def test_jobs_of_a_sweep_share_what_is_alike() -> None:
    template = {"command": ["{x}"], "memory": "1GiB", "tries": 2, "outputs": [{"path": "o"}]}
    one, other = specs(template=template, sweep={"x": [1, 2]})
    assert one.resources is other.resources
    assert one.place is other.place
    assert one.outputs is other.outputs


# --- bounds


def test_a_sweep_of_more_jobs_than_a_batch_may_have_is_refused_before_it_is_made() -> None:
    native = load("native", msgspec.structs.replace(setup(), limits=Limits(batch=1_000_000)))
    huge = {"from": -1e308, "to": 1e308, "step": 1e-308}
    for sweep in ({"a": {"to": 1000}, "b": {"to": 1001}}, {"a": huge, "b": huge}, {"a": {"to": (1 << 63) - 1}}):
        body = {"template": {"command": ["".join(f"{{{name}}}" for name in sweep)]}, "sweep": sweep}
        with pytest.raises(TooLarge) as caught:
            native.decode(post("batch-submit", body))
        assert (caught.value.code, caught.value.field) == ("batch-too-large", "sweep")


def test_a_million_combinations_are_as_small_as_their_request() -> None:
    made = group(template={"command": ["{a}", "{b}"]}, sweep={"a": {"to": 1000}, "b": {"from": 0.0, "to": 1000}})
    assert made.count == 1_000_000
    assert made.each is not None
    assert made.each(999_999).parameters == {"a": 999, "b": 999.0}
    held = made.each.__self__  # type: ignore[attr-defined]  # the sweep behind the method
    assert sum(map(sys.getsizeof, vars(held).values())) < 10_000


# --- faults


def test_every_fault_of_a_sweep_is_told_with_its_place() -> None:
    template = {"command": ["a", "{lr}"]}
    assert told(template=template, sweep=[]) == {"#/sweep": "empty"}
    assert told(template=template, sweep={}) == {"#/sweep": "empty"}
    assert told(template=template, sweep=[{}]) == {"#/sweep": "empty"}
    assert told(template=template, sweep="x") == {"#/sweep": "invalid-field"}
    rows = [{"lr": 1, "seed": 1}, {"lr": 1, "seed": None}, {"lr": [1]}, 5]
    assert told(template=template, sweep=rows) == {
        "#/sweep/1/seed": "invalid-field",
        "#/sweep/2/lr": "invalid-field",
        "#/sweep/3": "invalid-field",
    }
    rows = [{"lr": 1, "a.b": 2}, {"lr": 1}, {"lr": "\0", "a.b": 1, "c": 3}]
    assert told(template=template, sweep=rows) == {
        "#/sweep/1/a.b": "missing",
        "#/sweep/2/c": "unknown-field",
        "#/sweep/2/lr": "invalid",
    }
    columns = {"lr": [], "a": {"to": 0}, "b": {"to": 5, "step": 0}, "c": ["\0"], "index": [1], "number": {"to": 1}}
    assert told(template=template, sweep=columns) == {
        "#/sweep/lr": "empty",
        "#/sweep/a": "empty",
        "#/sweep/b/step": "invalid",
        "#/sweep/c/0": "invalid",
        "#/sweep/index": "reserved",
        "#/sweep/number": "reserved",
    }
    assert told(template=template, sweep={"lr": {"to": "x"}, "b": 5, "": [1], "c": {"to": 1, "by": 2}}) == {
        "#/sweep/lr/to": "invalid-field",
        "#/sweep/b": "invalid-field",
        "#/sweep/": "invalid-field",
        "#/sweep/c/by": "unknown-field",
    }


def test_a_name_that_stands_nowhere_in_the_template_is_a_fault() -> None:
    assert told(template={"command": ["{a}"]}, sweep={"a": [1], "b": [1], "c": [2]}) == {
        "#/sweep/b": "unused",
        "#/sweep/c": "unused",
    }
    assert told(template={"command": ["a"]}, sweep=[{"b": 1}, {"b": 2}]) == {"#/sweep/0/b": "unused"}


def test_a_sweep_needs_a_template_and_is_counted_by_itself() -> None:
    job = {"command": ["{a}"]}
    assert told(jobs=[job], sweep={"a": [1]}) == {"#/sweep": "invalid"}
    assert told(jobs=[job], placeholders=True) == {"#/placeholders": "invalid"}
    assert told(template=job, sweep={"a": [1]}, count=2) == {"#/count": "invalid"}
    assert told(template=job, jobs=[job], sweep={"a": []}) == {"#/template": "one-of", "#/sweep/a": "empty"}


def test_faults_that_rows_bring_into_a_template_are_told_with_the_first_row_that_does() -> None:
    template = {"command": ["{c}"], "outputs": [{"path": "{p}"}], "workdir": "{w}"}
    rows = [
        {"c": "a", "p": "a", "w": "x"},
        {"c": "a", "p": "../a", "w": "x"},
        {"c": "", "p": "/", "w": ".."},
    ]
    call = post("batch-submit", {"template": template, "sweep": rows})
    with pytest.raises(Invalid) as caught:
        NATIVE.decode(call)
    body = NATIVE.refuse(call, caught.value).body
    assert isinstance(body, bytes)
    errors = msgspec.json.decode(body)["errors"]
    assert {(error["pointer"], error["detail"][-20:]) for error in errors} == {
        ("#/template/outputs/0/path", " (row 1 of the sweep)"[-20:]),
        ("#/template/command", " (row 2 of the sweep)"[-20:]),
        ("#/template/workdir", " (row 2 of the sweep)"[-20:]),
    }


def test_a_fault_far_down_is_raised_when_that_job_is_made() -> None:
    rows = [{"p": "a"}] * 5000 + [{"p": ".."}, {"p": "/"}]
    made = group(template={"command": ["a"], "outputs": [{"path": "{p}"}]}, sweep=rows)
    assert made.each is not None
    assert made.each(4999).outputs[0].path == "a"
    with pytest.raises(Invalid) as caught:
        made.each(5000)
    assert (caught.value.field, caught.value.code) == ("template.outputs[0].path", "invalid")


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("{x}", ["https://e.org/", "https://user:word-93@e.org/"]),
        ("https://{x}e.org/", ["", "user:word-93@"]),
        ("https://{x}:word-93@e.org/", ["user", "other"]),
        ("https://user:{x}@e.org/", ["word-93", "y"]),
        ("https://e.org{x}", ["/", ":word-93@f.org/"]),
    ],
)
def test_a_credential_is_not_taken_from_values_which_are_shown(url: str, values: list[str]) -> None:
    template = {"command": ["a"], "inputs": [{"path": "x", "url": url}]}
    call = post("batch-submit", {"template": template, "sweep": {"x": values}})
    with pytest.raises(Invalid) as caught:
        NATIVE.decode(call)
    assert "word-93" not in f"{caught.value} {NATIVE.refuse(call, caught.value).body!r}"
    assert caught.value.field in ("template.inputs", "template.inputs[0].url")


def test_the_credential_of_a_template_is_every_jobs() -> None:
    template = {"command": ["a"], "inputs": [{"path": "x", "url": "https://user:word@e.org/{x}"}]}
    operation = NATIVE.decode(post("batch-submit", {"template": template, "sweep": {"x": [1, 2]}})).operation
    assert isinstance(operation, Submit)
    assert operation.secrets == {"input-0-0": "user:word"}
    for spec in specs(template=template, sweep={"x": [1, 2]}):
        assert spec.secrets == {"input-0-0"}
        assert "word" not in str(spec.inputs)


# --- how large it may become


@pytest.mark.parametrize(
    ("template", "sweep"),
    [
        ({"script": "#!/bin/sh\n" + "{x}" * 1000}, [{"x": "y" * 10_000}]),
        ({"command": ["{x}"], "env": {"X": "{x}{x}{x}"}}, {"x": ["y", "y" * 300_000]}),
        ({"script": "#!/bin/sh\n{n}" + "#" * 1_000_000}, {"n": {"from": 0, "to": 1000}}),
        ({"command": ["{x}", "{n}"]}, {"x": ["y" * 10_000], "n": {"from": 0, "to": 100_000}}),
        ({"command": ["{x}" * 10_000, "{n}"], "cores": -1}, {"x": ["y" * 10_000], "n": {"from": 0, "to": 9.5}}),
    ],
)
def test_a_small_request_never_becomes_jobs_that_fill_the_memory_or_the_disk(template: Any, sweep: Any) -> None:
    call = post("batch-submit", {"template": template, "sweep": sweep})
    with pytest.raises((TooLarge, Invalid)) as caught:
        NATIVE.decode(call)
    assert isinstance(caught.value, TooLarge) != ("cores" in template)
    assert NATIVE.refuse(call, caught.value).status == (422 if "cores" in template else 413)


def test_copies_with_places_in_a_large_template_are_refused_by_their_count() -> None:
    template = {"script": "#!/bin/sh\n{number}" + "#" * 100_000}
    with pytest.raises(TooLarge) as caught:
        NATIVE.decode(post("batch-submit", {"template": template, "count": 10_000, "placeholders": True}))
    assert (caught.value.code, caught.value.field) == ("too-large", "count")


VALUES_OF_ROWS = st.text("ab\u20ac", max_size=5) | st.integers(-(2**53), 2**53) | st.booleans()


@given(
    st.lists(st.fixed_dictionaries({"x": VALUES_OF_ROWS, "y": VALUES_OF_ROWS}), min_size=1, max_size=5)
    | st.fixed_dictionaries({name: st.lists(VALUES_OF_ROWS, min_size=1, max_size=4) for name in ("x", "y")}),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_what_a_sweep_is_said_to_put_in_is_never_less_than_what_it_does(sweep: Any, xs: int, ys: int) -> None:
    rows = rows_of(sweep)
    uses = [{"x": xs, "y": ys}[name] for name in rows.names]
    each = [
        sum(len(text(value)) * times for value, times in zip(rows.row(place), uses, strict=True))
        for place in range(rows.size)
    ]
    most, total = rows.weigh(uses)
    assert most >= max(each)
    assert total >= sum(each)
