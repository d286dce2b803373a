"""submit_batch and estimate_batch: from their `batch` element to a Submit or an Estimate [BOINC, sections 5 to 7.4].

Jobs that differ in nothing but files and arguments share all else: what a template makes of an app is made once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import replace

from jobgate.dialects.boinc.settings import Settings
from jobgate.dialects.boinc.templates import USUAL, Shelf, figures, first_given, of_job, wrong
from jobgate.dialects.boinc.xml import Element
from jobgate.dialects.reading import address
from jobgate.model.binding import Binder, Brought
from jobgate.model.catalogue import App, Catalogue
from jobgate.model.errors import Invalid, JobgateError, NotFound
from jobgate.model.files import INLINE_LIMIT, Copied, FileRef, Given, HostFile, Inline, Remote, StagedFile, UserFile
from jobgate.model.ids import BatchId, FolderId
from jobgate.model.job import PRIORITIES, Argv, JobSpec, Origin, Replication, Retry, Step
from jobgate.model.operations import Estimate, Group, Submit
from jobgate.model.resources import Resources
from jobgate.model.state import Failure
from jobgate.model.template import InputSlot, Template

NAME: Final = "boinc"
PLAIN_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,191}")
"""Of a batch or a job: `condor#host.domain#App#1470046242#18.0` is one."""
_LEGACY: Final[Mapping[str, str]] = {
    "input_template_filename": "workunit_template_file",
    "output_template_filename": "result_template_file",
}
_ANY: Final = frozenset(Failure)
_DEPENDENCIES: Final = ("depends_on", "depends", "dependency", "dependencies", "parent", "parents", "prerequisite")
"""What somebody would call them who hopes for some: to ignore it would run jobs too early."""
PHYSICAL: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.\- ]{1,191}", re.ASCII)
"""What a stored file may be called; a template file too."""
_MD5: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a request: what is not in the model, and no credential."""

    app_version: int = 0
    allocation_priority: bool = False
    expire_time: float = 0.0


class Words:
    """What this dialect knows of the server: its apps, its template files, its settings."""

    def __init__(self, catalogue: Catalogue, files: Mapping[str, bytes], own: Settings) -> None:
        self.catalogue = catalogue
        self.shelf = Shelf(files)
        self.own = own

    def app(self, name: str) -> App:
        """Raises NotFound (`no-app`) for one that is not there; whether it is the asker's is not asked here."""
        if name not in self.catalogue.apps:
            raise _no_app(name)
        return self.catalogue.apps[name]

    def open(self, name: str) -> App:
        """The same for what would be submitted: a deprecated one is not there."""
        app = self.app(name)
        if app.deprecated:
            raise _no_app(name)
        return app

    def standard(self, app: App) -> Template:
        """The app's standard template. Raises Invalid for one that the operator wrote wrong."""
        return self.shelf.of_app(app.name, app.template)


def _no_app(name: str) -> NotFound:
    return NotFound(f"app not found: {name}", code="no-app")


def title(text: str, app: str, now: float) -> str:
    """A batch's name: what was given, or one made of the app and the time. Raises Invalid for one that cannot be."""
    if not text:
        return f"{app}:{formatdate(now)}"
    return _plain(text, "batch name")


def physical(name: str) -> str:
    """Raises Invalid (`bad-filename`) for what no stored file can be called."""
    if not PHYSICAL.fullmatch(name):
        raise Invalid("bad filename", code="bad-filename")
    return name


def _plain(text: str, what: str) -> str:
    if not PLAIN_NAME.fullmatch(text):
        raise wrong(f"a {what} has 1 to 191 characters, none of them a control character")
    return text


# --- the jobs


class _Job(msgspec.Struct, frozen=True):
    """One job, read; its spec is made when it is stored."""

    element: Element
    template: Template
    resources: Resources
    files: tuple[Brought, ...]
    priority: int | None


class _Makers:
    """A binder for each template, and what goes with it."""

    def __init__(self, app: App, version: int) -> None:
        self._app = app
        self._version = version
        self._made: dict[int, tuple[Template, Binder, Retry]] = {}

    def of(self, template: Template) -> tuple[Binder, Retry]:
        """By identity: equal templates of one request are one object, since reading them is remembered."""
        known = self._made.get(id(template))
        if known is None or known[0] is not template:
            binder = Binder(self._app, template, version=self._version, licence_accepted=True)
            known = self._made[id(template)] = (template, binder, retry(template.replication))
        return known[1], known[2]


def retry(rule: Replication) -> Retry:
    """What repeats a failed instance of a job that wants one answer: the replication of others does that itself.

    The first `errors` failures are repeated, up to `total` instances. What the engine does wrong counts too, but three
    tries of it are allowed always.
    """
    if rule.replicas > 1:
        return Retry()
    tries = min(rule.errors + 1, rule.total)
    return Retry(tries=tries, on=_ANY if tries > 1 else frozenset(), faults=max(tries, Retry().faults))


