"""job-create: from its body to a Submit, in the contract's order of checks.

Required members, types and ranges, catalogue look-ups, limits; the first fault found is the one told.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from jobgate.dialects.charity_engine.settings import InstanceType, Settings
from jobgate.dialects.charity_engine.wire import (
    NAME,
    Document,
    InputFile,
    JobCreate,
    Specs,
    members,
)
from jobgate.dialects.dialect import Setup
from jobgate.dialects.reading import address, typed
from jobgate.model.catalogue import Catalogue
from jobgate.model.errors import Invalid, TooLarge, Unrunnable
from jobgate.model.files import FileRef, Input, Output, OutputKind, Remote, UserFile, check_path
from jobgate.model.guard import Guard
from jobgate.model.ids import Digest, FolderId
from jobgate.model.job import AppRef, Argv, ImageRef, JobSpec, Late, Origin, Place, Program, Step
from jobgate.model.operations import Group, Submit
from jobgate.model.resources import MIB, Resources

HOME: Final = "/local"
LATE: Final[Mapping[str, Late]] = {"CE_JOB_ID": Late.JOB, "CE_BATCH_ID": Late.BATCH, "CE_COPY_INDEX": Late.INDEX}
TOKEN_LIVES: Final = 86_400.0
UPLOADS: Final = FolderId(0)
"""The owner's own uploads, whichever number that folder has."""

ARCHIVE: Final = "image-archive"
"""Name of the user and password that stood in an image archive's address."""
REQUIRED: Final = ("app", "commandLine")
SPELLINGS: Final = {"encryptedInputURLs": "encryptedInputUrls", "encryptedOutputURLs": "encryptedOutputUrls"}
CREDENTIALS: Final = ("authenticator",)
DEFAULTS: Final = Specs(vcpus=2, ram=2048, disk=512, network_download=0, network_upload=0)
SIZES: Final = ("vcpus", "ram", "disk")
"""What an instance type bounds."""

_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IGNORED_NAMES: Final = 32
_IGNORED_LENGTH: Final = 64


def submit(body: Mapping[str, object], setup: Setup, own: Settings) -> Submit:
    """What a job-create asks for. Raises Invalid, NotFound, Unrunnable or TooLarge with the contract's codes."""
    sent = {SPELLINGS.get(name, name): value for name, value in body.items() if name not in CREDENTIALS}
    unknown = unknown_members(sent)
    _complete(sent)
    if own.strict and unknown:
        raise Invalid(f"{unknown[0]}: there is no such member", code="unknown-field", field=unknown[0])
    asked = typed(sent, JobCreate)
    _ranges(asked, own)
    inputs, addresses, secrets = _inputs(asked.input_files)
    app, program = _program(asked, secrets)
    charge = _catalogue(asked, program, setup)
    kind, specs = _size(asked, own)
    _limits(asked, own)

    hours = min(8.0, own.hours) if asked.hours is UNSET else asked.hours
    step = Step(
        command=Argv(("sh", "-c", asked.command_line)),
        program=program,
        env=_environment(asked.environment, specs),
        late_env=LATE,
    )
    spec = JobSpec(
        steps=(step,),
        inputs=inputs,
        outputs=(Output(path="output", kind=OutputKind.DIRECTORY),),
        resources=Resources(
            cores=float(_known(specs.vcpus)),
            memory=_known(specs.ram) * MIB,
            disk=_known(specs.disk) * MIB,
            walltime=hours * 3600.0,
            network=own.reach,
            traffic_in=_known(specs.network_download) * MIB,
            traffic_out=_known(specs.network_upload) * MIB,
        ),
        place=Place(
            home=HOME,
            directories=("input",),
            own=asked.use_own_devices,
            wait=own.own_devices_wait if asked.use_own_devices else own.longest_wait,
        ),
        secrets=frozenset(secrets),
        charge=charge,
    )
    document = Document(
        app=app,
        command_line=asked.command_line,
        specs=specs,
        hours=hours,
        instance_type=kind.name,
        use_own_devices=asked.use_own_devices,
        tag=asked.tag,
        input_files=addresses,
        cleanup_files=asked.cleanup_files,
        eula_accepted=asked.eula_accepted,
        encrypted_input_files=asked.encrypted_input_files,
        ignored=tuple(name[:_IGNORED_LENGTH] for name in unknown[:_IGNORED_NAMES]),
    )
    return Submit(
        groups=(Group(spec, asked.copies),),
        origin=Origin(dialect=NAME, document=msgspec.json.encode(document)),
        app=app,
        labels={} if asked.tag is UNSET else {"tag": asked.tag},
        secrets=secrets,
        guard=None if asked.client_token is UNSET else _guard(asked.client_token, sent),
    )


def _guard(token: str, sent: Mapping[str, object]) -> Guard:
    """The token, bound to the body whatever the order of its members."""
    canonical = msgspec.json.encode(sent, order="deterministic")
    return Guard(key=token, scope=NAME, body=Digest(hashlib.sha256(canonical).hexdigest()), lives=TOKEN_LIVES)


