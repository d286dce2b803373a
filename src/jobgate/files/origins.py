"""Files that a submit copies: the server's own, below directories that the operator named, and those at addresses."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable, MutableMapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from jobgate.files.storage import Storage
from jobgate.model.errors import FetchError, Invalid, TooLarge
from jobgate.model.files import Copied, Given, HostFile, Origin, Stored
from jobgate.net.blocking import blocking
from jobgate.net.egress import Egress

_AT_ONCE: Final = 4
"""Addresses that one request copies from at a time."""
_OF_ALL: Final = 16
"""Of all requests together."""
_TOGETHER: Final = 32
"""Files of the server's own that are open at one time, and share one sync."""
_LOOK: Final = os.O_PATH | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Origins:
    """Copies into storage: each file of at most `limit` bytes, all of a request within `longest` seconds.

    `directories` are those whose files may be named; what lies below `never` is not, wherever that is.
    """

    def __init__(  # noqa: PLR0913  # where from, where to, and how much
        self,
        storage: Storage,
        egress: Egress,
        *,
        directories: Sequence[Path] = (),
        never: Path | None = None,
        limit: int,
        longest: float = 300.0,
    ) -> None:
        self._storage = storage
        self._egress = egress
        self._directories = directories
        self._never = never
        self._limit = limit
        self._longest = longest
        self._gate = asyncio.Semaphore(_OF_ALL)

    async def bring(self, origins: Iterable[Origin], stored: MutableMapping[Origin, Stored]) -> None:
        """Copies each of them once; `stored` holds what has come, also where it breaks off.

        Raises Invalid (`host-file`, `copy-failed`), TooLarge, Unavailable.
        """
        wanted = dict.fromkeys(origins)
        try:
            async with asyncio.timeout(self._longest):
                await self._given([one for one in wanted if isinstance(one, Given)], stored)
                await self._host_files([one for one in wanted if isinstance(one, HostFile)], stored)
                await self._copies([one for one in wanted if isinstance(one, Copied)], stored)
        except TimeoutError:
            told = f"its files could not all be copied in {self._longest:g} seconds"
            raise Invalid(told, code="copy-failed", field="inputs", retryable=True) from None

    async def _given(self, contents: Sequence[Given], stored: MutableMapping[Origin, Stored]) -> None:
        found = await self._storage.put_all([one.content for one in contents], limit=self._limit)
        stored.update(zip(contents, found, strict=True))

    # --- the server's own

    async def _host_files(self, files: Sequence[HostFile], stored: MutableMapping[Origin, Stored]) -> None:
        for start in range(0, len(files), _TOGETHER):
            some = files[start : start + _TOGETHER]
            with ExitStack() as stack:
                sources = await blocking(partial(self._opened, some, stack))
                stored.update(zip(some, await self._storage.put_all(sources, limit=self._limit), strict=True))

    def _opened(self, files: Sequence[HostFile], stack: ExitStack) -> list[BinaryIO]:
        return [stack.enter_context(os.fdopen(self.open(file), "rb")) for file in files]

    def open(self, file: HostFile) -> int:
        """A descriptor of the regular file; whoever takes it closes it. Raises Invalid (`host-file`), TooLarge.

        What is refused is refused in the same words, whatever lies there. The file is opened without being touched,
        asked where it is, and only then opened to be read, by what was judged and not by its name: a link that is
        changed meanwhile leads nowhere else.
        """
        path = self._named(file.path)
        try:
            seen = os.open(path, _LOOK)
        except (OSError, ValueError):
            raise _refused(file) from None
        try:
            status, held = os.fstat(seen), f"/proc/self/fd/{seen}"
            if not stat.S_ISREG(status.st_mode) or not self._inside(Path(held).readlink()):
                raise _refused(file)
            if status.st_size > self._limit:
                raise TooLarge(f"the file {file.path} has more than {self._limit} bytes", code="too-large")
            return os.open(held, _READ)
        except OSError:
            raise _refused(file) from None
        finally:
            os.close(seen)

    def _named(self, path: str) -> Path:
        """Where the path leads by its words alone: what these do not lead below a directory is not even looked at."""
        if ".." in path.split("/") or not path or "\0" in path:
            raise _refused(HostFile(path))
        if not path.startswith("/"):
            if not self._directories:
                raise _refused(HostFile(path))
            return self._directories[0] / path
        whole = Path(path)
        if not any(whole.is_relative_to(one) or whole.is_relative_to(one.resolve()) for one in self._directories):
            raise _refused(HostFile(path))
        return whole

    def _inside(self, real: Path) -> bool:
        """Whether a path without links is below one of the directories."""
        if self._never is not None and real.is_relative_to(self._never.resolve()):
            return False
        return any(real.is_relative_to(one.resolve()) for one in self._directories)

    # --- addresses

    async def _copies(self, copies: Sequence[Copied], stored: MutableMapping[Origin, Stored]) -> None:
        left = iter(copies)

        async def some() -> None:
            for one in left:
                async with self._gate:
                    stored[one] = await self._copy(one)

        tasks = [asyncio.ensure_future(some()) for _ in copies[:_AT_ONCE]]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _copy(self, copied: Copied) -> Stored:
        try:
            async with self._egress.fetch(copied.url, limit=self._limit, timeout=self._longest) as answer:
                return await self._storage.put(aiter(answer), limit=self._limit)
        except FetchError as error:
            kind = TooLarge if error.code == "too-large" else Invalid
            code = "too-large" if error.code == "too-large" else "copy-failed"
            told = f"a file could not be copied: {error.message}"
            raise kind(told, code=code, field="inputs", retryable=error.retryable, about=_shown(copied.url)) from error


def _refused(file: HostFile) -> Invalid:
    told = f"the file {file.path} is none that jobs may have; ask the operator which directories of the server they may"
    return Invalid(told, code="host-file", field="inputs", about=file.path)


def _shown(url: str) -> str:
    """The address without user and password."""
    scheme, mark, rest = url.partition("//")
    place, slash, path = rest.partition("/")
    return f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}"
