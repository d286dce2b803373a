"""The contract suite of dialects: each function holds one promise, and says in an AssertionError where it is broken.

A dialect's author writes one Subject: how it is set up, a valid call for every verb, and where in a call credentials
stand. `tests/contracts/test_every_dialect.py` shows how the suite is run; `spoiled` and `survives` take bodies from
whatever generator of hostile input there is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from jobgate.dialects import load
from jobgate.dialects.dialect import Call, Dialect, Setup
from jobgate.model import errors
from jobgate.model.errors import JobgateError, MethodNotAllowed, NotFound, RequestError, TooMany, Unavailable
from jobgate.model.ids import JobId, JobName
from jobgate.model.job import Origin
from jobgate.model.operations import (
    SCOPES,
    Called,
    Cancel,
    Change,
    Delete,
    Find,
    Group,
    Known,
    KnownJob,
    Operation,
    Retry,
    Submit,
)
from jobgate.model.outcomes import Changed, Deleted, Found, Outcome
from jobgate.model.selectors import Ids
from jobgate.model.webhooking import AddWebhook, ChangeWebhook
from jobgate.testing.outcomes import FIRST, batch, jobs, outcomes, view
from jobgate.testing.replies import well_formed

FIRST_MADE: Final = 20
"""Jobs of a sweep that are looked at."""
FIRST_JOB: Final = JobId(FIRST)
INNER_DETAIL: Final = "detail-of-an-inner-fault-4711"
UNKNOWN: Final = ("2n6r0kqb-1", "2n6r0kqb")
"""Well formed, and nobody's: as a job and as a batch."""
MALFORMED: Final = (
    *("x", "-1", "%00", "2n6r0kq", "2n6r0kqbu", "2N6R0KQB", "2n6r0kqb0", "00000000", "u" + "z" * 13, "1" * 200),
    *("2n6r0kqb-", "2n6r0kqb-0", "2n6r0kqb-01", "2n6r0kqb--1", "2n6r0kqb-1-1", "2n6r0kqb-" + "9" * 18, "b-1"),
    *("2n6r0kqö", "2n6r0kqb-1\n", "2n6r0kqb-١"),  # noqa: RUF001  # a digit of another script is none of ours
)
_PARAMETER: Final = re.compile(r"\{(\w+)")
WRONG: Final[tuple[object, ...]] = (
    None,
    True,
    -1,
    0,
    1.5,
    10**40,
    "",
    "\0",
    "\u202e",
    [],
    [[]],
    [None],
    {},
    {"": {}},
    "x" * 5000,
)


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """A call with a credential of its own kind at every place where the dialect takes one."""

    call: Call
    canaries: tuple[str, ...]
    """Each of them stands in the call; afterwards it may be in the operation's `secrets` and in the proof alone."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What the suite has to know of a dialect."""

    name: str
    setup: Setup
    examples: tuple[Call, ...]
    """Valid calls; every verb of the routes is there."""
    status: Callable[[bytes], str]
    """The job's state, read from the answer to `shows`."""
    shows: Call
    """The example that shows one job."""
    named: tuple[Callable[[str], Call], ...] = ()
    """Calls that name one job or batch by a text of the asker's."""
    planted: tuple[Planted, ...]
    one_status: bool = False
    """Its clients stop at any status but 200, so what is refused has it too; the body alone says it."""
    many: frozenset[str] = frozenset()
    """Routes that stand for calls of several scopes: they ask for the least, and each operation for its own."""

    def build(self) -> Dialect:
        """The dialect, set up."""
        return load(self.name, self.setup)


# --- replies


def every_verb_has_an_example(subject: Subject) -> None:
    """The suite can only hold what it is shown."""
    there = {call.verb for call in subject.examples}
    routes = subject.build().routes
    missing = {route.verb for route in routes if route.page is None} - there
    assert not missing, f"no example for {sorted(missing)}"


def pages_answer_whoever_asks(subject: Subject) -> None:
    """A page needs no credential, and answers or refuses whatever its address names."""
    dialect = subject.build()
    for route in dialect.routes:
        if route.page is None:
            continue
        for accept in ("", "text/html", "application/json", "*/*;q=\x00"):
            for named in ("not-found", *MALFORMED):
                path = dict.fromkeys(_PARAMETER.findall(route.path), named)
                call = Call(verb=route.verb, method="GET", path=path, headers={"accept": accept})
                try:
                    well_formed(route.page(call))
                except RequestError as error:
                    well_formed(dialect.refuse(call, error))


def scopes_agree(subject: Subject) -> None:
    """What a route asks of the credential is what the operation will."""
    dialect = subject.build()
    scopes = {route.verb: route.scope for route in dialect.routes}
    for call in subject.examples:
        operation = unrolled(dialect.decode(call).operation)
        told = f"{call.verb} is {scopes[call.verb]}, and its operation {type(operation).__name__} is not"
        assert call.verb in subject.many or SCOPES[type(operation)] is scopes[call.verb], told


