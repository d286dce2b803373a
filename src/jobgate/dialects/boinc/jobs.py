"""submit_batch and estimate_batch: from their `batch` element to a Submit or an Estimate [BOINC, sections 5 to 7.4].

Jobs that differ in nothing but files and arguments share all else: what a template makes of an app is made once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Final

import msgspec
from msgspec.structs import replace

from jobgate.dialects.boinc.settings import Settings
from jobgate.dialects.boinc.templates import MD5, USUAL, Shelf, figures, first_given, of_job, whole, wrong
from jobgate.dialects.boinc.xml import EMPTY, Element, real
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
LONGEST_NAME: Final = 191
"""Of a batch or a job: `condor#host.domain#App#1470046242#18.0` is one."""
_LEGACY: Final[Mapping[str, str]] = {
    "input_template_filename": "workunit_template_file",
    "output_template_filename": "result_template_file",
}
_ANY: Final = frozenset(Failure)
ONE_APP: Final = "all jobs of a batch use the same application"
_DEPENDENCIES: Final = frozenset(
    {"depends_on", "depends", "dependency", "dependencies", "parent", "parents", "prerequisite"}
)
"""What somebody would call them who hopes for some: to ignore it would run jobs too early."""
PHYSICAL: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.\- ]{1,191}", re.ASCII)
"""What a stored file may be called; a template file too."""
_COPIES: Final = Copied | Given | HostFile


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
    if not (1 <= len(text) <= LONGEST_NAME and text.isprintable()):  # others change what a terminal shows of a list
        raise wrong(f"a {what} has 1 to {LONGEST_NAME} printable characters")
    return text


# --- the jobs


class _Common(msgspec.Struct, frozen=True):
    """What the jobs of one batch start from."""

    words: Words
    app: App
    version: int
    standard: Template
    params: Resources
    allocated: bool
    """Their priority follows from the account's share, which is how accounts take turns here anyway."""


class _Kind:
    """What the jobs of one template share. Raises Invalid for a template of which no job can be."""

    def __init__(self, common: _Common, inputs: Element | None, outputs: Element | None) -> None:
        template = of_job(inputs, outputs, common.standard)
        own = template.resources if inputs is not None else Resources()
        self.slots = tuple(slot for slot in template.inputs if not slot.file)
        """Those that a job fills."""
        self.binder = Binder(common.app, opened(template), version=common.version, licence_accepted=True)
        self.retry = retry(template.replication)
        self.planned = bool(own.operations or common.params.operations or template.resources.operations)
        """Some template, or the batch, says how much there is to do."""
        usual = first_given(own, common.params, common.standard.resources, USUAL)
        self._usual = usual.over(template.resources)
        self._sized: dict[float, Resources] = {}

    def resources(self, operations: float) -> Resources:
        """Of a job that says it takes so many, or 0 for none."""
        if not operations:
            return self._usual
        known = self._sized.get(operations)
        if known is None:
            known = self._sized[operations] = replace(self._usual, operations=operations)
        return known


class _Kinds:
    """The kinds of one request's jobs, each made once."""

    def __init__(self, common: _Common) -> None:
        self._common = common
        self._made: dict[tuple[Element | None, Element | None], _Kind] = {}

    def of(self, inputs: Element | None, outputs: Element | None) -> _Kind:
        """That of a job with these templates of its own."""
        known = self._made.get((inputs, outputs))
        if known is None:
            known = self._made[inputs, outputs] = _Kind(self._common, inputs, outputs)
        return known


class _Job(msgspec.Struct, frozen=True):
    """One job, read."""

    spec: JobSpec
    shared: tuple[_Kind, int | None, bool]
    """Its kind, its priority where it has one, and whether it brings files that are copied."""
    name: str


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
    if any(name.text.strip() != app.name for name in batch.all("app_name")):
        raise wrong(ONE_APP)
    version = batch.integer("app_version_num")
    standard = _of_batch(words, batch, app)
    params = figures(batch.get("job_params") or Element(""), zero_is_unset=True)
    allocated = batch.has("allocation_priority")
    common = _Common(words, app, version, standard, params, allocated)
    kinds = _Kinds(common)
    jobs = [_read(element, place, common, kinds) for place, element in enumerate(elements)]
    names = tuple(job.name for job in jobs)
    document = Document(app_version=version, allocation_priority=allocated)
    made = Submit(
        groups=_groups(jobs),
        origin=Origin(dialect=NAME, document=msgspec.json.encode(document)),
        name=title(batch.word("batch_name"), app.name, now),
        app=app.name,
        priority=0 if allocated else clamped(batch.integer("priority")),
        expires=batch.real("expire_time") or None,
        names=names if any(names) else (),
    )
    return batch.integer("batch_id"), lambda into: made if into is None else replace(made, into=into)


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


