"""`python -m bot upscale`: enlarge files from a terminal, through the same service as the chat platforms.

Shows progress bars, asks before expensive jobs, writes the result next to the picture, and prints the receipt. Ctrl-C
cancels and says what that costs; a second Ctrl-C leaves the jobs to the next start.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from bot.cli import files
from bot.cli.console import PLATFORM, CommandError, Exit, ask, disk_errors, err, exit_code, operator, out, print_notice
from bot.cli.jobs import print_result
from bot.cli.session import writable
from core.domain.errors import InvalidParameters, TooLate, UpscaleError
from core.domain.job import Job, JobState, Quote, ReplyAddress, Source, UpscaleRequest, job_id_for
from core.domain.job import Progress as JobProgress
from core.domain.parameters.grammar import parse
from core.images.renditions import JobMedia
from core.jobs.endings import notice_for
from core.net.retry import first_of
from core.presentation import cents
from core.presentation.texts.price_texts import quote_text
from core.presentation.texts.progress_texts import cancel_pending_text, stage_text

if TYPE_CHECKING:
    from bot.app import App

_ANY_PRICE_NANOUSD = 10**15
"""`--yes`: a million dollars; the limits still apply."""
_HANDED_OUT = "handed_out"
"""Delivery state of a job whose picture was written to its file."""

_MAX_REPEATS = 1000
_CONCURRENCY = 10
"""Pictures of a folder that run at once; the others wait here, since the service would refuse them."""

_QUALITY = 95
"""Quality of a JPEG or a WebP that `-o` asks for."""

_SEVERITY = (Exit.FAILED, Exit.BUDGET, Exit.CANCELLED, Exit.USAGE)


@dataclass(frozen=True, slots=True)
class Options:
    """The command's options. `out` is a file, or a folder for several pictures."""

    arguments: files.Arguments
    fields: Mapping[str, str] = field(default_factory=dict)
    out: Path | None = None
    force: bool = False
    yes: bool = False
    json: bool = False


async def upscale(app: App, options: Options) -> Exit:
    """Enlarge every picture; returns the worst exit code."""
    try:
        defaults = await app.service.accounts.defaults(operator())
        models = app.service.models
        asked = parse(options.arguments.text, options.fields, models, model=defaults.get("model"))
    except InvalidParameters as error:
        print_notice(app.service.notice(error, "en", who=operator()))
        return Exit.USAGE
    wanted = models.resolve(asked, defaults)
    if not options.force:
        files.check_results_are_new(options.arguments, None if wanted.to else wanted.factor, options.out)
    if options.out == files.PIPE and len(options.arguments.pictures) > 1:
        raise CommandError("Only one image fits into standard output; name a folder with -o.")
    if options.out is not None:
        folder = options.out if options.out.is_dir() or len(options.arguments.pictures) > 1 else options.out.parent
        if not writable(folder):
            raise CommandError(f"{folder} cannot be written to; name another file or folder with -o.")
    run = _Run(app, options)
    async with run.interruptible():
        with run.bars:
            outcomes = await asyncio.gather(*(run.one(picture) for picture in options.arguments.pictures))
    return next((code for code in _SEVERITY if code in outcomes), Exit.OK)


