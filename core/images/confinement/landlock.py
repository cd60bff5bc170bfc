"""Landlock: from now on this process opens only what is below the named paths. Linux 5.13 and newer.

Numbers are of the kernel's `include/uapi/linux/landlock.h` (read 2026-11-28).
"""

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

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


def version() -> int:
    """Landlock's version in this kernel; 0 where it has none or it is switched off."""
    found = int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG))
    return max(0, found)


def restrict(read: Sequence[Path], write: Sequence[Path]) -> bool:
    """Whether this thread, and every one that it starts, is restricted now. No TCP, no signals to others either,
    where the kernel's Landlock knows them. Paths that do not exist are passed over.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    known = version()
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