def _known(value: int | UnsetType) -> int:
    return 0 if value is UNSET else value


# --- required members


def unknown_members(sent: Mapping[str, object]) -> list[str]:
    """The members, at every depth, that this API does not know."""
    found = sorted(sent.keys() - members(JobCreate))
    specs = sent.get("specs")
    if isinstance(specs, dict):
        found += [f"specs.{name}" for name in sorted(specs.keys() - members(Specs))]
    files = sent.get("inputFiles")
    for place, item in enumerate(files if isinstance(files, list) else ()):
        if isinstance(item, dict):
            found += [f"inputFiles[{place}].{name}" for name in sorted(item.keys() - members(InputFile))]
    return found


def _complete(sent: Mapping[str, object]) -> None:
    """Raises Invalid (`missing-field`), at every depth, before any type is looked at."""
    needed = list(REQUIRED)
    if sent.get("encryptedOutputFiles") is True or sent.get("encryptedOutputUrls") is True:
        needed.append("publicKey")
    for name in needed:
        if name not in sent:
            raise _missing(name)
    files = sent.get("inputFiles")
    for place, item in enumerate(files if isinstance(files, list) else ()):
        if isinstance(item, dict):
            if "filename" not in item:
                raise _missing(f"inputFiles[{place}].filename")
            if "url" not in item and "hash" not in item:
                raise _missing(f"inputFiles[{place}].url")


def _missing(field: str) -> Invalid:
    return Invalid(f"{field}: it is needed, and missing", code="missing-field", field=field)


def _invalid(field: str, why: str, code: str = "invalid-field") -> Invalid:
    return Invalid(f"{field}: {why}", code=code, field=field)


# --- types and ranges


def _ranges(asked: JobCreate, own: Settings) -> None:
    if not asked.command_line.strip():
        raise _invalid("commandLine", "a command is needed, not only blanks")
    if "\0" in asked.command_line:
        raise _invalid("commandLine", "NUL is refused")
    if asked.hours is not UNSET and asked.hours > own.hours:
        raise _invalid("hours", f"at most {own.hours:g} are allowed here")
    if asked.tag is not UNSET and ("\0" in asked.tag or len(asked.tag) > own.tag):
        raise _invalid("tag", f"at most {own.tag} characters, and no NUL")
    for name, value in asked.environment.items():
        if not _VARIABLE.fullmatch(name):
            raise _invalid("environment", "names of variables are letters, digits and _, and begin with no digit")
        if "\0" in value:
            raise _invalid("environment", "NUL is refused in values")
    if asked.callback_url is not UNSET:
        raise _invalid("callbackUrl", "calls back are not made here yet; ask for job-status instead")


def _inputs(files: tuple[InputFile, ...]) -> tuple[tuple[Input, ...], tuple[InputFile, ...], dict[str, str]]:
    """The inputs, the entries to be shown, and the credentials that stood in addresses, by name."""
    inputs: list[Input] = []
    shown: list[InputFile] = []
    secrets: dict[str, str] = {}
    for place, item in enumerate(files):
        field = f"inputFiles[{place}]"
        path = f"input/{_filename(item.filename, f'{field}.filename')}"
        source: FileRef
        if item.url is not UNSET:
            if item.hash is not UNSET:
                raise _invalid(f"{field}.hash", "an input has one of url and hash, not both")
            clean, credential = address(item.url, f"{field}.url")
            name = f"input-{place}"
            if credential is not None:
                secrets[name] = credential
            source = Remote(
                url=clean,
                size=None if item.size is UNSET else item.size,
                digest=None if item.sha256 is UNSET else Digest(item.sha256),
                secret=None if credential is None else name,
            )
            shown.append(replace(item, url=clean))
        else:
            assert item.hash is not UNSET  # noqa: S101  # one of the two is there, or it had been missing
            if item.sha256 is not UNSET and item.sha256 != item.hash:
                raise _invalid(f"{field}.sha256", "it disagrees with hash")
            source = UserFile(UPLOADS, item.hash)
            shown.append(item)
        inputs.append(Input(path=path, source=source))
    _distinct([item.filename for item in files])
    return tuple(inputs), tuple(shown), secrets


def _filename(name: str, field: str) -> str:
    try:
        check_path(name, field)
    except Invalid as error:
        raise Invalid(error.message, code="invalid-filename", field=field) from None
    return name


def _distinct(names: list[str]) -> None:
    """Raises Invalid (`duplicate-filename`) for a name given twice, or as a file and as a directory."""
    directories = {name[:at] for name in names for at, c in enumerate(name) if c == "/"}
    seen: set[str] = set()
    for place, name in enumerate(names):
        if name in seen or name in directories:
            raise _invalid(f"inputFiles[{place}].filename", "this name is used twice", "duplicate-filename")
        seen.add(name)


# --- catalogue look-ups


