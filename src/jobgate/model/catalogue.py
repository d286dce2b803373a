"""The operator's catalogue: what an app's or an image's name means here."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from jobgate.model.errors import NotFound, Unrunnable
from jobgate.model.job import AppRef, Host, ImageRef, Step


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
            told = f"there is no app {name!r} here; the catalogue lists those there are"
            raise NotFound(told, code="app-not-found", field="app")
        return app

    def check(self, step: Step, *, pulls: bool) -> None:
        """Raises NotFound or Unrunnable unless the step's program can be run; `pulls`: the engine fetches images."""
        program = step.program
        if isinstance(program, AppRef):
            app = self.app(program.name)
            image = app.image
            if app.licence and not program.licence_accepted:
                where = app.licence_url or "ask the operator for it"
                raise Unrunnable(
                    f"the licence of the app {app.name!r} must be accepted: {where}",
                    code="licence-required",
                    field="app",
                )
            if image and not pulls and image not in self.images:
                raise Unrunnable(f"the app {program.name!r} needs the image {image!r}, which is not here", field="app")
        elif isinstance(program, ImageRef) and not pulls and (program.archive or program.name not in self.images):
            raise Unrunnable(
                f"the image {program.name!r} is not in the catalogue of this server, and none of its environments "
                "fetches images; ask the operator to add it under [images]",
                code="app-not-runnable",
                field="image",
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