def _read(element: Element, place: int, common: _Common, kinds: _Kinds) -> _Job:
    """One job. Its elements are looked through once: ten thousand jobs are a matter of microseconds each."""
    said: dict[str, Element] = {}
    brought: list[Element] = []
    for tag, child in element.children:
        if tag == "input_file":
            brought.append(child)
        else:
            said.setdefault(tag, child)
    _independent(said, place, common.app)
    kind = kinds.of(said.get("input_template"), said.get("output_template"))
    estimate = real(said.get("rsc_fpops_est", EMPTY).text)
    if estimate < 0:
        raise wrong(f"rsc_fpops_est of job {place} must not be negative")
    if common.allocated and not (estimate or kind.planned):
        raise Invalid("no rsc_fpops_est given", code="no-estimate")
    if len(brought) != len(kind.slots):
        told = f"wrong # of input files for job {place}: need {len(kind.slots)}, got {len(brought)}"
        raise Invalid(told, code="wrong-files")
    own = common.words.own
    files = [_brought(own, slot, file) for slot, file in zip(kind.slots, brought, strict=True)]
    arguments = said.get("command_line", EMPTY).text.strip() or None
    try:
        spec = kind.binder.whole(files, arguments, resources=kind.resources(estimate), retry=kind.retry)
    except Invalid as error:
        raise wrong(f"job {place}: {error.message}") from error
    priority = clamped(int(real(said["priority"].text))) if "priority" in said and not common.allocated else None
    copies = any(isinstance(file.source, _COPIES) for file in files)
    name = said.get("name", EMPTY).text.strip()
    return _Job(spec, (kind, priority, copies), name and _plain(name, "job name"))


def _independent(said: Mapping[str, Element], place: int, app: App) -> None:
    """Raises Invalid for a second app, and for a job that waits for others: the API has neither [founding text]."""
    if "app_name" in said and said["app_name"].text.strip() != app.name:
        raise wrong(ONE_APP)
    if not _DEPENDENCIES.isdisjoint(said):
        raise wrong(f"job {place}: there are no dependencies between jobs")


def clamped(priority: int) -> int:
    """A priority as the queue has them: greater ones count as the greatest."""
    return max(PRIORITIES[0], min(priority, PRIORITIES[1]))


def _groups(jobs: list[_Job]) -> tuple[Group, ...]:
    """Neighbours that differ in files, arguments and operations alone are one group."""
    groups: list[Group] = []
    start = 0
    for end in range(1, len(jobs) + 1):
        if end < len(jobs) and jobs[end].shared == jobs[start].shared:
            continue
        run = [job.spec for job in jobs[start:end]]
        each = run.__getitem__ if len(run) > 1 else None
        groups.append(Group(run[0], len(run), each, priority=jobs[start].shared[1]))
        start = end
    return tuple(groups)


# --- files


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
    if not url or not size or nbytes < 0 or not MD5.fullmatch(md5):
        raise wrong("an input file of mode remote needs url, nbytes and md5")
    return Remote(_open(url), size=whole(nbytes), md5=md5)


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


def _own(inputs: Element | None, standard: Template) -> Resources:
    try:
        return of_job(inputs, None, standard).resources
    except JobgateError:
        return Resources()  # templates are not looked at here, as the contract says


def estimate(words: Words, batch: Element) -> Estimate:
    """What is to be estimated: only the number of jobs and their operations count; no file is looked at."""
    app = words.app(batch.word("app_name"))
    standard = words.standard(app)
    params = figures(batch.get("job_params") or Element(""), zero_is_unset=True)
    counted: dict[float, int] = {}
    known: dict[Element | None, Resources] = {}
    for job in batch.all("job"):
        inputs = job.get("input_template")
        own = known.get(inputs)
        if own is None:
            own = known[inputs] = _own(inputs, standard)
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
