"""What the kernel keeps a worker process from: secrets, network, other files and other processes.

`confine` is called by the worker itself, after its imports and before it looks at a stranger's bytes. Each measure that
this machine lacks is left out; `python -m core.images.confinement` confines itself and prints what is enforced.
Standard library only.
"""

import contextlib
import ctypes
import os
import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from core.images.confinement import landlock, seccomp

__all__ = ["MEASURES", "MISSING", "confine", "hide_memory"]

MISSING: Final = {
    "no_new_privileges": "gaining privileges",
    "not_dumpable": "being read by other processes",
    "system_calls": "the network and starting programs",
    "files": "other files",
    "dies_first": "outliving the bot when memory runs out",
}
"""Each measure, with what a worker is not kept from where it is missing."""

MEASURES: Final = tuple(MISSING)
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38


def confine(*, read: Iterable[Path] = (), write: Iterable[Path] | None = None) -> list[str]:
    """Confine this process for good; the names of the measures that hold, of `MEASURES`.

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
    if write is not None and landlock.restrict([*_libraries(), *read], list(write)):
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
    return [*found, Path(__file__).parents[2], *map(Path, (*system, *devices, *own))]
