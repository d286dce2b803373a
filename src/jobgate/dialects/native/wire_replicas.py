"""How a job is run several times and compared: the JSON objects, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from jobgate.model.errors import Invalid
from jobgate.model.job import (
    ONCE,
    AppRef,
    Argv,
    Bitwise,
    Compare,
    Host,
    ImageRef,
    Numeric,
    Program,
    Replication,
    Script,
    Validator,
)

T = TypeVar("T")
Few = Annotated[int, Meta(ge=1, le=100)]
Tolerance = Annotated[float, Meta(ge=0, le=1e300)]


class NumericDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far numbers may lie apart: as far as one of these allows."""

    absolute: Tolerance = 0.0
    relative: Tolerance = 1e-6
    """Of the greater of the two."""


class ValidatorDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A program that compares; it is run as a job of the same account.

    It finds what attempt 2 left below `2/`, and writes on each line of its standard output the numbers of attempts that
    agree, best first.
    """

    command: tuple[str, ...] | UnsetType = UNSET
    """The words of the command, as they stand."""
    script: str | UnsetType = UNSET
    """In place of a command: a text whose first line names the interpreter."""
    app: str | UnsetType = UNSET
    """A named program of the operator's catalogue to run it in."""
    image: str | UnsetType = UNSET
    """An image to run it in."""


class CompareDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of the two."""

    numeric: NumericDraft | UnsetType = UNSET
    """Numbers may differ a little, and all else must be the same."""
    validator: ValidatorDraft | UnsetType = UNSET
    """A program decides."""


class ReplicationDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often a job is run, and how many of its attempts must agree on what they leave."""

    replicas: Few = 2
    """Attempts that are started to begin with, each in another environment where there are several."""
    quorum: Few | UnsetType = UNSET
    """Attempts that must agree; 2, if nothing is said. With 1 nothing is compared: the first that succeeds will do."""
    errors: Annotated[int, Meta(ge=0, le=100)] = 3
    """More attempts than this that failed fail the job."""
    successes: Few = 10
    """More attempts than this that succeeded and do not agree fail the job."""
    total: Few = 10
    """Attempts at most."""
    compare: Literal["bitwise"] | CompareDraft = "bitwise"
    """`bitwise`: the outputs must be the same files, byte for byte; the logs, where the job names no outputs."""


_PLAIN: Final = Bitwise()


def replication(draft: ReplicationDraft | UnsetType) -> Replication:
    """What it stands for. Raises Invalid."""
    if draft is UNSET:
        return ONCE
    quorum = min(2, draft.replicas) if draft.quorum is UNSET else draft.quorum
    compare = _PLAIN if isinstance(draft.compare, str) else _compare(draft.compare)
    return Replication(
        replicas=draft.replicas,
        quorum=quorum,
        errors=draft.errors,
        successes=draft.successes,
        total=draft.total,
        compare=compare,
    )


def _compare(draft: CompareDraft) -> Compare:
    if (draft.numeric is UNSET) == (draft.validator is UNSET):
        raise Invalid("one of numeric and validator is needed", code="one-of", field="replication.compare")
    if draft.numeric is not UNSET:
        return Numeric(absolute=draft.numeric.absolute, relative=draft.numeric.relative)
    assert draft.validator is not UNSET  # noqa: S101  # mypy wants it said
    return _at("replication.compare.validator", lambda: _validator(draft.validator))


def _validator(draft: ValidatorDraft | UnsetType) -> Validator:
    assert draft is not UNSET  # noqa: S101  # as above
    if (draft.command is UNSET) == (draft.script is UNSET):
        raise Invalid("a validator has one of command and script", code="one-of")
    if draft.app is not UNSET and draft.image is not UNSET:
        raise Invalid("a validator has at most one of app and image", code="one-of")
    program: Program = Host()
    if draft.app is not UNSET:
        program = AppRef(draft.app)
    elif draft.image is not UNSET:
        program = ImageRef(draft.image)
    if draft.command is not UNSET:
        return Validator(command=Argv(draft.command), program=program)
    text = str(draft.script)
    if not text.startswith("#!") or "\0" in text:
        raise Invalid("its script's first line names the interpreter: #!/bin/sh")
    return Validator(command=Script(text), program=program)


def _at(field: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except Invalid as error:
        raise Invalid(error.message, code=error.code, field=field) from None


def replication_draft(rule: Replication) -> ReplicationDraft | UnsetType | None:
    """The draft that stands for it; UNSET for what every job has, and None for what no draft can say."""
    if rule == ONCE:
        return UNSET
    compare = _compare_draft(rule.compare)
    if compare is None or max(rule.replicas, rule.successes, rule.total, rule.errors) > 100:  # noqa: PLR2004  # as Few
        return None
    return ReplicationDraft(
        replicas=rule.replicas,
        quorum=rule.quorum,
        errors=rule.errors,
        successes=rule.successes,
        total=rule.total,
        compare=compare,
    )


def _compare_draft(compare: Compare) -> Literal["bitwise"] | CompareDraft | None:
    match compare:
        case Bitwise():
            return "bitwise"
        case Numeric(absolute, relative):
            return CompareDraft(numeric=NumericDraft(absolute=absolute, relative=relative))
        case Validator(command=command, program=program):
            if isinstance(program, AppRef) and (program.licence_accepted or program.version):
                return None
            if isinstance(program, ImageRef) and program.archive:
                return None
            return CompareDraft(
                validator=ValidatorDraft(
                    command=command.words if isinstance(command, Argv) else UNSET,
                    script=UNSET if isinstance(command, Argv) else command.text,
                    app=program.name if isinstance(program, AppRef) else UNSET,
                    image=program.name if isinstance(program, ImageRef) else UNSET,
                )
            )
