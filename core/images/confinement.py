"""What the kernel keeps a worker process from: secrets, network, other files and other processes.

`confine` is called by the worker itself, after its imports and before it looks at a stranger's bytes. Each measure that
this machine lacks is left out; `python -m core.images.confinement` confines itself and prints what is enforced.
Landlock (Linux 5.13 and newer) lets it open only what is below named paths; its numbers are of the kernel's
`include/uapi/linux/landlock.h` (read 2026-11-28). Standard library only.
"""

import contextlib
import ctypes
import json
import os
import resource
import stat
import struct
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from core.images import seccomp

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
    """Landlock's version in this kernel; 0 where it has none or it is switched off."""
    found = int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG))
    return max(0, found)


def _restrict(read: Sequence[Path], write: Sequence[Path]) -> bool:
    """Whether this thread, and every one that it starts, is restricted now. No TCP, no signals to others either,
    where the kernel's Landlock knows them. Paths that do not exist are passed over.
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
"""Each measure, with what a worker is not kept from where it is missing."""

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38


def confine(*, read: Iterable[Path] = (), write: Iterable[Path] | None = None) -> list[str]:
    """Confine this process for good; the names of the measures that hold, of `MISSING`.

    Beside the system's libraries and fonts, and this Python's, only what is below `read` and `write` can be opened
    from now on; `write` None leaves files alone. Call it before a second thread starts.
    """
    held: list[str] = []
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        held.append("dies_first")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return held
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        held.append("no_new_privileges")
    if hide_memory():
        held.append("not_dumpable")
    if write is not None and _restrict([*_libraries(), *read], list(write)):
        held.append("files")
    if seccomp.deny():
        held.append("system_calls")
    return held


def hide_memory() -> bool:
    """No other process of this user reads this one's memory or environment, and no core dump is written."""
    return sys.platform == "linux" and _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> bool:
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)


def _libraries() -> list[Path]:
    """What a codec or Python may still load. Only libraries and fonts: a data folder may lie beside them."""
    prefixes = {"/usr", "/usr/local", sys.prefix, sys.base_prefix, sys.exec_prefix}
    found = [Path(prefix) / part for prefix in sorted(prefixes) for part in ("lib", "lib64", "share")]
    found += [Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    system = ("/lib", "/lib64", "/etc/fonts", "/etc/ld.so.cache", "/var/cache/fontconfig", "/sys/devices/system/cpu")
    devices = ("/dev/null", "/dev/zero", "/dev/urandom", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat")
    own = (f"/proc/{os.getpid()}",)
    return [*found, Path(__file__).parents[1], *map(Path, (*system, *devices, *own))]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(confine(write=[Path(tempfile.gettempdir())])))
