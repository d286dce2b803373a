"""The calls of `job_file.php`: files that are stored before the jobs that need them [BOINC, section 8]."""

from __future__ import annotations

import re
from typing import Final

from jobgate.dialects.boinc.jobs import Words, physical
from jobgate.dialects.boinc.rpc import DONE_BARE, Rpc, named
from jobgate.dialects.boinc.xml import Element, tag
from jobgate.dialects.dialect import Ask, Call
from jobgate.model.errors import Invalid, NotFound
from jobgate.model.ids import BatchId
from jobgate.model.operations import Called, Known, Operation
from jobgate.model.outcomes import Outcome
from jobgate.model.selectors import BatchCalled
from jobgate.model.storing import AskStaged, Stage, Staged

_PART: Final = re.compile(r"file_(\d{1,6})", re.ASCII)
_MD5: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


def _names(root: Element) -> tuple[str, ...]:
    """The physical names; before 2017 a file was named by its MD5."""
    names = tuple(map(physical, named(root, "phys_name")))
    if names:
        return names
    return tuple(f"jf_{_md5(name.lower())}" for name in named(root, "md5"))


def _md5(text: str) -> str:
    if not _MD5.fullmatch(text):
        raise Invalid("bad filename", code="bad-filename")
    return text


def _with_batch(root: Element, made: Stage | AskStaged) -> Operation:
    """The operation, for the batch that is to hold the files if one is named."""
    number = root.integer("batch_id")
    if not number:
        return made

    def meant(known: Known) -> Operation:
        (batch,) = known.batches
        if batch is None:
            raise NotFound("not owner of batch", code="batch-not-found")
        return _held(made, batch.id)

    return Called(batches=(BatchCalled(number=number),), then=meant)


def _held(made: Stage | AskStaged, batch: BatchId) -> Stage | AskStaged:
    if isinstance(made, Stage):
        return Stage(files=made.files, batch=batch, until=made.until)
    return AskStaged(names=made.names, batch=batch, until=made.until)


def _query(words: Words, root: Element, call: Call) -> Ask:
    del words, call
    return Ask(operation=_with_batch(root, AskStaged(names=_names(root), until=max(root.real("delete_time"), 0.0))))


def _queried(words: Words, root: Element, outcome: Outcome) -> str:
    """With white space in it even when nothing is absent: the Python client reads an empty element as none."""
    del words, root
    assert isinstance(outcome, Staged)  # noqa: S101  # the answer to an AskStaged
    return f"<absent_files>\n{''.join(tag('file', place) for place in outcome.absent)}</absent_files>\n"


def _upload(words: Words, root: Element, call: Call) -> Ask:
    """Files and names are paired by the number in the field's name; what the client calls the file means nothing."""
    del words
    names = _names(root)
    files = {}
    for field, stored in call.parts:
        match = _PART.fullmatch(field)
        if match is not None:
            files[int(match.group(1))] = stored
    if len(files) != len(names) or sorted(files) != list(range(len(names))):
        told = f"# of uploaded files ({len(files)}) doesn't agree with request ({len(names)})"
        raise Invalid(told, code="wrong-files")
    made = Stage(
        files=tuple((name, files[place]) for place, name in enumerate(names)), until=max(root.real("delete_time"), 0.0)
    )
    return Ask(operation=_with_batch(root, made))


def _uploaded(words: Words, root: Element, outcome: Outcome) -> str:
    del words, root, outcome
    return DONE_BARE


RPCS: Final = (
    Rpc(name="query_files", ask=_query, tell=_queried, large=True, legacy="absent_files"),
    Rpc(name="upload_files", ask=_upload, tell=_uploaded, large=True),
)
