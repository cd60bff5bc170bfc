"""What every chat platform owes its members and the core, as one test class; each adapter brings a `Driver`.

The core is in memory and moves no job by itself: the tests do, through the adapter's own Reply and the core's own
progress loop, and then read what a member sees. Holds nothing that is true of one platform only.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from core.domain import errors
from core.domain.errors import UpscaleError, leaves
from core.domain.job import Delivery, InputFacts, Job, JobState, Progress, Receipt, Result
from core.domain.money import DEFAULT_UNIT_PRICE_NANOUSD, quote
from core.jobs.progress import ProgressLoop
from core.ports import Reply
from core.presentation import Notice, explain
from core.presentation.texts import delivery_texts
from tests.core.domain.test_errors import examples
from tests.fakes.core import FakeClock, until

WORDS = "@everyone <!channel> <@U0BEN00001> *bold* _slanted_ ~gone~ `code` [a](https://evil.example) & <b>"
"""A name and a caption that would ping or format wherever text is taken at its word."""
LINK = "https://bot.example/f/full.png"


@dataclass(frozen=True)
class Shown:
    """One message as the requester sees it. `text` is what is read, escapes resolved."""

    text: str
    pictures: int
    alts: tuple[str, ...] = ()


class Driver(Protocol):
    """One platform between its emulator and a core in memory. `gate` holds the core's `request`, when closed."""

    edit_interval_s: float
    gate: asyncio.Event

    async def ask(self, name: str = "photo.png") -> None:
        """A member hands in a picture. Raises where it was not acknowledged within the platform's time."""

    async def ask_twice(self) -> None:
        """The platform brings one and the same event twice."""

    def jobs(self) -> Sequence[Job]:
        """What the core has, oldest first."""

    def keep(self, job: Job) -> Job:
        """Let the core know this newer snapshot."""

    def reply(self, job: Job) -> Reply:
        """The adapter's Reply for it, with its notes."""

    def shown(self) -> Sequence[Shown]:
        """The bot's messages that the requester now sees, oldest first."""

    def writes(self) -> int:
        """How often a message was posted or edited so far."""

    def pinged(self) -> Sequence[str]:
        """Whom the bot's messages pinged, and markup in them that took effect."""

    def break_edits(self, times: int) -> None:
        """The next edits fail as servers fail."""

    def refuse_whole_files(self) -> None:
        """From now on the place does not take the full file."""

    async def press_cancel(self) -> None:
        """The requester presses Cancel in the job's message."""

    async def stop(self) -> None:
        """The process is told to end; returns when the adapter has drained."""


async def at_work(driver: Driver, name: str = "photo.png") -> Job:
    """A job that has just begun."""
    await driver.ask(name)
    await until(lambda: len(driver.jobs()) > 0)
    return working(driver, driver.jobs()[-1])


def working(driver: Driver, job: Job) -> Job:
    """The job as it is while the model works."""
    facts = InputFacts("png", 64, 48, 1000, "0" * 64)
    asked = quote(64, 48, job.parameters.factor, DEFAULT_UNIT_PRICE_NANOUSD)
    return driver.keep(replace(job, state=JobState.RUNNING, input=facts, quote=asked))


def done(driver: Driver, job: Job, caption: str = "A cat on a sofa") -> Job:
    """The job with its result, about to be delivered."""
    assert job.quote
    result = Result(
        job.quote.out_width_px, job.quote.out_height_px, 100, "image/png", "r.png", 7, 4.2, caption, link=LINK
    )
    receipt = Receipt(job.quote.estimate_nanousd, job.quote.estimate_nanousd, "units")
    return driver.keep(replace(job, state=JobState.DELIVERING, result=result, receipt=receipt))


def everything_shown(driver: Driver) -> str:
    return "\n".join(message.text for message in driver.shown())


