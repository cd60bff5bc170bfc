"""Ctrl-C in `python -m bot upscale`, and while Python still imports the bot."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.app import App
from bot.cli.console import Exit
from bot.cli.files import Arguments
from bot.cli.upscale import _CONCURRENCY, Options, _Run
from core.domain.job import Job, JobState, Requester, UpscaleRequest
from tests.fakes.cards import job

ROOT = Path(__file__).parents[2]


class _Service:
    """Takes every image, the first just as Ctrl-C is pressed; a job ends only by being cancelled."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.interrupted = asyncio.Event()

    async def request(self, request: UpscaleRequest) -> Job:
        if not self.jobs:
            os.kill(os.getpid(), signal.SIGINT)
        name = f"job{len(self.jobs)}"
        self.jobs[name] = replace(job(), id=name, state=JobState.QUEUED)
        await self.interrupted.wait()
        return self.jobs[name]

    async def cancel(self, job_id: str, actor: Requester) -> Job:
        self.jobs[job_id] = replace(self.jobs[job_id], state=JobState.CANCELLED)
        return self.jobs[job_id]

    async def watch(self, job_id: str) -> AsyncIterator[Any]:
        assert self.jobs[job_id].state is JobState.CANCELLED, "the job would have run to its end"
        yield SimpleNamespace(job=self.jobs[job_id])


async def test_ctrl_c_stops_what_is_being_handed_in_and_begins_nothing_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tuple(f"https://x.example/{number}.png" for number in range(3 * _CONCURRENCY))
    service = _Service()
    store = SimpleNamespace(get=_nothing)
    app = SimpleNamespace(service=service, ctx=SimpleNamespace(store=store))
    run = _Run(cast("App", app), Options(Arguments(pictures, "")))
    service.interrupted = run._interrupted
    async with run.interruptible():
        codes = await asyncio.gather(*(run.one(picture) for picture in pictures))
    assert set(codes) == {Exit.CANCELLED}
    assert {made.state for made in service.jobs.values()} == {JobState.CANCELLED}
    assert len(service.jobs) <= _CONCURRENCY
    assert "29.png: Not started." in capsys.readouterr().err


async def _nothing(_: str) -> None:
    return None


def test_ctrl_c_while_the_packages_are_imported_shows_no_traceback() -> None:
    code = "import sys, runpy\nsys.modules['bot.cli.main'] = type(sys)('x')\n"
    code += "def main(): raise KeyboardInterrupt\n"
    code += "sys.modules['bot.cli.main'].main = main\nrunpy.run_module('bot', run_name='__main__')"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (Exit.CANCELLED, "", "")
