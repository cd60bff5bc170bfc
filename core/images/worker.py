"""One worker process: reads one job a line from its standard input, answers one line each, until the input ends.

Started by `pool`, never by hand. Its environment is emptied, and the kernel keeps it from sockets, other processes and
files that are not its own (`core.images.confinement`). It ends itself when the bot does. Whatever a codec does to this
process, the bot sees at most a closed pipe.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pyvips

from core.images.confinement import confine
from core.images.facts import Bounds, ImageLimits, ModelLimits
from core.images.operations import enlarge as enlarging
from core.images.operations import prepare as preparing
from core.images.operations.delivery import compare as comparing
from core.images.operations.delivery import fit as fitting
from core.images.operations.delivery import postprocess as postprocessing
from core.images.operations.delivery import regions, similarity
from core.images.operations.delivery import tiles as tiling
from core.images.operations.refusals import Refused

_NICENESS = 5
"""Pixel work yields to the bot's event loop when both want the same core."""

Operation = Callable[[dict[str, Any]], dict[str, Any]]


def _limits(args: dict[str, Any]) -> ImageLimits:
    return ImageLimits(**args["limits"])


OPERATIONS: dict[str, Operation] = {
    "probe": lambda a: preparing.probe(Path(a["path"]), _limits(a), a["decode"]),
    "prepare": lambda a: preparing.prepare(Path(a["path"]), Path(a["out"]), _limits(a), ModelLimits(**a["model"])),
    "enlarge": lambda a: enlarging.enlarge(Path(a["path"]), Path(a["out"]), a["factor"], a["network"], _limits(a)),
    "strip_result": lambda a: preparing.strip_result(Path(a["path"]), _limits(a), a["limit_bytes"], a["decode"]),
    "postprocess": lambda a: {
        "found": postprocessing.postprocess(
            Path(a["path"]),
            Path(a["source"]) if a["source"] else None,
            _limits(a),
            transparent=a["transparent"],
            size_px=a["size_px"] and tuple(a["size_px"]),
            dpi=a["dpi"] and tuple(a["dpi"]),
        )
    },
    "crop_detail": lambda a: regions.crop_detail(
        Path(a["path"]), Path(a["out"]), a["factor"], a["output_pixels"], _limits(a)
    ),
    "is_black": lambda a: preparing.is_black(Path(a["path"]), _limits(a)),
    "fit": lambda a: fitting.fit(Path(a["path"]), Path(a["out_dir"]), a["max_bytes"], _limits(a)),
    "convert": lambda a: fitting.convert(Path(a["path"]), Path(a["out"]), a["saved_as"], a["quality"], _limits(a)),
    "preview": lambda a: fitting.preview(Path(a["path"]), Path(a["out"]), a["max_side_px"], a["max_bytes"], _limits(a)),
    "tiles": lambda a: tiling.cut(Path(a["path"]), Path(a["out"]), a["tile_px"], _limits(a)),
    "similarity": lambda a: similarity.measure(Path(a["before"]), Path(a["after"]), _limits(a)),
    "compare": lambda a: comparing.compare(
        Path(a["before"]), Path(a["after"]), Path(a["out"]), (a["labels"][0], a["labels"][1]), _limits(a)
    ),
}


def main() -> None:
    """Serves until standard input ends."""
    bounds = Bounds(**json.loads(sys.argv[1]))
    answers = _private_stdout()
    _limit(bounds)
    confine(write=[Path(sys.argv[2])])
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()
    while True:
        job = json.loads(jobs.get())
        _allow_cpu(bounds.cpu_s)
        answers.write(json.dumps(_answer(job)) + "\n")
        answers.flush()


def _private_stdout() -> TextIO:
    """The real standard output for answers only; a library that prints goes to standard error instead."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


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
    started_s = time.perf_counter()
    try:
        body: dict[str, Any] = {"result": OPERATIONS[job["op"]](job["args"])}
    except Refused as refusal:
        body = {"error": {"code": refusal.code, "facts": refusal.facts}}
    except MemoryError:
        body = {"error": {"code": "image_too_costly", "facts": {}}}
    except Exception as fault:
        body = {"fault": f"{type(fault).__name__} {getattr(fault, 'errno', '') or ''}".strip()}
    return {**body, "peak_bytes": _peak_bytes(), "took_s": round(time.perf_counter() - started_s, 4)}


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