def every_outcome_has_a_reply(subject: Subject) -> None:
    """Whatever comes of a valid call can be said."""
    dialect = subject.build()
    for call in subject.examples:
        for outcome in outcomes(unrolled(dialect.decode(call).operation), origin(subject)):
            well_formed(dialect.encode(call, outcome))


def origin(subject: Subject) -> Origin:
    """That of a job this dialect brought."""
    dialect = subject.build()
    for call in subject.examples:
        operation = dialect.decode(call).operation
        if isinstance(operation, Submit):
            return operation.origin
    return Origin(dialect=subject.name)


def every_state_has_a_name(subject: Subject) -> None:
    """Each state, failure and limit is shown by a word; being over, and succeeding, are words of their own."""
    dialect = subject.build()
    over: dict[bool, set[str]] = {True: set(), False: set()}
    for one in jobs():
        reply = dialect.encode(subject.shows, Found(jobs=(view(one, origin(subject)),)))
        assert isinstance(reply.body, bytes)
        word = subject.status(reply.body)
        assert word, f"{one.state} has no name"
        over[one.state.over].add(word)
    assert not over[True] & over[False], f"{over[True] & over[False]} is said of jobs that are over and of others"


# --- errors


def error_classes() -> tuple[type[JobgateError], ...]:
    """Every class of the tree."""
    found = (value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, JobgateError))
    return tuple(found)


CODES: Final = (
    None,
    "invalid-json",
    "job-not-found",
    "file-not-found",
    "app-not-found",
    "app-not-runnable",
    "unknown-operation",
    "link-invalid",
    "key-reused",
    "job-active",
    "too-many-jobs",
    "storage-quota",
    "batch-too-large",
    "body-too-large",
    "storage-full",
    "timeout",
    "result-expired",
    "a-code-nobody-knows",
)


def every_error_has_a_reply(subject: Subject) -> None:
    """Each class, with each code the model gives it, before and after decoding; faults of ours without details."""
    dialect = subject.build()
    calls = (*subject.examples, Call(verb="", method="GET"))
    for kind in error_classes():
        for code in CODES:
            error = kind(INNER_DETAIL, code=code, field="a[0].b", retry_after=1.5)
            for call in calls:
                _refusal(dialect, call, error, one_status=subject.one_status)
    for call in calls:
        _refusal(dialect, call, TooMany(), one_status=subject.one_status)
        _refusal(dialect, call, Unavailable(), one_status=subject.one_status)


def _refusal(dialect: Dialect, call: Call, error: JobgateError, *, one_status: bool) -> None:
    reply = dialect.refuse(call, error)
    told = f"{type(error).__name__} {error.code} at {call.verb or 'no verb'}: {reply.status}"
    well_formed(reply)
    assert isinstance(reply.body, bytes), told
    if not (one_status and reply.status == 200):
        assert reply.status >= 400, told
        assert isinstance(error, RequestError) == (reply.status < 500), f"{told}; whose fault is it?"
    if not isinstance(error, RequestError):
        assert INNER_DETAIL.encode() not in reply.body, f"{told}; it tells details of a fault of ours"
    names = {name.lower() for name in reply.headers}
    if isinstance(error, TooMany):
        assert "retry-after" in names, f"{told}; no word when to come again"
    if isinstance(error, MethodNotAllowed) and call.verb:
        assert "allow" in names, f"{told}; no word which method is right"


# --- hostile calls


def survives(dialect: Dialect, call: Call) -> JobgateError | None:
    """Nothing but a RequestError comes of a call, whatever it holds; that error has a reply. The error, if any."""
    try:
        dialect.credential(call)
    except RequestError as error:
        well_formed(dialect.refuse(call, error))
    try:
        ask = dialect.decode(call)
        made = unrolled(ask.operation)
    except RequestError as error:
        well_formed(dialect.refuse(call, error))
        return error
    msgspec.msgpack.encode(made)
    return None


def unrolled(operation: Operation) -> Operation:
    """The operation with all made that would be made later: what was called is there, and of many specs some are made.

    Raises what making them raises.
    """
    if isinstance(operation, Called):
        one = batch(Origin(dialect="another"))
        known = Known(
            batches=(one,) * len(operation.batches),
            jobs=(KnownJob(JobName(one.id, FIRST_JOB), 1),) * len(operation.jobs),
        )
        return unrolled(operation.then(known))
    if not isinstance(operation, Submit):
        return operation
    groups: list[Group] = []
    for group in operation.groups:
        groups.append(Group(group.spec, group.count))
        if group.each is not None:
            places = {*range(min(group.count, FIRST_MADE)), group.count - 1}
            groups += [Group(group.each(place)) for place in sorted(places)]
    return replace(operation, groups=tuple(groups))


def spoiled(call: Call, wrong: Iterable[object] = WRONG) -> Iterator[Call]:
    """The call with each value of its JSON body, at every depth, replaced by each wrong one, and left out."""
    try:
        body = msgspec.json.decode(call.body)
    except msgspec.DecodeError:
        return
    values = tuple(wrong)
    for path in _paths(body):
        for value in values:
            yield replace(call, body=msgspec.json.encode(_put(body, path, value)))
        yield replace(call, body=msgspec.json.encode(_put(body, path, msgspec.UNSET)))


