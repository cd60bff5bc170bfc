"""A seccomp filter: no sockets, no new processes, no looking into others. Linux on x86-64 and 64-bit ARM.

Call numbers are of the kernel's tables (read 2026-11-28). Threads may be started: codecs use them.
"""

import ctypes
import errno
import os
import platform
import sys
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
"""kill and tgkill: how a process aborts itself."""

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


def deny() -> bool:
    """Whether the filter holds from now on. Needs no_new_privs."""
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
    """This call only where `test` holds for its first argument."""
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _ARGUMENT_AT),
        test,
        _return(_ALLOW),
        _return(_ERRNO | errno.EPERM),
    ]


def _return(value: int) -> _Instruction:
    return (_RETURN, 0, 0, value)
