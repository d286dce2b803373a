"""Templates as XML: read into the model's, and written from it [BOINC, sections 6.1 to 6.5].

Figures that a template does not give stay 0, so that those of the next in line hold (section 6.5); one that is given as
0 is an error, as it is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from jobgate.dialects.boinc.xml import Element, read, real, tag, text
from jobgate.model.errors import Invalid
from jobgate.model.files import check_path
from jobgate.model.job import Replication
from jobgate.model.resources import Resources
from jobgate.model.template import InputSlot, OutputSlot, Template

USUAL: Final = Resources(
    operations=3.6e12, operations_limit=8.64e13, memory=500_000_000, disk=1_000_000_000, walltime=604_800.0
)
"""Where neither job, batch nor template says it."""
_FIGURES: Final[Mapping[str, str]] = {
    "rsc_fpops_est": "operations",
    "rsc_fpops_bound": "operations_limit",
    "rsc_memory_bound": "memory",
    "rsc_disk_bound": "disk",
    "delay_bound": "walltime",
}
_WHOLE: Final = frozenset({"memory", "disk"})
_COUNTS: Final[Mapping[str, str]] = {
    "target_nresults": "replicas",
    "min_quorum": "quorum",
    "max_error_results": "errors",
    "max_total_results": "total",
    "max_success_results": "successes",
}
_MOST_CREDIT: Final = 1e15
_LARGEST: Final = 1e18
MD5: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_MOST: Final = 100
"""Instances of one job at most."""


def wrong(why: str) -> Invalid:
    """The error for a template, or a job, of which no work can be made."""
    return Invalid(f"create_work failed: {why}", code="create-work")


def whole(number: float) -> int:
    """It without its fraction, and no more than any file has bytes: 63 bits are what a size is kept in."""
    return int(max(-_LARGEST, min(number, _LARGEST)))


def figures(element: Element, *, zero_is_unset: bool) -> Resources:
    """The resource figures among its children. Raises Invalid for a negative one, and for 0 where that is no figure."""
    given: dict[str, float | int] = {}
    for name, field in _FIGURES.items():
        if not element.has(name):
            continue
        value = element.real(name)
        if value < 0 or (value == 0 and not zero_is_unset):
            raise wrong(f"{name} must be more than 0")
        if value:
            given[field] = int(value) if field in _WHOLE else value
    try:
        return Resources(**given)  # type: ignore[arg-type]  # the names are those of the table above
    except Invalid as error:
        raise wrong(error.message) from error


def first_given(*layers: Resources) -> Resources:
    """Each figure as the first of the layers gives it."""
    whole = layers[-1]
    for layer in reversed(layers[:-1]):
        more = {field: value for field in _FIGURES.values() if (value := getattr(layer, field))}
        whole = replace(whole, **more) if more else whole
    return whole


# --- reading


def input_template(element: Element) -> Template:
    """A template without outputs. Raises Invalid for one that is inconsistent."""
    works = list(element.all("workunit"))
    if len(works) != 1:
        raise wrong(f"an input template has one workunit, and this one {len(works)}")
    work = works[0]
    infos, refs = list(element.all("file_info")), list(work.all("file_ref"))
    if len(infos) != len(refs):
        raise wrong(f"the input template has {len(infos)} file_info and {len(refs)} file_ref")
    slots = tuple(_input(info, ref) for info, ref in zip(infos, refs, strict=True))
    return Template(
        inputs=slots,
        arguments=work.word("command_line"),
        resources=figures(work, zero_is_unset=False),
        replication=_replication(work),
        credit=_credit(work),
    )


def _credit(work: Element) -> float | None:
    if not work.has("credit"):
        return None
    value = work.real("credit")
    if not 0 <= value <= _MOST_CREDIT:
        raise wrong(f"credit must be 0 to {_MOST_CREDIT:g}")
    return value


def _input(info: Element, ref: Element) -> InputSlot:
    path = ref.word("open_name")
    if path:
        _path(path)
    described = [name for name in ("url", "nbytes", "md5_cksum") if info.has(name)]
    if described and len(described) != len(("url", "nbytes", "md5_cksum")):
        raise wrong("a file_info with a url needs nbytes and md5_cksum too")
    if described:
        size, md5 = whole(info.real("nbytes")), info.word("md5_cksum").lower()
        if size < 0 or not MD5.fullmatch(md5):
            raise wrong("a file_info with a url needs nbytes and md5_cksum that can be")
        return InputSlot(path=path, url=info.word("url"), size=size, md5=md5, executable=info.has("executable"))
    return InputSlot(path=path, file=info.word("physical_name"), executable=info.has("executable"))


def _path(path: str) -> None:
    try:
        check_path(path, "open_name")
    except Invalid as error:
        raise wrong(error.message) from error


def _replication(work: Element) -> Replication:
    counts = dict.fromkeys(_COUNTS.values(), 1)
    for name, field in _COUNTS.items():
        if work.has(name):
            counts[field] = work.integer(name)
            if not 1 <= counts[field] <= _MOST:
                raise wrong(f"{name} must be 1 to {_MOST}")
    for name in ("max_error_results", "max_success_results"):
        if work.has(name) and counts[_COUNTS[name]] > counts["total"]:
            raise wrong(f"{name} must not be more than max_total_results")
    counts["replicas"] = max(counts["replicas"], counts["quorum"])
    for field in ("total", "successes"):
        counts[field] = max(counts[field], counts["replicas"])
    return msgspec.convert(counts, Replication)


def output_template(element: Element) -> tuple[OutputSlot, ...]:
    """The output slots, in order: their places are the file numbers. Raises Invalid for one that is inconsistent."""
    results = list(element.all("result"))
    if len(results) != 1:
        raise wrong(f"an output template has one result, and this one {len(results)}")
    infos, refs = list(element.all("file_info")), list(results[0].all("file_ref"))
    if len(infos) != len(refs):
        raise wrong(f"the output template has {len(infos)} file_info and {len(refs)} file_ref")
    return tuple(_output(info, ref) for info, ref in zip(infos, refs, strict=True))


def _output(info: Element, ref: Element) -> OutputSlot:
    path = ref.word("open_name")
    if not path:
        raise wrong("a file_ref of an output template needs its open_name")
    _path(path)
    optional = ref.get("optional")
    is_optional = optional is not None and (not optional.text.strip() or bool(real(optional.text)))
    return OutputSlot(path=path, limit=max(whole(info.real("max_nbytes")), 0), optional=is_optional)


def template_file(content: bytes, root: str) -> Element:
    """A template that the operator wrote: the element `root`. Raises Invalid when it is none."""
    try:
        found = read(content)
    except Invalid as error:
        raise wrong(error.message) from error
    if found.root != root:
        raise wrong(f"a template file holds one {root}, and this one {found.root}")
    return found.body


# --- writing


def written(template: Template) -> str:
    """Both templates as elements, one after the other, as `get_templates` tells them."""
    return _written_input(template) + _written_output(template.outputs)


def _written_input(template: Template) -> str:
    work = "".join(map(_file_ref, template.inputs))
    if template.arguments:
        work += tag("command_line", template.arguments)
    for name, field in _FIGURES.items():
        if value := getattr(template.resources, field):
            work += tag(name, float(value))
    for name, field in _COUNTS.items():
        work += tag(name, int(getattr(template.replication, field)))
    if template.credit is not None:
        work += tag("credit", template.credit)
    infos = "".join(map(_file_info, template.inputs))
    return f"<input_template>\n{infos}<workunit>\n{work}</workunit>\n</input_template>\n"


def _file_info(slot: InputSlot) -> str:
    inside = ""
    if slot.file:
        inside = tag("physical_name", slot.file)
    elif slot.url:
        inside = tag("url", slot.url) + tag("nbytes", slot.size) + tag("md5_cksum", slot.md5)
    if slot.executable:
        inside += "<executable/>\n"
    return f"<file_info>\n{inside}</file_info>\n"


def _file_ref(slot: InputSlot) -> str:
    return f"<file_ref>\n{tag('open_name', slot.path) if slot.path else ''}<copy_file/>\n</file_ref>\n"


def _written_output(slots: Iterable[OutputSlot]) -> str:
    infos = refs = ""
    for number, slot in enumerate(slots):
        name = f"<OUTFILE_{number}/>"
        limit = tag("max_nbytes", slot.limit) if slot.limit else ""
        infos += (
            f"<file_info>\n<name>{name}</name>\n<generated_locally/>\n<upload_when_present/>\n{limit}"
            "<url><UPLOAD_URL/></url>\n</file_info>\n"
        )
        optional = "<optional/>\n" if slot.optional else ""
        refs += (
            f"<file_ref>\n<file_name>{name}</file_name>\n<open_name>{text(slot.path)}</open_name>\n<copy_file/>\n"
            f"{optional}</file_ref>\n"
        )
    return f"<output_template>\n{infos}<result>\n{refs}</result>\n</output_template>\n"


# --- which one holds


class Shelf:
    """The operator's templates, each read once, and those of the apps."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._inputs: dict[str, Template] = {}
        self._outputs: dict[str, tuple[OutputSlot, ...]] = {}

    def input(self, name: str) -> Template | None:
        """The input template of that file name; None when there is none. Raises Invalid for one that cannot be used."""
        if name not in self._inputs and name in self._files:
            self._inputs[name] = input_template(template_file(self._files[name], "input_template"))
        return self._inputs.get(name)

    def output(self, name: str) -> tuple[OutputSlot, ...] | None:
        """The output template of that file name; None when there is none."""
        if name not in self._outputs and name in self._files:
            self._outputs[name] = output_template(template_file(self._files[name], "output_template"))
        return self._outputs.get(name)

    def of_app(self, app: str, own: Template | None) -> Template:
        """The app's standard template: the operator's files `APP_in` and `APP_out`, or else what its entry says."""
        base = own or Template()
        inputs, outputs = self.input(f"{app}_in"), self.output(f"{app}_out")
        whole = base if inputs is None else replace(inputs, outputs=base.outputs)
        return whole if outputs is None else replace(whole, outputs=outputs)


def of_job(inputs: Element | None, outputs: Element | None, standard: Template) -> Template:
    """The template of a job with these elements of its own, each in the place of the standard's."""
    template = standard
    if inputs is not None:
        template = replace(input_template(inputs), outputs=standard.outputs)
    if outputs is not None:
        template = replace(template, outputs=output_template(outputs))
    return template