def _paths(value: object, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if before:
        yield before
    items: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, below in items:
        yield from _paths(below, (*before, key))


def _put(value: Any, path: tuple[str | int, ...], new: object) -> object:
    """A copy of `value` with `new` at `path`; UNSET: with nothing there."""
    if not path:
        return new
    key, *rest = path
    if isinstance(value, list):
        changed = [_put(v, tuple(rest), new) if i == key else v for i, v in enumerate(value)]
        return [v for v in changed if v is not msgspec.UNSET]
    changed_items = {k: _put(v, tuple(rest), new) if k == key else v for k, v in value.items()}
    return {k: v for k, v in changed_items.items() if v is not msgspec.UNSET}


def wrong_types_are_refused(subject: Subject) -> None:
    """No value of a wrong type or size at any place raises anything but a RequestError."""
    dialect = subject.build()
    for call in subject.examples:
        for bad in spoiled(call):
            survives(dialect, bad)


# --- credentials


def credentials_stay_out(subject: Subject) -> None:
    """No planted credential is found in the operation but in its `secrets`, nor in repr, reply or error."""
    dialect = subject.build()
    for planted in subject.planted:
        call = planted.call
        every = f"{call.body!r} {call.fields} {call.headers} {call.query} {call.path}"
        absent = [canary for canary in planted.canaries if canary not in every]
        assert not absent, f"{absent} were not planted"
        try:
            operation = unrolled(dialect.decode(call).operation)
        except RequestError as error:
            _clean(dialect, call, error, planted.canaries)
        else:
            _clean_operation(dialect, call, operation, origin(subject), planted.canaries)
        _absent(repr(call), planted.canaries, "the call's repr")
        for bad in spoiled(call, (None, -1, "x", {}, "https://")):
            refused = survives(dialect, bad)
            if refused is not None:
                _clean(dialect, bad, refused, planted.canaries)


def _clean_operation(
    dialect: Dialect, call: Call, operation: Operation, whence: Origin, canaries: tuple[str, ...]
) -> None:
    _absent(repr(operation), canaries, "the operation's repr")
    if isinstance(operation, Submit):
        whence = operation.origin
    if isinstance(operation, Submit | AddWebhook | ChangeWebhook):
        operation = replace(operation, secrets={})
    for encode in (msgspec.json.encode, msgspec.msgpack.encode):
        _absent(encode(operation).decode(errors="replace"), canaries, "the operation")
    for outcome in outcomes(operation, whence):
        reply = dialect.encode(call, outcome)
        _absent(f"{reply.headers} {reply.body!r}", canaries, "a reply")


def _clean(dialect: Dialect, call: Call, error: JobgateError, canaries: tuple[str, ...]) -> None:
    chain = f"{error!r} {error.field} {error.__cause__!r}"
    _absent(chain, canaries, "an error")
    reply = dialect.refuse(call, error)
    _absent(f"{reply.headers} {reply.body!r}", canaries, "a refusal")


def _absent(text: str, canaries: tuple[str, ...], where: str) -> None:
    found = [canary for canary in canaries if canary in text]
    assert not found, f"{found} in {where}"


# --- ids


def unknown_ids_look_like_malformed_ones(subject: Subject) -> None:
    """Status and body are the same, but for the id itself where the dialect repeats it."""
    dialect = subject.build()
    for name in subject.named:
        unknown = {_answer(dialect, name(ident), ident) for ident in UNKNOWN}
        for ident in MALFORMED:
            told = f"{name(ident).verb} tells {ident!r} from an unknown id"
            assert _answer(dialect, name(ident), ident) in unknown, told


def _answer(dialect: Dialect, call: Call, ident: str) -> tuple[int, bytes]:
    """What the call gets where there are no jobs at all."""
    try:
        operation = dialect.decode(call).operation
        reply = dialect.encode(call, _nothing(operation))
    except RequestError as error:
        reply = dialect.refuse(call, error)
    assert isinstance(reply.body, bytes)
    return reply.status, reply.body.replace(f'"{ident}"'.encode(), b'"ID"')


def _nothing(operation: Operation) -> Outcome:
    """The outcome in an empty store. Raises NotFound."""
    match operation:
        case Called():
            return _nothing(operation.then(Known((None,) * len(operation.batches), (None,) * len(operation.jobs))))
        case Find(selector=Ids()):
            return Found(jobs=(), missing=("ID",))
        case Cancel(selector=Ids()) | Change(selector=Ids()) | Retry(selector=Ids()):
            return Changed(done=(), missing=("ID",))
        case Delete(selector=Ids()):
            return Deleted(jobs=(), missing=("ID",))
        case _:
            raise NotFound


SUITE: Final = (
    every_verb_has_an_example,
    pages_answer_whoever_asks,
    scopes_agree,
    every_outcome_has_a_reply,
    every_state_has_a_name,
    every_error_has_a_reply,
    wrong_types_are_refused,
    credentials_stay_out,
    unknown_ids_look_like_malformed_ones,
)
"""Every promise, as a function of the subject."""
