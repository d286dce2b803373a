"""Runs a sandbox with a network of its own: outbound by slirp4netns, forbidden ranges made unreachable inside.

``netns.py UID SLIRP NETWORK RANGES BWRAP…``; standard library only. Given a uid the sandbox is that user's;
slirp4netns stays ours, since /dev/net/tun may be root's only. The sandbox is held back (``--block-fd``) until
the routes are there and slirp4netns is ready; if either fails the command is never run. Ends as the sandbox ends.
Sources: slirp4netns(1), rtnetlink(7), netdevice(7), setns(2).
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import json
import os
import select
import signal
import socket
import struct
import sys

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
NS_GET_USERNS = 0xB701
"""The user namespace that owns a network: bubblewrap makes two, one in the other (ioctl_ns(2))."""
RTM_NEWROUTE = 24
REQUEST_CREATE_REPLACE_ACK = 0x1 | 0x4 | 0x100 | 0x400
RTN_UNREACHABLE = 7
RTMGRP_LINK = 1
SIOCGIFFLAGS = 0x8913
IFF_UP = 1
READY = 10.0
"""Seconds until slirp4netns must be ready."""


def route_message(network: str) -> bytes:
    """The netlink request that makes a network unreachable."""
    parsed = ipaddress.ip_network(network)
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6  # noqa: PLR2004  # the version
    body = struct.pack("BBBBBBBBI", family, parsed.prefixlen, 0, 0, 254, 4, 0, RTN_UNREACHABLE, 0)
    address = parsed.network_address.packed
    body += struct.pack("HH", 4 + len(address), 1) + address
    return struct.pack("IHHII", 16 + len(body), RTM_NEWROUTE, REQUEST_CREATE_REPLACE_ACK, 1, 0) + body


def close_ways(pid: int, networks: list[str]) -> bool:
    """In the sandbox's own network: each of `networks` is unreachable. Runs in a child, which enters it."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        net = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        if os.geteuid() != 0 and libc.setns(fcntl.ioctl(net, NS_GET_USERNS), CLONE_NEWUSER):
            os._exit(1)
        if libc.setns(net, CLONE_NEWNET):
            os._exit(2)
        if not settled(pid):
            os._exit(5)
        channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        for network in networks:
            channel.send(route_message(network))
            answer = channel.recv(4096)
            if struct.unpack_from("i", answer, 16)[0] != 0 and ":" not in network:
                os._exit(3)
        os._exit(0)
    except OSError:
        os._exit(4)


def settled(pid: int) -> bool:
    """Waits until the sandbox has made its loopback: it fails if anybody, as slirp4netns does, is there before it."""
    news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    news.bind((0, RTMGRP_LINK))
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sandbox = os.pidfd_open(pid)
    while True:
        _, flags = struct.unpack("16sH14x", fcntl.ioctl(plain, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0)))
        if flags & IFF_UP:
            return True
        ready = select.select([news.fileno(), sandbox], [], [], READY)[0]
        if sandbox in ready or not ready:
            return False
        news.recv(1 << 16)


def pipe() -> tuple[int, int]:
    """A pipe with numbers well above those that the sandbox gets."""
    ends = []
    for fd in os.pipe():
        ends.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16))
        os.close(fd)
    return ends[0], ends[1]


def connect(pid: int, slirp: str, network: str) -> tuple[int, bytes]:
    """The process that carries the sandbox's packets, and its word that it is ready."""
    ready_read, ready_write = pipe()
    os.set_inheritable(ready_write, True)  # noqa: FBT003  # its only form
    words = [slirp, "--configure", "--mtu=65520", "--disable-host-loopback", f"--cidr={network}"]
    words += [f"--ready-fd={ready_write}", "--netns-type=path"]
    if os.geteuid() != 0:
        owner = fcntl.ioctl(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY), NS_GET_USERNS)
        words.append(f"--userns-path=/proc/{os.getpid()}/fd/{owner}")
    words += [f"/proc/{pid}/ns/net", "tap0"]
    null = os.open("/dev/null", os.O_RDWR)
    quiet = [(os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
    helper = os.posix_spawn(slirp, words, os.environ, file_actions=quiet)
    os.close(ready_write)
    if not select.select([ready_read], [], [], READY)[0]:
        return helper, b""
    return helper, os.read(ready_read, 1)


def main(arguments: list[str]) -> int:
    """The sandbox's exit status; 1 when its network could not be made."""
    user, slirp, network, ranges, *argv = arguments
    info_read, info_write = pipe()
    block_read, block_write = pipe()
    moves = [(os.POSIX_SPAWN_DUP2, info_write, 5), (os.POSIX_SPAWN_DUP2, block_read, 6)]
    moves += [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in (3, 4) if os.path.exists(f"/proc/self/fd/{fd}")]
    if user:
        os.setgroups([])
        os.setresgid(int(user), int(user), 0)
        os.setresuid(int(user), int(user), 0)
    sandbox = os.posix_spawn(argv[0], argv, os.environ, file_actions=moves)
    if user:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
    os.close(info_write)
    os.close(block_read)
    said = b""
    while piece := os.read(info_read, 4096):
        said += piece
        if b"}" in said:
            break
    helper = pid = 0
    try:
        pid = int(json.loads(said)["child-pid"])
        closed = close_ways(pid, [text for text in ranges.split(",") if text])
        helper, ready = connect(pid, slirp, network) if closed else (0, b"")
        if not ready:
            raise OSError("the network could not be made")  # noqa: TRY301  # one way out
        os.write(block_write, b"x")
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"jobgate: no network for this job: {error}\n")
        for victim in (pid, sandbox):
            if victim:
                os.kill(victim, signal.SIGKILL)  # before its way is opened by our end of the pipe closing
    os.close(block_write)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    status = os.waitpid(sandbox, 0)[1]
    if helper:
        os.kill(helper, signal.SIGKILL)
        os.waitpid(helper, 0)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
