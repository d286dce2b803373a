"""The operator's catalogue: what an app's or an image's name means here."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from jobgate.model.errors import NotFound, Unrunnable
from jobgate.model.job import AppRef, Host, ImageRef, Step
from jobgate.model.template import Template


class Version(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an older version of an app has of its own; what is empty is the app's."""

    command: tuple[str, ...] = ()
    image: str = ""
    path: tuple[str, ...] = ()
    env: Mapping[str, str] = {}


class App(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named program: host tools with further directories on their path, or an image."""

    name: str
    title: str = ""
    image: str = ""
    """Runs in this image of the catalogue; empty: in the environment's own sandbox."""
    path: tuple[str, ...] = ()
    """Directories of the host, readable inside the job, put before its PATH."""
    env: Mapping[str, str] = {}
    licence: bool = False
    """The submitter must accept its licence."""
    licence_url: str = ""
    charge: float = 1.0
    """Factor on the environment's price."""
    command: tuple[str, ...] = ()
    """The program and its first words, for those who give arguments only."""
    template: Template | None = None
    """How such a job gets its files, and what it may use; None: no files, and what the environment gives."""
    version: int = 100
    """The newest."""
    versions: Mapping[int, Version] = {}
    """Older ones that a job may still name."""
    accounts: frozenset[str] = frozenset()
    """Names of the accounts that alone may use it; empty: all."""
    deprecated: bool = False
    """Nothing new is submitted to it."""

    def at(self, version: int) -> App:
        """The app as that version of it is. Raises NotFound (`app-version-not-found`)."""
        if version in (0, self.version):
            return self
        older = self.versions.get(version)
        if older is None:
            known = ", ".join(map(str, sorted({self.version, *self.versions}, reverse=True)))
            told = f"the app {self.name!r} has no version {version} here; there are: {known}"
            raise NotFound(told, code="app-version-not-found")
        own = {name: value for name in older.__struct_fields__ if (value := getattr(older, name))}
        return replace(self, version=version, **own)

    def open_to(self, account: str) -> bool:
        """Whether the account of that name may use it."""
        return not self.accounts or account in self.accounts


class Image(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image's name means on an engine that pulls none."""

    name: str
    root: str = ""
    """An unpacked root directory; empty: the host's own tools, in the sandbox."""


class Catalogue(msgspec.Struct, frozen=True):
    """Apps and images by name."""

    apps: Mapping[str, App] = {}
    images: Mapping[str, Image] = {}

    def app(self, name: str, account: str | None = None) -> App:
        """Raises NotFound for a name that is not in the catalogue, or not open to the account of that name."""
        app = self.apps.get(name)
        if app is None or not (account is None or app.open_to(account)):
            told = f"there is no app {name!r} here; the catalogue lists those there are"
            raise NotFound(told, code="app-not-found", field="app")
        return app

    def seen_by(self, account: str) -> Catalogue:
        """What of it the account of that name may use."""
        return Catalogue({name: app for name, app in self.apps.items() if app.open_to(account)}, self.images)

    def check(self, step: Step, *, pulls: bool, account: str | None = None) -> None:
        """Raises NotFound or Unrunnable unless the step's program can be run; `pulls`: the engine fetches images.

        `account` is whose new job it would be; None: the job was accepted before.
        """
        program = step.program
        if isinstance(program, AppRef):
            app = self.app(program.name, account).at(program.version)
            if app.deprecated and account is not None:
                raise Unrunnable(f"the app {app.name!r} takes no new jobs here", code="app-deprecated")
            if app.licence and not program.licence_accepted:
                where = app.licence_url or "ask the operator for it"
                raise Unrunnable(
                    f"the licence of the app {app.name!r} must be accepted: {where}",
                    code="licence-required",
                    field="app",
                )
            if app.image and not pulls and app.image not in self.images:
                told = f"the app {program.name!r} needs the image {app.image!r}, which is not here"
                raise Unrunnable(told, field="app")
        elif isinstance(program, ImageRef) and not pulls and (program.archive or program.name not in self.images):
            raise Unrunnable(
                f"the image {program.name!r} is not in the catalogue of this server, and none of its environments "
                "fetches images; ask the operator to add it under [images]",
                code="app-not-runnable",
                field="image",
            )

    def resolve(self, step: Step) -> Step:
        """The step with its app replaced by what it stands for.

        The app's own command is in the step's since it was submitted. Raises NotFound when the app, or its version, has
        left the catalogue.
        """
        if not isinstance(step.program, AppRef):
            return step
        app = self.app(step.program.name).at(step.program.version)
        env = {**app.env, **step.env}
        if app.path:
            env["PATH"] = ":".join((*app.path, env.get("PATH", "/usr/bin:/bin")))
        return replace(step, program=ImageRef(app.image) if app.image else Host(), env=env)