class _Run:
    def __init__(self, app: App, options: Options) -> None:
        self.app = app
        self.options = options
        self.actor = operator()
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[name]}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._asking = asyncio.Lock()
        self._slots = asyncio.Semaphore(_CONCURRENCY)
        self._running: dict[str, Job] = {}
        self._interrupts = 0
        self._interrupted = asyncio.Event()
        self._stopping: set[asyncio.Task[None]] = set()

    async def one(self, picture: Path | str) -> Exit:
        async with self._slots:
            if not self._interrupted.is_set():
                return await self._one(picture)
        err.print(f"{files.title(picture)}: Not started.")
        return Exit.CANCELLED

    async def _one(self, picture: Path | str) -> Exit:
        bar = self.bars.add_task("", total=None, name=files.title(picture))
        job: Job | None = None
        try:
            job = await self.app.service.request(await self._request(picture))
            self._running[job.id] = job
            if self._interrupted.is_set():  # while it was handed in
                await self._stop(job)
            job = await self._follow(job, bar)
        except UpscaleError as error:
            print_notice(self.app.service.notice(error, "en", job), f"{files.title(picture)}: ")
            return exit_code(error)
        finally:
            self.bars.remove_task(bar)
            if job is not None:
                self._running.pop(job.id, None)
        return await self._conclude(picture, job)

    async def _request(self, picture: Path | str) -> UpscaleRequest:
        source = Source("link", url=picture) if isinstance(picture, str) else await self._uploaded(picture)
        return UpscaleRequest(
            key=await self._key(picture),
            requester=self.actor,
            source=source,
            reply=ReplyAddress(PLATFORM),
            text=self.options.arguments.text,
            fields=dict(self.options.fields),
            unsafe_place=True,
            confirmed_nanousd=_ANY_PRICE_NANOUSD if self.options.yes else 0,
        )

    async def _key(self, picture: Path | str) -> str:
        """Return the same key for the same command on the same picture until its result is written.

        So a command that was killed, or whose machine went down, is not paid for again when it is repeated.
        """
        asked = json.dumps([self.options.arguments.text, dict(self.options.fields)], sort_keys=True)
        digest = hashlib.sha256(f"{asked}\n{picture if isinstance(picture, str) else ''}".encode())
        if isinstance(picture, Path):
            digest.update(await asyncio.to_thread(files.digest_of, picture))
        store = self.app.ctx.store
        for number in range(_MAX_REPEATS):
            key = f"{PLATFORM}:{digest.hexdigest()[:32]}-{number}"
            job = await store.get(job_id_for(key))
            if job is None or not job.state.terminal:
                return key
            if job.has_image and not (await store.delivery_state(job.id)).get(_HANDED_OUT):
                return key
        return f"{PLATFORM}:{secrets.token_hex(12)}"

    async def _uploaded(self, picture: Path) -> Source:
        """Copy the picture into the data folder, so that the job can be resumed when the original is gone."""
        folder = self.app.settings.data_dir / "uploads"
        copy = folder / f"{PLATFORM}-{secrets.token_hex(12)}"

        with disk_errors(f"{picture} cannot be read"):
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
            await asyncio.to_thread(shutil.copyfile, picture, copy)
        return Source("upload", path=f"uploads/{copy.name}", name=picture.name)

    async def _follow(self, job: Job, bar: TaskID) -> Job:
        """Show every event until the job ends; returns the ended job."""
        async for event in self.app.service.watch(job.id):
            job = event.job
            if job.state is JobState.AWAITING_CONFIRMATION:
                await self._agree(job)
            elif not job.state.terminal:
                self._show(bar, job.progress or JobProgress("preparing"))
        return job

    def _show(self, bar: TaskID, progress: JobProgress) -> None:
        text = stage_text(progress, "en")
        if progress.eta_at is not None and progress.eta_at > time.time():
            text += f", about {progress.eta_at - time.time():.0f} s left"
        total = 100.0 if progress.percent is not None else None
        self.bars.update(bar, description=text, total=total, completed=progress.percent or 0)

    async def _agree(self, job: Job) -> None:
        """Ask about the price, one question at a time. No answer counts as no."""
        if job.quote is None:
            return
        asked = price_question(job.quote)
        async with self._asking:
            self.bars.stop()
            try:
                agreed = await self._answer(f"{asked} Start?")
            finally:
                self.bars.start()
        if agreed:
            await self.app.service.confirm(job.id, self.actor)
            return
        if not sys.stdin.isatty():
            err.print(f"{asked} Not started; say --yes to agree to prices beforehand.")
        await self._stop(job)

    async def _answer(self, question: str) -> bool:
        """Ask; no as soon as Ctrl-C is pressed."""
        asking = asyncio.create_task(ask(question))
        await first_of(asking, self._interrupted.wait())
        asking.cancel()
        return (await asyncio.gather(asking, return_exceptions=True))[0] is True

    async def _conclude(self, picture: Path | str, job: Job) -> Exit:
        if job.state is not JobState.SUCCEEDED or job.result is None:
            notice = notice_for(job)
            print_result(picture, job, None, (), json=self.options.json)
            print_notice(notice, f"{files.title(picture)}: ")
            return Exit.CANCELLED if job.state is JobState.CANCELLED else exit_code(job.error)
        many = len(self.options.arguments.pictures) > 1
        path = files.result_path(picture, job.parameters.factor, job.result.mime, self.options.out, many=many)
        path = path if self.options.force else files.free_path(path)
        media = JobMedia(self.app.ctx)
        file = await media.original(job)
        wanted = files.wanted_format(self.options.out, file.mime, many=many)
        if wanted is not None:
            file = await media.converted(job, saved_as=wanted, quality=_QUALITY)
            job = replace(job, result=replace(job.result, mime=file.mime, bytes=file.bytes))
        try:
            await asyncio.to_thread(files.copy_out, file.path, path)
        except OSError as error:
            place = "Standard output" if path == files.PIPE else path
            kept = "The result is kept: the same command with another -o takes it at no cost."
            err.print(f"{place} cannot be written: {error.strerror}. {kept}")
            return Exit.FAILED
        if files.has_wrong_suffix(path, file.mime):
            err.print(f"{path.name} holds a {file.mime.removeprefix('image/').upper()}.")
        await self.app.ctx.store.change_delivery_state(job.id, {_HANDED_OUT: True})
        left = await self.app.service.limits.applying(self.actor)
        print_result(picture, job, path, tuple(left), json=self.options.json, to=err if path == files.PIPE else out)
        return Exit.OK

    @asynccontextmanager
    async def interruptible(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        main = asyncio.current_task()

        def interrupted() -> None:
            self._interrupts += 1
            self._interrupted.set()
            if self._interrupts > 1 and main is not None:
                main.cancel()
            for job in list(self._running.values()):
                task = loop.create_task(self._stop(job))
                self._stopping.add(task)
                task.add_done_callback(self._stopping.discard)

        loop.add_signal_handler(signal.SIGINT, interrupted)
        try:
            yield
        except asyncio.CancelledError:
            if self._interrupts < 2:
                raise
            err.print("Left. What fal already works on is finished by the next start of the bot, and may be billed.")
            raise CommandError("", Exit.CANCELLED) from None
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            await asyncio.gather(*self._stopping, return_exceptions=True)

    async def _stop(self, job: Job) -> None:
        try:
            job = await self.app.service.cancel(job.id, self.actor)
        except TooLate:
            return
        if job.remote is not None and job.remote.submit != "none" and not job.state.terminal:
            err.print(cancel_pending_text("en"))


def price_question(quote: Quote) -> str:
    others = (f"model={name} makes it for {cents(cost, 'en')}." for name, cost in quote.others)
    return " ".join((quote_text(quote, "en"), *others))
