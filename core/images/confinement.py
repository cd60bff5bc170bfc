"""Sandboxes a worker process: the kernel denies it secrets, network, other files and other processes.

The worker calls `confine` after its imports and before it reads untrusted bytes. Measures that the machine lacks are
skipped; `python -m core.images.confinement` confines itself and prints what is enforced.
Landlock (Linux 5.13 and newer) allows opening only what is below given paths; constants are from the kernel's
`include/uapi/linux/landlock.h` (read 2026-11-28). A seccomp filter (x86-64 and 64-bit ARM; call numbers from the
kernel's tables) denies sockets, new processes and access to others, but not threads, which codecs use. Standard
library only.
"""

import contextlib
import ctypes
import errno
import json
import os
import platform
import resource
import stat
import struct
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_DENIED: Final[dict[str, tuple[int, ...]]] = {
    "x86_64": (
        41, 42, 43, 44, 46, 49, 50, 53, 288, 307,  # socket connect accept sendto sendmsg bind listen socketpair …
        57, 58, 59, 322,  # fork vfork execve execveat
        101, 310, 311, 312, 438, 440,  # ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise
        200, 129, 297, 424, 434,  # tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal pidfd_open
        272, 308, 161, 155, 165, 166, 428, 429, 430, 432, 442,  # unshare setns chroot pivot_root mount …
        425, 426, 427, 298, 321, 323,  # io_uring perf_event_open bpf userfaultfd
        248, 249, 250, 303, 304, 175, 176, 313, 169, 172, 173,  # keys, file handles, modules, reboot, ports
    ),
    "aarch64": (
        198, 203, 202, 206, 211, 200, 201, 199, 242, 269,
        221, 281,
        117, 270, 271, 272, 438, 440,
        130, 138, 240, 424, 434,
        97, 268, 51, 41, 40, 39, 428, 429, 430, 432, 442,
        425, 426, 427, 241, 280, 282,
        217, 218, 219, 264, 265, 105, 106, 273, 142,
    ),
}  # fmt: skip
_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_CLONE3: Final = 435
_CLONE_THREAD: Final = 0x10000
_TO_SELF_ONLY: Final = {"x86_64": (62, 234), "aarch64": (129, 131)}
"""kill and tgkill, with which a process aborts itself."""

_PRLIMIT: Final = {"x86_64": 302, "aarch64": 261}
_X32_BIT: Final = 0x40000000

_LOAD, _EQUAL, _ALL_BITS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENT_AT = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2

_Instruction = tuple[int, int, int, int]


class _Filter(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("true", ctypes.c_ubyte), ("false", ctypes.c_ubyte), ("k", ctypes.c_uint))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Filter)))


def _deny_calls() -> bool:
    """Install the seccomp filter; return whether it is active. Needs no_new_privs."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCHITECTURES:
        return False
    lines = _program(machine, os.getpid())
    code = (_Filter * len(lines))(*(_Filter(*line) for line in lines))
    program = _Program(len(lines), code)
    return bool(ctypes.CDLL(None).prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _program(machine: str, pid: int) -> list[_Instruction]:
    denied = _return(_ERRNO | errno.EPERM)
    lines: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        _return(_KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine == "x86_64":
        lines += [(_AT_LEAST, 0, 1, _X32_BIT), denied]
    for number in _DENIED[machine]:
        lines += [(_EQUAL, 0, 1, number), denied]
    # The C library falls back to clone, whose flags can be read here.
    lines += [(_EQUAL, 0, 1, _CLONE3), _return(_ERRNO | errno.ENOSYS)]
    lines += _unless(_CLONE[machine], (_ALL_BITS, 0, 1, _CLONE_THREAD))
    for number in _TO_SELF_ONLY[machine]:
        lines += _unless(number, (_EQUAL, 0, 1, pid))
    lines += _unless(_PRLIMIT[machine], (_EQUAL, 0, 1, 0))
    return [*lines, _return(_ALLOW)]


def _unless(number: int, test: _Instruction) -> list[_Instruction]:
    """Allow this call only if `test` holds for its first argument."""
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _ARGUMENT_AT),
        test,
        _return(_ALLOW),
        _return(_ERRNO | errno.EPERM),
    ]


def _return(value: int) -> _Instruction:
    return (_RETURN, 0, 0, value)


_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION_FLAG: Final = 1
_RULE_PATH_BENEATH: Final = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_FILE_RIGHTS: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ_RIGHTS: Final = _EXECUTE | _READ_FILE | _READ_DIR
_RIGHTS_OF_VERSION: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL_RIGHTS: Final = (1 << 16) - 1
_NETWORK_FROM: Final = 4
_SCOPES_FROM: Final = 6


def landlock_version() -> int:
    """Return the kernel's Landlock version; 0 if missing or disabled."""
    found = int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG))
    return max(0, found)


