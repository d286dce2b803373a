"""The sandbox of one step: a bubblewrap command line, its few files of /etc, and its filter of system calls.

Source: engines contract E5 (each option tried); bwrap(1); seccomp(2). The sandbox is not tied to the launcher's life
(no --die-with-parent): when the launcher dies its jobs go on, and their status files say how they ended.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from jobgate.model.resources import Network

USER: Final = 1000
"""Uid and gid inside."""
TMP: Final = 64 << 20
"""Bytes of /tmp; they count as the job's memory."""
_SYSTEM: Final = ("/usr",)
_LINKS: Final = (("usr/bin", "/bin"), ("usr/lib", "/lib"), ("usr/lib64", "/lib64"), ("usr/sbin", "/sbin"))
_COPIED: Final = ("ssl/certs", "ssl/openssl.cnf", "alternatives", "ld.so.cache")
"""Of the host's /etc: what programs need to find libraries, alternatives and certificates."""
RESOLVER_NET: Final = "100.127.254.0/24"
"""The job's own network, where it has one: slirp4netns takes .2 for itself and answers names at .3."""

_DENIED: Final = (
    "acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "fsconfig",
    "fsmount", "fsopen", "fspick", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup",
    "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mount", "mount_setattr", "move_mount",
    "name_to_handle_at", "open_by_handle_at", "open_tree", "perf_event_open", "pidfd_getfd", "pivot_root",
    "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "reboot", "request_key", "setns", "settimeofday",
    "swapoff", "swapon", "syslog", "umount2", "unshare", "userfaultfd",
)  # fmt: skip
_NEW_NAMESPACES: Final = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
_FAMILIES: Final = (38, 40)
"""AF_ALG, and AF_VSOCK, which leads out of any network namespace to the machine's host."""
_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """How one job is boxed."""

    workspace: Path
    home: str
    """Where the workspace appears inside."""
    workdir: str
    """Relative to it."""
    network: Network
    etc: Path
    """Directory with the files made for /etc."""
    root: Path | None = None
    """An unpacked image instead of the host's /usr."""
    binds: tuple[str, ...] = ()
    """Host directories readable inside at their own place."""
    seccomp: bool = True


def command_line(bwrap: str, box: Box, env: Mapping[str, str], argv: Sequence[str]) -> list[str]:
    """The whole command; file 3 is the status file, file 4 the filter."""
    words = [bwrap, "--unshare-all", "--new-session", "--clearenv"]
    if box.network is Network.OUTBOUND:
        words += ["--info-fd", "5", "--block-fd", "6", "--die-with-parent"]
    elif not box.seccomp:
        words.append("--disable-userns")  # the filter refuses new namespaces at a fraction of the price
    if box.network is Network.HOST:
        words.append("--share-net")
    for name, value in env.items():
        words += ["--setenv", name, value]
    words += _file_system(box)
    words += ["--proc", "/proc", "--dev", "/dev", "--size", str(TMP), "--tmpfs", "/tmp"]  # noqa: S108  # its own
    for path in box.binds:
        words += ["--ro-bind", path, path]  # after /tmp, which would hide what lies below the host's
    words += ["--bind", str(box.workspace), box.home, "--chdir", os.path.normpath(f"{box.home}/{box.workdir}")]
    words += ["--unshare-user", "--uid", str(USER), "--gid", str(USER), "--cap-drop", "ALL", "--json-status-fd", "3"]
    if box.seccomp:
        words += ["--seccomp", "4"]
    return [*words, "--", *argv]


def _file_system(box: Box) -> list[str]:
    words: list[str] = []
    if box.root is not None:
        for entry in sorted(box.root.iterdir()):
            if entry.name in ("proc", "dev", "tmp", "sys"):
                continue
            if entry.is_symlink():
                words += ["--symlink", str(entry.readlink()), f"/{entry.name}"]
            else:
                words += ["--ro-bind", str(entry), f"/{entry.name}"]
    else:
        for path in _SYSTEM:
            words += ["--ro-bind", path, path]
        for target, link in _LINKS:
            if Path(link).is_symlink():
                words += ["--symlink", target, link]
            elif Path(link).exists():
                words += ["--ro-bind", link, link]
        words += ["--ro-bind", str(box.etc), "/etc"]
        if box.network is Network.HOST:  # names are the host's too
            for path in ("/etc/resolv.conf", "/etc/hosts"):
                words += ["--ro-bind-try", path, path]
    return words