def _program(asked: JobCreate, secrets: dict[str, str]) -> tuple[str, Program]:
    """`app` as it may be shown, and what it names, by its form; a password in an archive's address joins `secrets`.

    Raises Invalid for an image's name or address that is none.
    """
    if not asked.app.startswith("docker:"):
        if not asked.app.strip():
            raise _invalid("app", "a name is needed")
        return asked.app, AppRef(asked.app, asked.eula_accepted)
    name, blank, archive = asked.app.removeprefix("docker:").partition(" ")
    if not _IMAGE.fullmatch(name):
        raise _invalid("app", "docker: is followed by an image's name, and one blank before an archive's address")
    if not blank:
        return asked.app, ImageRef(name)
    clean, credential = address(archive, "app")
    if credential is not None:
        secrets[ARCHIVE] = credential
    secret = None if credential is None else ARCHIVE
    return f"docker:{name} {clean}", ImageRef(name, archive=clean, secret=secret)


def _catalogue(asked: JobCreate, program: Program, setup: Setup) -> float:
    """The factor on the price. Raises NotFound, Invalid or Unrunnable when the program cannot be had."""
    charge = 1.0
    catalogue: Catalogue = setup.catalogue
    if isinstance(program, AppRef):
        app = catalogue.app(program.name)
        if app.licence and not asked.eula_accepted:
            told = f"the licence of this app must be accepted: {app.licence_url or 'ask the operator for it'}"
            raise _invalid("eulaAccepted", told, "eula-required")
        charge = app.charge
    try:
        catalogue.check(Step(command=Argv(("sh",)), program=program), pulls=setup.pulls)
    except Unrunnable as error:
        raise Unrunnable(error.message, code="app-not-runnable", field="app") from None
    for name, wish in (
        ("encryptedInputUrls", asked.encrypted_input_urls),
        ("encryptedOutputFiles", asked.encrypted_output_files),
        ("encryptedOutputUrls", asked.encrypted_output_urls),
    ):
        if wish:
            raise Unrunnable(f"{name}: no way to encrypt is published", code="encryption-unsupported", field=name)
    return charge


def _size(asked: JobCreate, own: Settings) -> tuple[InstanceType, Specs]:
    """The instance type, and the specification with what was left open filled in."""
    specs = Specs() if asked.specs is UNSET else asked.specs
    named = own.default_instance_type if asked.specs is UNSET and asked.instance_type is UNSET else asked.instance_type
    if named is not UNSET:
        kind = own.type(named)
        if kind is None:
            there = ", ".join(k.name for k in own.instance_types)
            raise _invalid("instanceType", f"there is no such instance type; there are: {there}")
        full = _filled(specs, Specs(vcpus=kind.vcpus, ram=kind.ram, disk=kind.disk))
        for name in SIZES:
            if getattr(full, name) > getattr(kind, name):
                told = f"{kind.name} has {getattr(kind, name)}"
                raise _invalid(f"specs.{name}", told, "specs-exceed-instance-type")
        return kind, full
    full = _filled(specs, DEFAULTS)
    for kind in sorted(own.instance_types, key=lambda k: (k.vcpus, k.ram, k.disk, k.price)):
        if all(getattr(full, name) <= getattr(kind, name) for name in SIZES):
            return kind, full
    raise Unrunnable("no instance type is large enough for these specs", code="no-matching-instance", field="specs")


def _filled(specs: Specs, by: Specs) -> Specs:
    """`specs` with what is missing taken from `by`, and no traffic where none was declared."""
    for source in (by, DEFAULTS):
        specs = replace(
            specs,
            **{
                name: getattr(source, name)
                for name in Specs.__struct_fields__
                if getattr(specs, name) is UNSET and getattr(source, name) is not UNSET
            },
        )
    return specs


# --- limits


def _limits(asked: JobCreate, own: Settings) -> None:
    if own.own_devices == "refuse" and asked.use_own_devices:
        told = "useOwnDevices: no account has devices of its own here"
        raise Unrunnable(told, code="no-own-device", field="useOwnDevices")
    if len(asked.command_line.encode()) > own.command:
        raise _invalid("commandLine", f"at most {own.command} bytes are allowed here")
    if len(asked.input_files) > own.input_files:
        told = f"inputFiles: at most {own.input_files} are allowed here"
        raise TooLarge(told, code="too-many-files", field="inputFiles")
    size = sum(len(name.encode()) + len(value.encode()) for name, value in asked.environment.items())
    if len(asked.environment) > own.environment or size > own.environment_bytes:
        told = f"at most {own.environment} variables of {own.environment_bytes} bytes together are allowed here"
        raise _invalid("environment", told)
    if asked.copies > own.copies:
        raise TooLarge(f"copies: at most {own.copies} are allowed here", code="too-many-copies", field="copies")


# --- inside the job


def _environment(sent: Mapping[str, str], specs: Specs) -> dict[str, str]:
    """The job's variables; those of this API cannot be overwritten."""
    ours = {
        "CE_INPUT_DIR": f"{HOME}/input",
        "CE_OUTPUT_DIR": f"{HOME}/output",
        "CE_VCPUS": str(_known(specs.vcpus)),
        "CE_RAM_MB": str(_known(specs.ram)),
    }
    return {name: value for name, value in sent.items() if name not in LATE} | ours