def _restrict(read: Sequence[Path], write: Sequence[Path]) -> bool:
    """Restrict this thread, and those that it starts, by Landlock; return whether that worked.

    Also denies TCP and signals to others where the version supports that. Missing paths are ignored.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    known = landlock_version()
    if not known:
        return False
    handled = _RIGHTS_OF_VERSION.get(known, _ALL_RIGHTS)
    attributes = struct.pack("=Q", handled)
    attributes += struct.pack("=Q", 0b11) if known >= _NETWORK_FROM else b""
    attributes += struct.pack("=Q", 0b11) if known >= _SCOPES_FROM else b""
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        for path in read:
            _allow(libc, ruleset, path, _READ_RIGHTS & handled)
        for path in (*write, Path("/dev/null")):
            _allow(libc, ruleset, path, handled & ~_EXECUTE)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(handle).st_mode):
                rights &= _FILE_RIGHTS
            libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, handle), 0)
        finally:
            os.close(handle)


MISSING: Final = {
    "no_new_privileges": "gaining privileges",
    "not_dumpable": "being read by other processes",
    "system_calls": "the network and starting programs",
    "files": "other files",
    "dies_first": "outliving the bot when memory runs out",
}
"""Each measure, and what a worker can do where it is missing."""

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38


def confine(*, read: Iterable[Path] = (), write: Iterable[Path] | None = None) -> list[str]:
    """Confine this process permanently; return the names of the active measures, which are keys of `MISSING`.

    Besides the libraries and fonts of the system and of Python, only paths below `read` and `write` can be opened
    afterwards; with `write` None files are not restricted. Must be called before a second thread starts.
    """
    active: list[str] = []
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        active.append("dies_first")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return active
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        active.append("no_new_privileges")
    if hide_memory():
        active.append("not_dumpable")
    if write is not None and _restrict([*_libraries(), *read], list(write)):
        active.append("files")
    if _deny_calls():
        active.append("system_calls")
    return active


def hide_memory() -> bool:
    """Deny other processes of this user access to this one's memory and environment; return whether that worked."""
    return sys.platform == "linux" and _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> bool:
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)


def _libraries() -> list[Path]:
    """Paths from which a codec or Python may load. Subfolders only, because a data folder may be beside them."""
    prefixes = {"/usr", "/usr/local", sys.prefix, sys.base_prefix, sys.exec_prefix}
    found = [Path(prefix) / part for prefix in sorted(prefixes) for part in ("lib", "lib64", "share")]
    found += [Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    system = ("/lib", "/lib64", "/etc/fonts", "/etc/ld.so.cache", "/var/cache/fontconfig", "/sys/devices/system/cpu")
    devices = ("/dev/null", "/dev/zero", "/dev/urandom", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat")
    own = (f"/proc/{os.getpid()}",)
    return [*found, Path(__file__).parents[1], *map(Path, (*system, *devices, *own))]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(confine(write=[Path(tempfile.gettempdir())])))