def submission(words: Words, batch: Element, now: float) -> tuple[int, Callable[[BatchId | None], Submit]]:
    """The number of the batch that is to be filled, or 0; and what makes the Submit. Raises Invalid, NotFound."""
    app = words.open(batch.word("app_name"))
    elements = list(batch.all("job"))
    if not elements:
        raise Invalid("no jobs in batch", code="no-jobs")
    _independent(batch, elements, app.name)
    makers = _Makers(app, batch.integer("app_version_num"))
    standard = _of_batch(words, batch, app)
    params = figures(batch.get("job_params") or Element(""), zero_is_unset=True)
    allocated = batch.has("allocation_priority")
    common = _Common(standard, params, allocated)
    jobs = [_read(words, element, place, common) for place, element in enumerate(elements)]
    groups = tuple(_groups(jobs, makers))
    names = tuple(name and _plain(name, "job name") for name in (job.word("name") for job in elements))
    document = Document(app_version=batch.integer("app_version_num"), allocation_priority=allocated)
    whole = Submit(
        groups=groups,
        origin=Origin(dialect=NAME, document=msgspec.json.encode(document)),
        name=title(batch.word("batch_name"), app.name, now),
        app=app.name,
        priority=0 if allocated else clamped(batch.integer("priority")),
        expires=batch.real("expire_time") or None,
        names=names if any(names) else (),
    )
    return batch.integer("batch_id"), lambda into: whole if into is None else replace(whole, into=into)


def _independent(batch: Element, jobs: Sequence[Element], app: str) -> None:
    """Raises Invalid for a second app, and for jobs that wait for others: the API has neither [founding text]."""
    if any(name.text.strip() != app for part in (batch, *jobs) for name in part.all("app_name")):
        raise wrong("all jobs of a batch use the same application")
    for place, job in enumerate(jobs):
        if any(job.has(name) for name in _DEPENDENCIES):
            raise wrong(f"job {place}: there are no dependencies between jobs")


class _Common(msgspec.Struct, frozen=True):
    """What the jobs of one batch start from."""

    standard: Template
    params: Resources
    allocated: bool
    """Their priority follows from the account's share, which is how accounts take turns here anyway."""


def _of_batch(words: Words, batch: Element, app: App) -> Template:
    """The template of the batch's jobs, unless they bring their own."""
    standard = words.standard(app)
    names = {new: batch.word(new) or batch.word(old) for new, old in _LEGACY.items()}
    for name in names.values():
        if name and not PHYSICAL.fullmatch(name):
            raise wrong(f"{name[:60]!r} is no name of a template file")
    inputs, outputs = names["input_template_filename"], names["output_template_filename"]
    if inputs:
        found = words.shelf.input(inputs)
        if found is None:
            raise wrong(f"there is no template file {inputs}")
        standard = replace(found, outputs=standard.outputs)
    if outputs:
        slots = words.shelf.output(outputs)
        if slots is None:
            raise wrong(f"there is no template file {outputs}")
        standard = replace(standard, outputs=slots)
    return standard


def _read(words: Words, job: Element, place: int, common: _Common) -> _Job:
    template = of_job(job, common.standard)
    own = template.resources if job.has("input_template") else Resources()
    estimate = job.real("rsc_fpops_est")
    if estimate < 0:
        raise wrong(f"rsc_fpops_est of job {place} must not be negative")
    said = Resources(operations=estimate)
    resources = first_given(said, own, common.params, common.standard.resources, USUAL)
    if common.allocated and not (
        estimate or own.operations or common.params.operations or template.resources.operations
    ):
        raise Invalid("no rsc_fpops_est given", code="no-estimate")
    brought = list(job.all("input_file"))
    slots = [slot for slot in template.inputs if not slot.file]
    if len(brought) != len(slots):
        told = f"wrong # of input files for job {place}: need {len(slots)}, got {len(brought)}"
        raise Invalid(told, code="wrong-files")
    files = tuple(_brought(words.own, slot, file) for slot, file in zip(slots, brought, strict=True))
    template = opened(template)
    priority = clamped(job.integer("priority")) if job.has("priority") and not common.allocated else None
    return _Job(job, template, resources, files, priority)


def clamped(priority: int) -> int:
    """A priority as the queue has them: greater ones count as the greatest."""
    return max(PRIORITIES[0], min(priority, PRIORITIES[1]))


def _groups(jobs: list[_Job], makers: _Makers) -> list[Group]:
    """Neighbours that share all but files and arguments are one group, whose specs are made as they are stored."""
    groups: list[Group] = []
    start = 0
    for end in range(1, len(jobs) + 1):
        if end < len(jobs) and _alike(jobs[start], jobs[end]):
            continue
        run = jobs[start:end]
        first = _spec(run[0], makers, start)
        if len(run) == 1:
            groups.append(Group(first, priority=run[0].priority))
        else:
            for place, job in enumerate(run[1:], start + 1):
                _spec(job, makers, place)  # what cannot be is refused before anything is stored
            groups.append(Group(first, len(run), _each(run, makers, start), priority=run[0].priority))
        start = end
    return groups


