"""The pool of worker processes: started on demand, stopped when idle, replaced when they fail.

Only paths and small JSON are exchanged with a worker. A pool belongs to one event loop.
"""

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from core.domain.errors import Draining, ImageTooCostly, from_json
from core.images.facts import Bounds
from core.images.job_folder import JobFolder, is_on_one_disk

log = structlog.get_logger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_ANSWER_LIMIT_BYTES = 1 << 20
READY = b"ready\n"
"""Written by a worker once it accepts jobs."""

QUEUE_TIMEOUT_S = 900.0
_STOP_TIMEOUT_S = 2.0
_SCRATCH_PREFIX = "imaging-"
_SCRATCH_STALE_S = 3600.0
"""A worker's folder changes with each job; jobs take minutes at most, and idle workers stop within minutes."""

_MEMORY_SIGNALS = frozenset({signal.SIGKILL, signal.SIGXCPU, signal.SIGABRT, signal.SIGTRAP})
"""SIGKILL: the kernel's OOM killer; SIGXCPU: our CPU limit; the other two: glib aborts when out of memory."""


class WorkerDied(Exception):
    """The worker ended during a job. `over_limit`: because of a resource limit or a lack of memory; `killed`: from
    outside, perhaps for the memory that another program took.
    """

    def __init__(self, code: int) -> None:
        super().__init__("image worker died")
        self.over_limit = -code in _MEMORY_SIGNALS
        self.killed = -code == signal.SIGKILL


class WorkerFault(OSError):
    """An unexpected error in a worker or of the pipe: `errno` of an OSError, and as `strerror` its kind for the log."""


class NoWorker(WorkerFault):
    """A worker could not be started, which only the operator can fix."""


@dataclass(slots=True, eq=False)
class _Worker:
    process: asyncio.subprocess.Process
    scratch: Path
    jobs_left: int
    retiring: asyncio.TimerHandle | None = None
    """The idle timeout."""
    ready: bool = False

    async def run(self, line: bytes) -> dict[str, Any]:
        """Run one job. Raises WorkerDied, NoWorker."""
        reader, writer = self.process.stdout, self.process.stdin
        if reader is None or writer is None:
            raise WorkerDied(0)
        try:
            writer.write(line)
            await writer.drain()
            self.ready = self.ready or await reader.readline() == READY
            answer = await reader.readline() if self.ready else b""
        except (ConnectionError, asyncio.LimitOverrunError):
            answer = b""
        if answer.endswith(b"\n"):
            parsed: dict[str, Any] = json.loads(answer)
            return parsed
        code = await self.process.wait()
        if not self.ready:
            raise NoWorker(errno.ECHILD, f"ended with {code}")
        raise WorkerDied(code)

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        if self.process.stdin is not None:
            self.process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self.process.wait()
        await asyncio.to_thread(shutil.rmtree, self.scratch, True)