class Loop:
    """The core's progress loop on a clock that the test moves; the platform's own time goes on as it will."""

    def __init__(self, driver: Driver, job: Job) -> None:
        self._job = job
        self._clock = FakeClock(auto=False)
        self._loop = ProgressLoop(driver.reply(job), self._clock, min_interval_s=driver.edit_interval_s)

    async def show(self, progress: Progress) -> None:
        self._loop.show(self._job, progress)
        await self.pass_s(0.0)

    async def pass_s(self, seconds: float) -> None:
        """Time goes by; edits on their way arrive."""
        await self._clock.advance(seconds)
        await until(lambda: not self._loop._editing)

    async def stop(self) -> None:
        await self._loop.stop()


class AdapterContract:
    """Subclass it as `Test…` and say how the platform is driven."""

    def started(self, folder: Path) -> AbstractAsyncContextManager[Driver]:
        """The connected adapter."""
        raise AssertionError("a subclass says how")

    @pytest.fixture
    async def driver(self, tmp_path: Path) -> AsyncIterator[Driver]:
        async with self.started(tmp_path) as made:
            yield made

    async def test_a_member_is_answered_before_the_core_is_awaited(self, driver: Driver) -> None:
        """Rows are written before the acknowledgement; if the core hangs, the answer says that nothing was started."""
        driver.gate.clear()
        await driver.ask()
        await until(lambda: any("nothing was started" in message.text for message in driver.shown()))
        driver.gate.set()
        await asyncio.sleep(0)
        assert driver.jobs() == []

    async def test_the_same_event_twice_is_one_job_and_one_charge(self, driver: Driver) -> None:
        await driver.ask_twice()
        await until(lambda: len(driver.jobs()) > 0)
        job = working(driver, driver.jobs()[0])
        first = await driver.reply(job).finished(done(driver, job), ())
        again = await driver.reply(job).finished(done(driver, job), ())
        assert len(driver.jobs()) == 1
        assert first == again
        assert sum(message.pictures for message in driver.shown()) == 1

    async def test_edits_keep_their_distance_and_the_last_state_arrives(self, driver: Driver) -> None:
        job = await at_work(driver)
        loop = Loop(driver, job)
        before, moments = driver.writes(), 40
        for n in range(moments):
            await loop.show(Progress("upscaling", percent=float(n)))
            await loop.pass_s(driver.edit_interval_s / 10)
        assert 2 <= driver.writes() - before <= moments / 10 + 2
        await loop.show(Progress("upscaling", percent=97.0))
        await loop.pass_s(driver.edit_interval_s)
        await until(lambda: "97" in everything_shown(driver))
        await loop.stop()

    async def test_a_failing_edit_does_not_stop_the_job(self, driver: Driver) -> None:
        job = await at_work(driver)
        loop = Loop(driver, job)
        await loop.show(Progress("waiting", position=3))
        driver.break_edits(1)
        await loop.pass_s(driver.edit_interval_s)
        await loop.show(Progress("upscaling", percent=40.0))
        await loop.pass_s(driver.edit_interval_s)
        await loop.stop()
        await driver.reply(job).finished(done(driver, job), ())
        assert [message.pictures for message in driver.shown() if message.pictures] == [1]

    async def test_success_delivers_the_picture_with_its_caption_sizes_and_charge(self, driver: Driver) -> None:
        job = await at_work(driver)
        await driver.reply(job).progress(job, Progress("upscaling", percent=40.0))
        delivery = await driver.reply(job).finished(done(driver, job), ())
        assert delivery == Delivery("original")
        [message] = [shown for shown in driver.shown() if shown.pictures]
        assert "A cat on a sofa" in message.text
        assert "64×48 → 128×96" in message.text
        assert "Charged $0.10" in message.text
        assert message.alts
        assert "A cat on a sofa" in message.alts[0]
        assert "40" not in [word.strip("% ") for word in everything_shown(driver).split()]

    async def test_where_the_full_file_is_not_taken_its_link_is_there_and_the_answer_says_so(
        self, driver: Driver
    ) -> None:
        job = await at_work(driver)
        driver.refuse_whole_files()
        delivery = await driver.reply(job).finished(done(driver, job), ())
        assert delivery.shape != "original"
        assert sum(message.pictures for message in driver.shown()) == (delivery.shape != "link")
        assert LINK in everything_shown(driver)
        assert delivery_texts.delivery_text(delivery, "en") in everything_shown(driver)

    async def test_every_error_of_the_tree_reaches_the_requester(self, driver: Driver) -> None:
        job = await at_work(driver)
        missing = []
        for number, leaf in enumerate(leaves()):
            error = examples(leaf)[0]
            told = driver.keep(replace(job, id=f"{number:012d}", state=JobState.FAILED, error=error))
            notice = explain(error, "en", reference=told.id)
            await driver.reply(told).failed(told, notice)
            if not self._told(driver, notice):
                missing.append(error.code)
        assert missing == [], missing

    @staticmethod
    def _told(driver: Driver, notice: Notice) -> bool:
        text = "".join(everything_shown(driver).split())
        whats = [what for what in (notice.what, notice.in_public) if what]  # others may read it or not: see the driver
        said = any("".join(what.split()) in text for what in whats)
        return said and all("".join(part.split()) in text for part in (notice.charged, notice.reference))

    async def test_an_error_is_no_class_name_and_no_link(self, driver: Driver) -> None:
        job = await at_work(driver)
        error: UpscaleError = errors.InternalError(reference=job.id)
        failed = driver.keep(replace(job, state=JobState.FAILED, error=error))
        await driver.reply(failed).failed(failed, explain(error, "en", reference=job.id))
        text = everything_shown(driver)
        assert job.id in text
        assert not [word for word in ("InternalError", "Traceback", "https://", "Exception") if word in text]

    async def test_a_failure_told_twice_is_seen_once(self, driver: Driver) -> None:
        job = await at_work(driver)
        failed = driver.keep(replace(job, state=JobState.FAILED, error=errors.DamagedImage()))
        notice = explain(errors.DamagedImage(), "en", reference=job.id)
        for _ in range(2):
            await driver.reply(failed).failed(failed, notice)
        assert everything_shown(driver).count(notice.what) == 1

    async def test_cancel_reaches_the_core(self, driver: Driver) -> None:
        job = await at_work(driver)
        await driver.reply(job).progress(job, Progress("upscaling", percent=10.0))
        await driver.press_cancel()
        await until(lambda: self._cancelled(driver.jobs()[0]))

    @staticmethod
    def _cancelled(job: Job) -> bool:
        return job.state is JobState.CANCELLED or bool(job.cancel_requested_by)

    async def test_words_of_others_can_neither_ping_nor_format(self, driver: Driver) -> None:
        job = await at_work(driver)
        named = driver.keep(replace(job, source=replace(job.source, name=f"{WORDS}.png")))
        await driver.reply(named).progress(named, Progress("upscaling", percent=10.0))
        await driver.reply(named).finished(done(driver, named, WORDS), ())
        assert driver.pinged() == []
        # A break inside a mention, which nobody sees, may be what keeps it from being one.
        assert WORDS in everything_shown(driver).replace("\u200b", "").replace("\u2060", "")

    async def test_the_end_leaves_no_task_behind(self, driver: Driver) -> None:
        job = await at_work(driver)
        await driver.reply(job).progress(job, Progress("upscaling", percent=10.0))
        async with asyncio.timeout(15):
            await driver.stop()
        await until(lambda: not _tasks_of_adapters(), within_s=3)


def _tasks_of_adapters() -> list[str]:
    """What still runs of an adapter's code, or of its platform's SDK."""
    found = []
    for task in asyncio.all_tasks():
        frame: Any = getattr(task.get_coro(), "cr_frame", None)
        where = frame.f_code.co_filename if frame is not None else ""
        ours = any(part in where for part in ("/adapters/", "/slack_bolt/", "/slack_sdk/", "/discord/"))
        if ours and "/tests/" not in where:
            found.append(f"{task.get_name()} {where}")
    return found
