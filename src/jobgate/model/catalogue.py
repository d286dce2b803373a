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


class Image(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image's name means on an engine that pulls none."""

    name: str
    root: str = ""
    """An unpacked root directory; empty: the host's own tools, in the sandbox."""


class Catalogue(msgspec.Struct, frozen=True):
    """Apps and images by name."""

    apps: Mapping[str, App] = {}
    images: Mapping[str, Image] = {}

    def app(self, name: str) -> App:
        """Raises NotFound for a name that is not in the catalogue."""
        app = self.apps.get(name)
        if app is None:
            raise NotFound(f"there is no app {name!r} here; the catalogue lists those there are", code="app-not-found")
        return app

    def check(self, step: Step, *, pulls: bool) -> None:
        """Raises NotFound or Unrunnable unless the step's program can be run; `pulls`: the engine fetches images."""
        program = step.program
        if isinstance(program, AppRef):
            image = self.app(program.name).image
            if image and not pulls and image not in self.images:
                raise Unrunnable(f"the app {program.name!r} needs the image {image!r}, which is not here")
        elif isinstance(program, ImageRef) and not pulls and (program.archive or program.name not in self.images):
            raise Unrunnable(
                f"the image {program.name!r} is not in the catalogue of this server, and none of its environments "
                "fetches images; ask the operator to add it under [images]",
                code="app-not-runnable",
            )

    def resolve(self, step: Step) -> Step:
        """The step with its app replaced by what it stands for. Raises NotFound when the app has left the catalogue."""
        if not isinstance(step.program, AppRef):
            return step
        app = self.app(step.program.name)
        env = {**app.env, **step.env}
        if app.path:
            env["PATH"] = ":".join((*app.path, env.get("PATH", "/usr/bin:/bin")))
        return replace(step, program=ImageRef(app.image) if app.image else Host(), env=env)
