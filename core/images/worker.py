"""The worker process: reads one job per line from standard input and answers each with one line, until the input ends.

Started by `pool` with an environment without secrets, and confined by the kernel (`core.images.confinement`). It exits
when the bot does. Whatever a codec does to this process, the bot sees at most a closed pipe.
"""

import contextlib
import json
import os
import queue
import re
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyvips

from core.images.confinement import confine
from core.images.facts import Bounds, ImageLimits, ModelLimits
from core.images.operations import enlarge as enlarging
from core.images.operations import prepare as preparing
from core.images.operations.decoders.pillow import clear_cache
from core.images.operations.delivery import compare as comparing
from core.images.operations.delivery import fit as fitting
from core.images.operations.delivery import postprocess as postprocessing
from core.images.operations.probe import HEAD_BYTES, sniff
from core.images.operations.refusals import Refused, from_codec

_NICENESS = 5
"""Workers yield to the bot's event loop on the same core."""

OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "probe": preparing.probe,
    "prepare": preparing.prepare,
    "enlarge": enlarging.enlarge,
    "strip_result": preparing.strip_result,
    "postprocess": postprocessing.postprocess,
    "crop_detail": comparing.crop_detail,
    "blank": preparing.blank,
    "fit": fitting.fit,
    "convert": fitting.convert,
    "preview": fitting.preview,
    "tiles": fitting.tiles,
    "similarity": comparing.similarity,
    "compare": comparing.compare,
}
_TYPES: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("path", "source", "before", "after", "out", "out_dir"), lambda value: value and Path(value)),
    "limits": lambda value: ImageLimits(**value),
    "model": lambda value: ModelLimits(**value),
}
"""Converters from JSON, by argument name."""


def main() -> None:
    bounds = Bounds(**json.loads(sys.argv[1]))
    # Standard output is for answers only; a library that prints is redirected to standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _limit(bounds)
    confine(write=[Path(sys.argv[2])])
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    answers.write("ready\n")
    answers.flush()
    while True:
        job = json.loads(jobs.get())
        _allow_cpu(bounds.cpu_s)
        answers.write(json.dumps(_answer(job)) + "\n")
        answers.flush()


def _limit(bounds: Bounds) -> None:
    """Limit this process. Limits that the system does not know (macOS) are skipped."""
    os.nice(_NICENESS)
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.umask(0o077)
    # A file that is too large raises an error instead of this signal.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, bounds.file_bytes),
        (resource.RLIMIT_AS, bounds.address_space_bytes),
    ):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (limit, limit))
    pyvips.cache_set_max(0)


def _allow_cpu(cpu_s: int) -> None:
    """Let the kernel kill this process once the next job has used `cpu_s` of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + cpu_s, hard))


def _read_jobs(jobs: queue.SimpleQueue[str]) -> None:
    """Read in a thread, so that the process exits with the bot even during a long decode."""
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    """Run the job; return its result, the refusal, or the kind of an unexpected exception."""
    try:
        body: dict[str, Any] = {"result": _result(job["op"], job["args"])}
    except Refused as refusal:
        body = {"error": {"code": refusal.code, "facts": refusal.facts}}
    except MemoryError:
        body = {"error": {"code": "image_too_costly", "facts": {}}}
    except Exception as fault:
        body = {"fault": f"{type(fault).__name__} {getattr(fault, 'errno', '') or ''}".strip()}
    return {**body, "peak_bytes": _peak_bytes()}


def _result(op: str, args: dict[str, Any]) -> dict[str, Any]:
    try:
        return OPERATIONS[op](**{name: _TYPES.get(name, lambda given: given)(value) for name, value in args.items()})
    except pyvips.Error as error:
        with Path(args["path"] if "path" in args else args["after"]).open("rb") as file:
            raise from_codec(error, sniff(file.read(HEAD_BYTES))) from error
    finally:
        clear_cache()


def _peak_bytes() -> int:
    """Return the peak resident size. Not `ru_maxrss`, which starts with the size of the bot that forked it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
