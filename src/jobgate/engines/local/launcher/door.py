"""The launcher's socket: one gateway at a time; a new one takes the place of the one before."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable

from .processes import Json, encode
from .watch import Watch

MAX_FRAME = 64 * 1024 * 1024
HEAD = 4
PIECE = 1 << 16


class Door:
    """Frames in and out.

    `greet` makes the first frame for a gateway that comes, `heard` takes each of its own, `left` is told that it went.
    """

    def __init__(
        self,
        path: str,
        watch: Watch,
        greet: Callable[[], Json],
        heard: Callable[[Json], None],
        left: Callable[[], None],
    ) -> None:
        self.watch = watch
        self.greet = greet
        self.heard = heard
        self.left = left
        self.gateway: socket.socket | None = None
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.full = False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        os.chmod(path, 0o600)
        self.listener.listen(4)
        self.listener.setblocking(False)  # noqa: FBT003  # its only form
        watch.add(self.listener.fileno(), self.welcome)

    def welcome(self) -> None:
        """A gateway comes; the one before, if there is one, is let go."""
        connection, _ = self.listener.accept()
        connection.setblocking(False)  # noqa: FBT003  # its only form
        self.farewell()
        self.gateway = connection
        self.watch.add(connection.fileno(), self.read)
        self.send(self.greet())

    def farewell(self) -> None:
        """The gateway has gone; everything is kept for the next."""
        if self.gateway is not None:
            self.watch.drop(self.gateway.fileno())
            self.gateway.close()
            self.gateway = None
            self.left()
        self.inbox.clear()
        self.outbox.clear()
        self.full = False

    def read(self) -> None:
        """All that has come; nothing when the gateway was let go in this very pass."""
        try:
            while self.gateway is not None:
                piece = self.gateway.recv(PIECE)
                if not piece:
                    self.farewell()
                    return
                self.inbox += piece
                if len(piece) < PIECE:
                    break
        except BlockingIOError:
            pass
        except OSError:
            self.farewell()
            return
        while len(self.inbox) >= HEAD:
            (length,) = struct.unpack_from(">I", self.inbox)
            if length > MAX_FRAME:
                self.farewell()
                return
            if len(self.inbox) < HEAD + length:
                return
            frame = json.loads(bytes(self.inbox[HEAD : HEAD + length]))
            del self.inbox[: HEAD + length]
            self.heard(frame)

    def send(self, frame: Json) -> None:
        """Now, or as soon as the gateway reads on."""
        data = encode(frame).encode()
        self.outbox += struct.pack(">I", len(data)) + data
        self.write()

    def write(self) -> None:
        """As much as the socket takes."""
        if self.gateway is None:
            return
        try:
            sent = self.gateway.send(self.outbox)
            del self.outbox[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.farewell()
            return
        full = bool(self.outbox)
        if full != self.full:
            self.full = full
            self.watch.change(self.gateway.fileno(), self.both if full else self.read, writing=full)

    def both(self) -> None:
        """Readable, writable, or both."""
        self.write()
        if self.gateway is not None:
            self.read()
