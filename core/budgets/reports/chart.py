"""Draws charts in a process of its own, so that a slow or failing drawing does not affect jobs."""

import asyncio
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import structlog

from core.budgets.reports import UsageReport
from core.budgets.reports.chart_spec import drawing
from core.jobs.admission import FairQueue, Share

log = structlog.get_logger(__name__)

_MAX_BYTES = 5_000_000
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
_SET = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
"""The worker's environment: no secrets, one thread."""


class ChartError(Exception):
    """The chart could not be drawn, or not in time."""


class ChartDrawer:
    """At most `parallel` charts at a time; matplotlib takes about a second and 100 MB for each."""

    def __init__(self, *, timeout_s: float = 30.0, parallel: int = 2) -> None:
        self._timeout_s = timeout_s
        self._queue = FairQueue(parallel, per_member=1, most_waiting=10)

    async def draw(self, report: UsageReport, *, locale: str, dark: bool = True) -> Path:
        """A PNG of 1600×900 pixels that the caller deletes. Raises ChartError, TooManyWaiting."""
        spec = json.dumps(asdict(drawing(report, locale, dark=dark))).encode()
        async with self._queue.slot(Share(report.viewer)):
            png = await self._run(spec)
        return await asyncio.to_thread(_save, png)

    async def _run(self, spec: bytes) -> bytes:
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "core.budgets.reports.chart_worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            env={name: os.environ[name] for name in _PASSED if name in os.environ} | _SET,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                png, errors = await worker.communicate(spec)
        except TimeoutError as error:
            raise ChartError("the chart took too long") from error
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()
        if worker.returncode != 0 or not png.startswith(b"\x89PNG") or len(png) > _MAX_BYTES:
            log.error("chart_failed", exit=worker.returncode, detail=errors.decode(errors="replace")[-500:])
            raise ChartError("the chart could not be drawn")
        return png


def _save(png: bytes) -> Path:
    with tempfile.NamedTemporaryFile(prefix="usage-", suffix=".png", delete=False) as file:
        file.write(png)
    return Path(file.name)
