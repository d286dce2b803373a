"""Which server, and with which key: said in the call, in the environment, or in a file that only its owner reads."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from jobgate.client.errors import NotConfigured

SERVER: Final = "http://127.0.0.1:8080"
"""Where `jobgate serve` listens unless it is told otherwise."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Where:
    """A server, and the key to show there; the key is in no repr."""

    server: str
    key: str = field(repr=False, default="")


def find(server: str | None = None, key: str | None = None, environ: Mapping[str, str] = os.environ) -> Where:
    """What the call says; else JOBGATE_SERVER and JOBGATE_KEY or JOBGATE_KEY_FILE; else the configuration file.

    Raises NotConfigured for a file with a secret that others can read, or one that cannot be understood.
    """
    known = server and key
    file = {} if known or (environ.get("JOBGATE_SERVER") and environ.get("JOBGATE_KEY")) else _file(environ)
    found = server or environ.get("JOBGATE_SERVER") or file.get("server") or SERVER
    secret = key or environ.get("JOBGATE_KEY") or ""
    if not secret and environ.get("JOBGATE_KEY_FILE"):
        secret = key_in(Path(environ["JOBGATE_KEY_FILE"]))
    if not secret and file.get("key_file"):
        secret = key_in(Path(file["key_file"]).expanduser())
    secret = secret or file.get("key", "")
    if "://" not in found:
        found = f"http://{found}"
    return Where(found.rstrip("/"), secret.strip())


def place(environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration file's place: `jobgate/config.toml` in the user's configuration folder."""
    folder = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    return Path(folder) / "jobgate" / "config.toml"


def key_in(path: Path) -> str:
    """The key that a file holds. Raises NotConfigured when others can read it too."""
    return _read(path).strip()


def _file(environ: Mapping[str, str]) -> dict[str, str]:
    path = place(environ)
    if not path.is_file():
        return {}
    import tomllib  # noqa: PLC0415  # not every reader keeps a configuration

    try:
        said = tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        raise NotConfigured(
            "The client's configuration cannot be read.", why=f"{path}: {error}", next_=f"correct {path}, a TOML file"
        ) from error
    return {name: value for name, value in said.items() if isinstance(value, str)}


def _read(path: Path) -> str:
    what = "The client's key was not taken."
    try:
        with path.open(encoding="utf-8") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & _OTHERS:
                raise NotConfigured(what, why=f"others can read {path}", next_=f"chmod 600 {path}")
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise NotConfigured(what, why=f"{path}: {why}", next_="give the path of a file that holds the key") from error