class WorkerPool:
    """At most `workers` processes; a job waits for a free one."""

    def __init__(
        self, *, workers: int, jobs_per_worker: int, idle_s: float, bounds: Bounds, scratch: Path | None
    ) -> None:
        self._workers, self._jobs_per_worker, self._idle_s = workers, jobs_per_worker, idle_s
        self._bounds, self._scratch = bounds, scratch
        self._permits = asyncio.Semaphore(workers)
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._stopping: set[asyncio.Task[None]] = set()
        self._closed = False
        self.stats: Counter[str] = Counter()
        """Counts since the start; `peak_bytes` is the largest resident size that a worker reported."""

    async def call(self, op: str, args: dict[str, Any], *, timeout_s: float) -> dict[str, Any]:
        """Run one job. Raises WorkerDied, WorkerFault, NoWorker, the worker's refusal, ImageTooCostly after
        `timeout_s`, Draining once closed, and TimeoutError if no worker became free.
        """
        if self._closed:
            raise Draining
        async with asyncio.timeout(QUEUE_TIMEOUT_S):
            await self._permits.acquire()
        try:
            if self._closed:
                raise Draining
            return await self._run(op, args, timeout_s)
        finally:
            self._permits.release()

    async def _run(self, op: str, args: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        try:
            worker = self._idle_worker() or await self._start()
        except OSError as error:
            raise NoWorker(error.errno, type(error).__name__) from error
        if self._closed:
            self._stop_in_background(worker)
            raise Draining
        healthy = False
        try:
            # A thread would cost more than these calls, and keep the worker idle while the event loop is busy.
            at_once, given = is_on_one_disk(worker.scratch, args), (worker.scratch, args)
            folder = JobFolder(*given) if at_once else await asyncio.to_thread(JobFolder, *given)
            async with asyncio.timeout(timeout_s):
                answer = await worker.run(json.dumps({"op": op, "args": folder.args}).encode() + b"\n")
            collect = folder.collect_outputs
            answer = collect(answer) if at_once else await asyncio.to_thread(collect, answer)
            healthy = True
        except TimeoutError as error:
            self.stats["too_slow"] += 1
            log.warning("image_worker_too_slow", op=op, timeout_s=timeout_s, ready=worker.ready)
            if not worker.ready:
                raise NoWorker(errno.ETIMEDOUT, "TimeoutError") from error
            raise ImageTooCostly from error
        except (WorkerDied, NoWorker) as error:
            if self._closed:
                raise Draining from error
            self.stats["died"] += 1
            log.warning("image_worker_died", op=op, ready=worker.ready, code=worker.process.returncode)
            raise
        except OSError as error:
            raise WorkerFault(error.errno, type(error).__name__) from error
        finally:
            self._release(worker, healthy=healthy)
        self.stats["jobs"] += 1
        self.stats["peak_bytes"] = max(self.stats["peak_bytes"], int(answer.get("peak_bytes", 0)))
        if "fault" in answer:
            log.error("image_worker_fault", op=op, kind=answer["fault"])
            kind, _, number = str(answer["fault"]).partition(" ")
            raise WorkerFault(int(number) if number.isdecimal() else 0, kind)
        if "error" in answer:
            raise from_json(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def _idle_worker(self) -> _Worker | None:
        """Take the idle worker that was used last, so that the others reach their idle timeout; skip dead ones."""
        while self._idle:
            worker = self._idle.pop()
            if worker.retiring is not None:
                worker.retiring.cancel()
            if worker.process.returncode is None:
                return worker
            self._stop_in_background(worker)
        return None

    async def _start(self) -> _Worker:
        scratch = await asyncio.to_thread(_new_scratch, self._scratch)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "core.images.worker", json.dumps(asdict(self._bounds)), str(scratch),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                env=_environment(scratch, self._bounds), cwd=scratch, start_new_session=True,
                limit=_ANSWER_LIMIT_BYTES,
            )  # fmt: skip
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        worker = _Worker(process, scratch, self._jobs_per_worker)
        self._all.add(worker)
        self.stats["started"] += 1
        return worker

    def _release(self, worker: _Worker, *, healthy: bool) -> None:
        worker.jobs_left -= 1
        if not healthy or worker.jobs_left <= 0 or self._closed:
            self._stop_in_background(worker)
            return
        worker.retiring = asyncio.get_running_loop().call_later(self._idle_s, self._retire, worker)
        self._idle.append(worker)

    def _retire(self, worker: _Worker) -> None:
        self._idle.remove(worker)
        self._stop_in_background(worker)

    def _stop_in_background(self, worker: _Worker) -> None:
        """Stop a worker in a task, so that a cancelled caller cannot leave a process behind."""
        self._all.discard(worker)
        task = asyncio.get_running_loop().create_task(worker.stop(), name="image-worker-end")
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def close(self) -> None:
        """Stop all processes, including busy ones (their callers get Draining), and wait for them."""
        if self._closed:
            return
        self._closed = True
        while self._idle_worker() is not None:  # cancels its idle timeout
            pass
        for worker in list(self._all):
            self._stop_in_background(worker)
        async with asyncio.timeout(3 * _STOP_TIMEOUT_S):
            for _ in range(self._workers):  # until no caller uses a worker
                await self._permits.acquire()
            for _ in range(self._workers):
                self._permits.release()
            while self._stopping:
                await asyncio.wait(self._stopping)


def _new_scratch(parent: Path | None) -> Path:
    """Make a folder that only its owner can read; remove those of dead processes."""
    if parent is not None:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in parent.glob(f"{_SCRATCH_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - old.stat().st_mtime > _SCRATCH_STALE_S:
                    shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_SCRATCH_PREFIX, dir=parent))


def _environment(scratch: Path, bounds: Bounds) -> dict[str, str]:
    """The worker's environment, without any secret. libvips' temporary files go to the worker's scratch folder."""
    return {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join([str(_ROOT), *(entry for entry in sys.path if entry.endswith("site-packages"))]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "VIPS_CONCURRENCY": str(bounds.threads),
        "VIPS_DISC_THRESHOLD": "32m",
        "MALLOC_ARENA_MAX": "2",
    }