def make_etc(directory: Path) -> None:
    """The files of /etc that every job sees; nothing of the host's own."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    nameserver = ipaddress.ip_network(RESOLVER_NET)[3]
    texts = {
        "passwd": f"job:x:{USER}:{USER}:job:/tmp:/bin/sh\nroot:x:0:0:root:/:/bin/sh\n",
        "group": f"job:x:{USER}:\nroot:x:0:\n",
        "hosts": "127.0.0.1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "resolv.conf": f"nameserver {nameserver}\n",
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)
    for name in _COPIED:
        source, target = Path("/etc", name), directory / name
        if target.exists():
            continue  # a job may be looking at it
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore_dangling_symlinks=True)
        elif source.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)


def make_filter(path: Path) -> bool:
    """Writes the filter of system calls; False where the library for it is not to be had."""
    try:
        seccomp = importlib.import_module("pyseccomp")
    except (ImportError, OSError):
        return False
    rules = seccomp.SyscallFilter(defaction=seccomp.ALLOW)
    rules.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)  # a binary tree instead of a list
    denied = seccomp.ERRNO(1)
    for name in _DENIED:
        try:
            rules.add_rule(denied, name)
        except (ValueError, OSError, RuntimeError):
            continue  # a call this kernel or library does not know cannot be made through it either
    for bit in (1 << n for n in range(32) if _NEW_NAMESPACES >> n & 1):
        rules.add_rule(denied, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, bit, bit))
    for family in _FAMILIES:
        rules.add_rule(seccomp.ERRNO(97), "socket", seccomp.Arg(0, seccomp.EQ, family))
    rules.add_rule(seccomp.ERRNO(38), "clone3")  # its flags lie in memory, out of a filter's sight: libc falls back
    for request in (_TIOCSTI, _TIOCLINUX):
        rules.add_rule(denied, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    with path.open("wb") as file:
        rules.export_bpf(file)
    path.chmod(0o644)
    return True


def find(name: str) -> str | None:
    """Where a program is, also in places that only root's PATH has."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/bin:/usr/sbin:/sbin")


def fault(bwrap: str, work: Path, uid: int | None) -> str:
    """Why no sandbox can be made under that user, who must get to the workspaces too; empty when one can."""
    probe = work / ".probe"
    probe.mkdir(exist_ok=True)
    if uid is not None:
        os.chown(probe, uid, uid)
    words = [bwrap, "--unshare-all", "--disable-userns", "--unshare-user", "--ro-bind", "/", "/"]
    words += ["--bind", str(probe), "/mnt", "/bin/true"]
    tried = subprocess.run(  # noqa: S603  # a fixed command
        words, capture_output=True, check=False, user=uid, group=uid, extra_groups=[] if uid is not None else None
    )
    return "" if tried.returncode == 0 else tried.stderr.decode(errors="replace").strip() or "bwrap failed"


def outbound() -> str | None:
    """The program that gives a job a network of its own; None where a job can have none."""
    return find("slirp4netns") if Path("/dev/net/tun").exists() else None


def closed_above(path: Path) -> Path | None:
    """The highest folder on the way to it that other users cannot go through; itself too."""
    for folder in reversed((path, *path.parents)):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def networked(forbidden: Sequence[str], slirp: str, uid: int | None, argv: Sequence[str]) -> list[str]:
    """The command that gives a sandbox a network of its own with the forbidden ranges unreachable, and waits for it."""
    script = str(Path(__file__).with_name("netns.py"))
    user = "" if uid is None else str(uid)
    return [sys.executable, "-I", "-S", "-E", script, user, slirp, RESOLVER_NET, ",".join(forbidden), *argv]