def _alike(one: _Job, other: _Job) -> bool:
    return one.template is other.template and one.resources == other.resources and one.priority == other.priority


def _each(run: list[_Job], makers: _Makers, start: int) -> Callable[[int], JobSpec]:
    return lambda place: _spec(run[place], makers, start + place)


def _spec(job: _Job, makers: _Makers, place: int) -> JobSpec:
    binder, policy = makers.of(job.template)
    arguments = job.element.word("command_line")
    try:
        return binder.bind(job.files, arguments or None, resources=job.resources, retry=policy)
    except Invalid as error:
        raise wrong(f"job {place}: {error.message}") from error


# --- files


@lru_cache(1024)
def opened(template: Template) -> Template:
    """Its files that are told by an address are brought by the job, which says their last part."""
    slots = tuple(replace(slot, url="", size=0, md5="") if slot.url else slot for slot in template.inputs)
    return template if slots == template.inputs else replace(template, inputs=slots)


def _brought(own: Settings, slot: InputSlot, file: Element) -> Brought:
    """What fills a slot. Where the slot has an address, the file's name is appended to that, and it is read there."""
    if slot.url:
        name = file.word("source") or file.word("url")
        return Brought(Remote(_open(slot.url + name), size=slot.size, md5=slot.md5), name.rpartition("/")[2])
    return Brought(*_source(own, file))


def _source(own: Settings, file: Element) -> tuple[FileRef, str]:
    """What an `input_file` means, and what it is called. Raises Invalid in the contract's words."""
    mode = file.word("mode")
    source = file.word("source")
    match mode:
        case "local_staged":
            physical(source)
            return StagedFile(source), source
        case "local":
            return HostFile(source or _no_source(mode)), source.rpartition("/")[2]
        case "semilocal":
            return Copied(source or _no_source(mode)), ""
        case "inline":
            return _inline(own, file), ""
        case "remote":
            remote = _remote(file)
            return remote, f"jf_{remote.md5}"
        case "sandbox":
            return UserFile(FolderId(0), source or _no_source(mode), named=own.sandbox), source
        case _:
            raise Invalid(f"unsupported file mode: {mode[:60]}", code="file-mode")


def _no_source(mode: str) -> str:
    raise wrong(f"an input file of mode {mode} needs a source")


def _inline(own: Settings, file: Element) -> FileRef:
    found = file.get("source")
    content = b"" if found is None else found.text.encode()
    if len(content) > own.inline:
        raise wrong(f"an inline file has at most {own.inline} bytes")
    return Inline(content) if len(content) <= INLINE_LIMIT else Given(content)


def _remote(file: Element) -> Remote:
    url = file.word("url") or file.word("source")
    size = file.word("nbytes") or file.word("size")
    md5 = file.word("md5").lower()
    nbytes = file.real("nbytes") or file.real("size")
    if not url or not size or nbytes < 0 or not _MD5.fullmatch(md5):
        raise wrong("an input file of mode remote needs url, nbytes and md5")
    return Remote(_open(url), size=int(nbytes), md5=md5)


def _open(url: str) -> str:
    """An address that jobs read. Raises Invalid for one that is none, or that holds a credential."""
    try:
        _, user = address(url, "url")
    except Invalid as error:
        raise wrong(error.message) from None
    if user is not None:
        raise wrong("an address that jobs read holds no user and no password")
    return url


# --- estimates


def estimate(words: Words, batch: Element) -> Estimate:
    """What is to be estimated: only the number of jobs and their operations count; no file is looked at."""
    app = words.app(batch.word("app_name"))
    standard = words.standard(app)
    params = figures(batch.get("job_params") or Element(""), zero_is_unset=True)
    counted: dict[float, int] = {}
    for job in batch.all("job"):
        try:
            own = of_job(job, standard).resources
        except JobgateError:
            own = Resources()  # templates are not looked at here, as the contract says
        operations = job.real("rsc_fpops_est") or first_given(own, params, standard.resources, USUAL).operations
        if operations <= 0:
            raise Invalid("no rsc_fpops_est given for job", code="no-estimate")
        counted[operations] = counted.get(operations, 0) + 1
    if not counted:
        raise Invalid("no jobs in batch", code="no-jobs")
    step = Step(command=Argv(app.command or (app.name,)), program=Binder(app, standard).program)
    return Estimate(
        groups=tuple(
            Group(
                JobSpec(steps=(step,), resources=Resources(operations=operations), replication=standard.replication),
                count,
            )
            for operations, count in counted.items()
        )
    )
