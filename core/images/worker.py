"""One worker process: reads one job a line from its standard input, answers one line each, until the input ends.

Started by `pool`, never by hand. Its environment is emptied, and the kernel keeps it from sockets, other processes and
files that are not its own (`core.images.confinement`). It ends itself when the bot does. Whatever a codec does to this
process, the bot sees at most a closed pipe.
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
from core.images.operations.decoders.pillow import forget
from core.images.operations.delivery import compare as comparing
from core.images.operations.delivery import fit as fitting
from core.images.operations.delivery import postprocess as postprocessing
from core.images.operations.probe import HEAD_BYTES, sniff
from core.images.operations.refusals import Refused, from_codec

_NICENESS = 5
"""Pixel work yields to the bot's event loop when both want the same core."""

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
"""Of arguments that JSON has no type for, by name."""


def main() -> None:
    bounds = Bounds(**json.loads(sys.argv[1]))
    # The real standard output for answers only; a library that prints goes to standard error instead.
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
    """Limits on this process. A system that does not know one of them (macOS) goes without it."""
    os.nice(_NICENESS)
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.umask(0o077)
    # Over the size of a file: an error to answer with, instead of this signal.
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
    """The kernel ends this process when the next job has used this much more processor time than all before it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + cpu_s, hard))


def _read_jobs(jobs: queue.SimpleQueue[str]) -> None:
    """Runs beside the work, so that the end of the bot ends a long decode at once."""
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    """The result, the refusal, or the kind of what was unforeseen (told on, never hidden), as one JSON object."""
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
    """Raises Refused, also for what a codec said, and whatever else an operation does."""
    try:
        return OPERATIONS[op](**{name: _TYPES.get(name, lambda given: given)(value) for name, value in args.items()})
    except pyvips.Error as error:
        with Path(args["path"] if "path" in args else args["after"]).open("rb") as file:
            raise from_codec(error, sniff(file.read(HEAD_BYTES))) from error
    finally:
        forget()


def _peak_bytes() -> int:
    """This process's largest resident size. Not `ru_maxrss`, which begins with the size of the bot that forked it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
